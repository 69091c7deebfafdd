"""`dawsos diff`: what differs between two results, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from cli.console import out, print_json, say
from cli.execution_control import no_finished
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Tenant, User

if TYPE_CHECKING:
    from db.postgres import Pool
    from provenance.diff import Difference
    from provenance.verification import Finding
    from settings import Settings

_FIGURES_SHOWN = 40


def diff_command(
    a: Annotated[str, typer.Argument(metavar="A", help="Id of a finished execution, or a result file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
) -> None:
    """Show in which pins, inputs, steps and figures two results differ, and which cause explains which figure.

    With an instance at hand causes are named down to the restated price, the booking, or the line of the pattern.
    Exit code 0 when both are the same answer (equal digests), 1 when not. Files are first checked as `dawsos verify`
    does; what was changed in one is no answer, and never the same one.

    [bold]Examples[/]

      dawsos diff monday.json tuesday.json

      dawsos diff 7f3c1a52-0000-4000-8000-000000000000 b04e77d1-0000-4000-8000-000000000000 --json
    """
    import asyncio

    from cli.instance import find_user

    files = {each: _read(each) for each in (a, b) if not _is_id(each)}
    altered = _altered(files)
    found = asyncio.run(_diff(a, b, files, tenant, find_user(user)))
    if altered:
        # Its digest is that of another answer, so equal digests say nothing.
        found = replace(found, same=False)
    if as_json:
        print_json({**found.as_json(), "altered": {name: list(map(asdict, each)) for name, each in altered.items()}})
    else:
        for name, findings in altered.items():
            typer.echo(f"{name} does not fit its digests: it was changed")
            for finding in findings:
                typer.echo(f"  {name}#{finding.pointer}: {finding.message}")
        _print(found)
    raise typer.Exit(Exit.OK if found.same else Exit.ERROR)


def _altered(files: Mapping[str, dict[str, Any]]) -> dict[str, tuple[Finding, ...]]:
    """Return the files that do not fit their digests, with what does not."""
    from provenance.verification import verify

    return {name: findings for name, result in files.items() if (findings := verify(result).findings)}


async def _diff(a: str, b: str, files: Mapping[str, dict[str, Any]], tenant: str, user_id: UUID) -> Difference:
    from services.catalogue import load_catalogue
    from services.result_diff import diff_results

    ids = [each for each in (a, b) if each not in files]
    found = _connected(required=bool(ids))
    catalogue = load_catalogue(found)
    if found.postgres is None:
        say("no instance: causes are named by their versions alone")
        return await diff_results(found, catalogue, None, files[a], files[b])
    from cli.instance import app_pool
    from topics.errors import RetryableError

    try:
        async with app_pool(found) as pool:
            left, right = [
                files[each] if each in files else await _stored(pool, UUID(each), tenant, user_id) for each in (a, b)
            ]
            return await diff_results(found, catalogue, pool, left, right)
    except RetryableError:
        if ids:
            raise
        say("the instance does not answer: causes are named by their versions alone")
        return await diff_results(found, catalogue, None, files[a], files[b])


def _connected(*, required: bool) -> Settings:
    """Return settings with addresses; without them when no instance runs and none is needed."""
    from cli.instance import connected, settings

    try:
        return connected()
    except CommandFailed:
        if required:
            raise
        return settings()


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return not Path(text).exists()


def _read(name: str) -> dict[str, Any]:
    from cli.verify_command import read_object

    value = read_object(name)
    if value.get("type") != "ExecutionResult" or not isinstance(value.get("trace"), dict):
        raise CommandFailed(f"{name}: expected a result as --json prints it", Exit.USAGE)
    return value


async def _stored(pool: Pool, execution_id: UUID, tenant: str, user_id: UUID) -> dict[str, Any]:
    import orjson

    from cli.stored import complete
    from db.executions import ExecutionRepository

    found = await ExecutionRepository(pool).show(tenant, user_id, execution_id)
    if found is None:
        raise await no_finished(execution_id, tenant, user_id)
    whole = await complete(pool, found, details=False)
    return orjson.loads(whole.result.model_dump_json(by_alias=True))


def _print(found: Difference) -> None:
    def line(text: str) -> None:
        out().print(text, markup=False, soft_wrap=True)

    if found.same:
        line(f"the same answer: {found.a} and {found.b} have one digest")
    for title, changes in (("pattern", found.pattern), ("pin", found.pins), ("input", found.inputs)):
        for change in changes:
            line(f"{title} {change.name}: {change.a} → {change.b}")
    for cause in found.causes:
        line(f"cause {cause.id}: {cause.text}")
        for detail in cause.details:
            line(f"  {detail}")
    for step in found.steps:
        why = f"  because of {', '.join(step.causes)}" if step.causes else ""
        line(f"step {step.step_id}: {', '.join(step.what)}{why}")
    for figure in found.figures[:_FIGURES_SHOWN]:
        label = f" [{figure.label}]" if figure.label else ""
        delta = f" ({figure.delta:+})" if isinstance(figure.delta, (int, float)) else ""
        delta = f" ({figure.delta})" if isinstance(figure.delta, str) else delta
        why = f"  because of {', '.join(figure.causes)}" if figure.causes else ""
        line(f"figure {figure.pointer}{label}: {figure.a} → {figure.b}{delta}{why}")
    more = found.more_figures + max(0, len(found.figures) - _FIGURES_SHOWN)
    if more:
        line(f"and {counted(more, 'more figure')}; --json lists up to 1000")
