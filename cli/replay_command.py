"""`dawsos replay`: makes finished executions again on their pins and compares every digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from cli.console import out, print_json, say
from cli.execution_control import no_finished
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Tenant, User, whose
from cli.requests import parse_uuid

if TYPE_CHECKING:
    from services.replay import Replay

_EXITS = {
    "same": Exit.OK,
    "differs": Exit.ERROR,
    "code_version_unavailable": Exit.UNVERIFIABLE,
    "incomplete": Exit.UNVERIFIABLE,
}
_MARKS = {"same": "✔", "stored": "·", "differs": "✘"}


def replay_command(
    executions: Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="Ids of finished executions.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare digests; replay always does, so this may be left out.")
    ] = True,
    last: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Instead of ids: the last so many that fit the filters.")
    ] = None,
    pattern: Annotated[str | None, typer.Option(help="With --last: only executions of this pattern.")] = None,
    status: Annotated[str | None, typer.Option(help="With --last: only executions that ended so.")] = None,
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
) -> None:
    """Recompute finished executions on their pins and compare every digest.

    Steps of pure capabilities are computed again by the code that is here; for all others the recorded answer stands
    in, so nothing happens twice. Nothing is cached or stored. Reads results, pattern texts, pricing packs and artifacts
    from Postgres and ledgers from their repository; Kafka is asked only about an execution that has no result.

    Exit code 0: all the same. 1: something differs; the first step that does is named. 8: nothing differs, but a
    capability or pattern is not here in the recorded version, or a value was not kept.

    [bold]Examples[/]

      dawsos replay --verify 7f3c1a52-0000-4000-8000-000000000000

      dawsos replay --last 20 --pattern portfolio_overview --json
    """
    import asyncio

    from cli.instance import find_user

    if bool(executions) == (last is not None):
        raise CommandFailed("expected ids of executions, or --last N", Exit.USAGE)
    ids = [parse_uuid(each, "ID") for each in executions or ()]
    if last is not None and not as_json:
        say(whose(tenant, user))
    replays = asyncio.run(_replay(ids, last, pattern, _status(status), tenant, find_user(user), as_json))
    if as_json:
        print_json([each.as_json() for each in replays])
    from services.replay import exit_outcome

    raise typer.Exit(_EXITS[exit_outcome(replays)])


async def _replay(
    ids: list[UUID],
    last: int | None,
    pattern: str | None,
    status: Any,
    tenant: str,
    user_id: UUID,
    as_json: bool,
) -> list[Replay]:
    from cli.instance import app_pool, connected
    from db.executions import ExecutionRepository
    from services.catalogue import load_catalogue
    from services.stored_replay import replay_stored

    found = connected()
    catalogue = load_catalogue(found)
    async with app_pool(found) as pool:
        repository = ExecutionRepository(pool)
        if last is not None:
            listed = await repository.list(tenant, user_id, pattern_id=pattern, status=status, limit=last)
            ids = [each.execution_id for each in listed]
            if not ids:
                say("no execution fits")
        replays: list[Replay] = []
        for execution_id in ids:
            made = await replay_stored(found, catalogue, pool, tenant, user_id, execution_id)
            if made is None:
                raise await no_finished(execution_id, tenant, user_id)
            replays.append(made)
            if not as_json:
                _print(made, details=len(ids) == 1 or made.outcome != "same")
        return replays


def _status(text: str | None) -> Any:
    from topics.messages import ExecutionStatus

    if text is None:
        return None
    try:
        return ExecutionStatus(text)
    except ValueError:
        known = ", ".join(status.value for status in ExecutionStatus)
        raise CommandFailed(f"--status: expected one of {known}, got {text!r}", Exit.USAGE) from None


def _print(found: Replay, *, details: bool) -> None:
    comparison = found.comparison
    first = f" at step {comparison.first}" if comparison.first else ""
    line = f"{found.execution_id} {found.pattern_id}: {found.outcome}{first}"
    out().print(f"{line}: {comparison.message}" if comparison.message else line, markup=False, soft_wrap=True)
    for finding in found.findings:
        out().print(f"  stored result {finding.pointer}: {finding.message}", markup=False, soft_wrap=True)
    if not details:
        return
    for step in comparison.steps:
        mark = _MARKS.get(step.verdict, "?")
        text = f"  {mark} {step.step_id}  {step.capability} v{step.version}  {step.verdict}"
        out().print(f"{text}: {step.message}" if step.message else text, markup=False, soft_wrap=True)
