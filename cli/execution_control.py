"""`dawsos executions why|cancel|rerun`: what an execution waits for, ending it, running it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer

from cli.console import print_json, say
from cli.execution_filter import Error, Newer, Older, PatternId, Status, parse_wanted
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import CHOOSE_ANOTHER, AsJson
from cli.requests import parse_uuid
from cli.whose import Everyone, OneUser, Tenant, User, Whose, parse_whose

if TYPE_CHECKING:
    from db.executions import ExecutionFilter
    from orchestrator.view import ExecutionView
    from topics.messages import ExecutionResult

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Ids of executions.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which; change nothing.")]


def why(
    execution: Annotated[str, typer.Argument(metavar="ID", help="Id of the execution, a UUID.")],
    tenant: Tenant = None,
    user: User = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Say in one line what an execution waits for, or how it ended."""
    import asyncio

    status, text = asyncio.run(standing(parse_uuid(execution, "ID"), parse_whose(everyone, tenant, user)))
    if as_json:
        print_json({"execution_id": execution, "status": status, "waits_for": text})
    else:
        typer.echo(f"{status}: {text}")


async def standing(execution_id: UUID, whose: Whose) -> tuple[str, str]:
    """Return how an execution stands: its status, and what it waits for or how it ended.

    Raises:
        CommandFailed: nobody who is meant has such an execution.
    """
    from cli.instance import app_pool, connected
    from cli.live import progress
    from db.executions import ExecutionRepository
    from db.requests import RequestRepository

    found = connected()
    async with progress(found) as feed:
        known = whose.progress(feed, execution_id)
        if known is not None and not known.ended:
            return known.view.status.value, f"waits for {known.view.waits_for}"
    owner = (await whose.owners_of(found, [execution_id])).get(execution_id)
    result = request = None
    if owner is not None:
        async with app_pool(found) as pool:
            result = await ExecutionRepository(pool).show(*owner, execution_id)
            request = await RequestRepository(pool).of_execution(*owner, execution_id)
    if result is not None:
        text = "it has ended" if result.error is None else f"{result.error.code}: {result.error.message}"
        return result.status.value, text
    if known is not None:
        return known.view.status.value, known.view.error or "it has ended; its result is being stored"
    if request is None:
        raise CommandFailed(f"there is no execution {execution_id} of {whose.who}{whose.hint}")
    return "submitted", "waits for the orchestrator to take its request"


async def no_result_yet(execution_id: UUID, whose: Whose) -> str | None:
    """Return the line that an execution has no result yet and what it waits for.

    None when nobody who is meant has such an execution, or Kafka, which would know, does not answer.
    """
    from streams.clients import KafkaUnavailable

    try:
        status, text = await standing(execution_id, whose)
    except (CommandFailed, KafkaUnavailable):
        return None
    return no_result(execution_id, status, text)


async def no_finished(execution_id: UUID, tenant: str, user_id: UUID) -> CommandFailed:
    """Return what to raise where a user's finished execution is needed: it is under way, or there is none."""
    line = await no_result_yet(execution_id, OneUser(tenant, user_id, str(user_id)))
    return CommandFailed(line or f"there is no finished execution {execution_id} of this user; {CHOOSE_ANOTHER}")


def no_result(execution_id: UUID, status: str, text: str) -> str:
    """Return the line about how an execution without a result stands; status and text as `standing` gives them."""
    return f"execution {execution_id} has no result yet: {status}, {text}"


