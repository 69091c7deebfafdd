"""`dawsos executions …`: finished executions as the projector stored them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import execution_control
from cli.console import out, print_json, say
from cli.execution_filter import Error, Newer, Older, PatternId, Status, Wanted, parse_wanted
from cli.failures import CommandFailed
from cli.options import CHOOSE_ANOTHER, DEMO_TENANT, DEMO_USER, AsJson, Report, Tenant, User, whose
from cli.requests import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from db.executions import ExecutionSummary
    from orchestrator.view import ExecutionView

app = typer.Typer(no_args_is_help=True, help="List executions, show them, say why one waits, cancel and rerun them.")
app.command(name="why")(execution_control.why)
app.command(name="cancel")(execution_control.cancel)
app.command(name="rerun")(execution_control.rerun)


@app.command(name="list")
def list_command(
    status: Status = None,
    error: Error = None,
    pattern: PatternId = None,
    older_than: Older = None,
    newer_than: Newer = None,
    live: Annotated[bool, typer.Option("--live", help="Those under way instead of those that ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
) -> None:
    """List executions that have ended, or with --live or the status of one under way, those; the last started first.

    [bold]Examples[/]

      dawsos executions list --error AGENT_UNAVAILABLE --newer-than 1h

      dawsos executions list --status waiting_for_pack --older-than 10m
    """
    import asyncio

    from cli.instance import find_user

    wanted, user_id = parse_wanted(status, pattern, error, older_than, newer_than), find_user(user)
    if live or wanted.under_way:
        under_way = asyncio.run(_under_way(tenant, user_id, wanted, limit))
        if not as_json:
            say(whose(tenant, user))
        _print_live(under_way, as_json)
        return
    found = asyncio.run(_ended(tenant, user_id, wanted, limit))
    if as_json:
        from dataclasses import asdict

        print_json([asdict(each) for each in found])
        return
    say(whose(tenant, user))
    rows = (
        (
            f"{each.finished_at:%Y-%m-%d %H:%M:%S}",
            each.status.value if each.error_code is None else f"{each.status.value} {each.error_code}",
            each.pattern_id,
            each.asof.isoformat() if each.asof else "–",
            f"{(each.finished_at - each.started_at).total_seconds() * 1000:.0f} ms",
            str(each.execution_id),
        )
        for each in found
    )
    _print_table(("Finished", "Status", "Pattern", "As of", "Took", "Execution"), rows)


async def _ended(tenant: str, user_id: UUID, wanted: Wanted, limit: int) -> tuple[ExecutionSummary, ...]:
    from cli.instance import app_pool, connected
    from db.executions import ExecutionRepository

    async with app_pool(connected()) as pool:
        return await ExecutionRepository(pool).find(tenant, user_id, wanted.stored(), limit=limit)


async def _under_way(tenant: str, user_id: UUID, wanted: Wanted, limit: int) -> list[ExecutionView]:
    from cli.instance import connected
    from cli.live import progress

    async with progress(connected()) as feed:
        found = [each.view for each in feed.of_user(tenant, user_id) if not each.ended and wanted.fits(each.view)]
    return sorted(found, key=lambda view: (view.started_at_ms, view.execution_id), reverse=True)[:limit]


def _print_live(found: list[ExecutionView], as_json: bool) -> None:
    from datetime import UTC, datetime

    started = [datetime.fromtimestamp(view.started_at_ms / 1000, UTC) for view in found]
    if as_json:
        names = ("execution_id", "request_id", "pattern_id", "portfolio_id", "asof", "status", "waits_for")
        listed = [{name: getattr(view, name) for name in names} for view in found]
        print_json([{**each, "started_at": at} for each, at in zip(listed, started, strict=True)])
        return
    rows = (
        (f"{at:%Y-%m-%d %H:%M:%S}", view.status.value, view.pattern_id or "–", view.waits_for or "–", view.execution_id)
        for view, at in zip(found, started, strict=True)
    )
    _print_table(("Started", "Status", "Pattern", "Waits for", "Execution"), rows)


def _print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(
            name,
            justify="right" if name == "Took" else "left",
            overflow="fold",
            no_wrap=name not in ("Status", "Pattern", "Waits for"),
        )
    for row in rows:
        table.add_row(*map(escape, row))
    if table.row_count:
        out().print(table)
    else:
        say("no execution fits")


@app.command()
def show(
    execution: Annotated[str, typer.Argument(metavar="ID", help="Id of the execution, a UUID.")],
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Show one execution with its trace; --report writes its HTML report."""
    import asyncio

    from cli.instance import find_user

    asyncio.run(_show(parse_uuid(execution, "ID"), tenant, find_user(user), as_json, report))


async def _show(execution_id: UUID, tenant: str, user_id: UUID, as_json: bool, report: Path | None) -> None:
    from cli.instance import app_pool, connected
    from cli.results import deliver
    from cli.stored import complete
    from db.executions import ExecutionRepository

    async with app_pool(connected()) as pool:
        found = await ExecutionRepository(pool).show(tenant, user_id, execution_id)
        if found is None:
            raise CommandFailed(f"there is no finished execution {execution_id} of this user; {CHOOSE_ANOTHER}")
        stored = await complete(pool, found, details=report is not None or not as_json)
    deliver(
        stored.result,
        as_json=as_json,
        report=report,
        holdings=stored.holdings,
        portfolio_name=stored.portfolio_name,
        pattern_name=stored.pattern_name,
    )
    if not as_json:
        _print_steps(stored.result)


def _print_steps(result: object) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from cli.figures import STEP_TIME, duration
    from topics.messages import ExecutionResult

    assert isinstance(result, ExecutionResult)
    table = Table(title="Steps", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    time = STEP_TIME.capitalize()
    for name in ("Step", "Capability", "Status", time, "Attempts", "Cache", "Output"):
        table.add_column(name, justify="right" if name in (time, "Attempts") else "left")
    for step in result.trace.steps:
        why = step.skip_reason or (f"{step.error.code}: {step.error.message}" if step.error else "")
        table.add_row(
            escape(step.step_id),
            f"{escape(step.capability)} v{step.version}",
            step.status + (f" {escape(why)}" if why else ""),
            duration(step.started_at_ms, step.finished_at_ms),
            str(step.attempts),
            step.cache or "–",
            (step.output_digest or "–")[:12],
        )
    out().print(table)