def cancel(
    executions: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="All under way that fit the filters.")] = False,
    status: Status = None,
    pattern: PatternId = None,
    older_than: Older = None,
    newer_than: Newer = None,
    reason: Annotated[str, typer.Option(help="For the trace.")] = "cancelled at the command line",
    dry_run: DryRun = False,
    tenant: Tenant = None,
    user: User = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Tell executions to stop; what they did that can be undone is undone. Repeating it is harmless.

    [bold]Examples[/]

      dawsos executions cancel 4f0c…

      dawsos executions cancel --all --pattern portfolio_overview --older-than 10m --dry-run

      dawsos executions cancel --all --everyone --status queued --dry-run
    """
    import asyncio

    if bool(executions) == all_:
        raise CommandFailed("expected either IDs or --all", Exit.USAGE)
    ids = {parse_uuid(each, "ID") for each in executions or ()}
    wanted, whose = parse_wanted(status, pattern, None, older_than, newer_than), parse_whose(everyone, tenant, user)
    wanted.refuse_ended("executions cancel")

    def fits(view: ExecutionView) -> bool:
        return (not ids or UUID(view.execution_id) in ids) and wanted.fits(view)

    found, known = asyncio.run(_cancel(whose, fits, reason, dry_run))
    ended = {UUID(view.execution_id): view.status.value for view in known if UUID(view.execution_id) in ids}
    missing = sorted(str(each) for each in ids - {UUID(view.execution_id) for view in found} - ended.keys())
    if as_json:
        print_json(
            {
                "cancelled": [view.execution_id for view in found],
                "ended": [str(each) for each in ended],
                "not_under_way": missing,
                "dry_run": dry_run,
            }
        )
    else:
        if all_:
            say(whose.line)
        for view in found:
            owner = f"  tenant {view.tenant}, user {view.user_id}" if everyone else ""
            what = f"{view.execution_id}  {view.status.value}  {view.pattern_id}{owner}"
            typer.echo(f"{what}  waits for {view.waits_for}")
        for each, how in ended.items():
            say(f"{each} has ended already: {how}")
        if found or not (missing or ended):
            say(f"{len(found)} {_would_be(dry_run, found)} told to stop")
    if missing:
        raise CommandFailed(f"not under way for {whose.who}: {', '.join(missing)}{whose.hint}")


def _would_be(dry_run: bool, those: Sequence[object]) -> str:
    return "would be" if dry_run else "was" if len(those) == 1 else "were"


async def _cancel(
    whose: Whose, fits: Callable[[ExecutionView], bool], reason: str, dry_run: bool
) -> tuple[list[ExecutionView], list[ExecutionView]]:
    """Tell executions to stop, each on behalf of its user; returns them, and those that have ended."""
    from cli.instance import connected
    from cli.live import progress
    from streams.publisher import ExecutionClient
    from topics.messages import CancelExecution

    settings = connected()
    async with progress(settings) as feed:
        known = [*whose.known(feed)]
    found = [each.view for each in known if not each.ended and fits(each.view)]
    if found and not dry_run:
        async with ExecutionClient(settings, "cli") as client:
            for view in found:
                owner = {"tenant": view.tenant, "user_id": UUID(view.user_id)}
                await client.cancel(CancelExecution(execution_id=view.execution_id, reason=reason, **owner))
    return found, [each.view for each in known if each.ended]


def rerun(
    executions: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="All finished ones that fit the filters.")] = False,
    status: Status = None,
    error: Error = None,
    pattern: PatternId = None,
    older_than: Older = None,
    newer_than: Newer = None,
    same_pins: Annotated[
        bool, typer.Option("--same-pins", help="On the same pricing pack and ledger commit, not on today's.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    dry_run: DryRun = False,
    tenant: Tenant = None,
    user: User = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Run finished executions again with the same inputs; each is a new execution.

    [bold]Examples[/]

      dawsos executions rerun 4f0c… --same-pins

      dawsos executions rerun --all --error AGENT_UNAVAILABLE --newer-than 1h --dry-run
    """
    import asyncio

    if bool(executions) == all_:
        raise CommandFailed("expected either IDs or --all", Exit.USAGE)
    wanted = parse_wanted(status, pattern, error, older_than, newer_than).stored()
    ids, whose = [parse_uuid(each, "ID") for each in executions or ()], parse_whose(everyone, tenant, user)
    done = asyncio.run(_rerun(whose, ids, wanted, limit, same_pins, dry_run))
    if as_json:
        print_json({"reruns": [{"of": old, "execution_id": new} for old, new in done], "dry_run": dry_run})
        return
    if all_:
        say(whose.line)
    for old, new in done:
        typer.echo(old if dry_run else f"{old} → {new}")
    say(f"{len(done)} {_would_be(dry_run, done)} started again")


async def _rerun(
    whose: Whose, ids: list[UUID], wanted: ExecutionFilter, limit: int, same_pins: bool, dry_run: bool
) -> list[tuple[str, str | None]]:
    from cli.instance import app_pool, connected
    from db.executions import ExecutionRepository
    from streams.publisher import ExecutionClient

    settings = connected()
    if ids:
        owners = await whose.owners_of(settings, ids)
    else:
        found = await whose.find(settings, wanted, limit)
        owners = {each.execution_id: (each.tenant, each.user_id) for each in found}
    async with app_pool(settings) as pool:
        repository = ExecutionRepository(pool)
        results = {name: await repository.show(*owner, name) for name, owner in owners.items()}
    missing = [each for each in ids if results.get(each) is None]
    if missing:
        lines = {each: await no_result_yet(each, whose) for each in missing}
        said = [line for line in lines.values() if line is not None]
        if unknown := [str(each) for each, line in lines.items() if line is None]:
            said.append(f"there is no finished execution {', '.join(unknown)} of {whose.who}{whose.hint}")
        raise CommandFailed(f"nothing was started: {'; '.join(said)}")
    old = [result for result in results.values() if result is not None]
    if dry_run or not old:
        return [(result.execution_id, None) for result in old]
    async with ExecutionClient(settings, "cli") as client:
        return [(result.execution_id, await client.submit(again(result, same_pins))) for result in old]


def again(result: ExecutionResult, same_pins: bool) -> Any:
    """Return a request for what a result answers."""
    from topics.messages import ExecuteRequest

    trace = result.trace
    return ExecuteRequest(
        tenant=result.tenant,
        request_id=f"rerun-{uuid4()}",
        user_id=result.user_id,
        pattern_id=result.pattern_id,
        portfolio_id=None if trace.portfolio_id is None else UUID(trace.portfolio_id),
        inputs=dict(trace.inputs),
        asof=trace.asof_requested,
        pack_id=UUID(trace.pricing_pack_id) if same_pins and trace.pricing_pack_id else None,
        ledger_commit=trace.ledger_commit_hash if same_pins else None,
        submitted_at=datetime.now(UTC),
    )
