"""`dawsos executions list|show`: finished executions as the projector stored them, and those under way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import execution_control
from cli.console import out, print_json, say
from cli.execution_filter import Error, Newer, Older, PatternId, Status, Wanted, parse_wanted
from cli.failures import CommandFailed
from cli.options import AsJson, Report
from cli.requests import parse_uuid
from cli.whose import Everyone, Tenant, User, Whose, parse_whose

if TYPE_CHECKING:
    from datetime import datetime
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
    tenant: Tenant = None,
    user: User = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """List executions that have ended, or with --live or the status of one under way, those; the last started first.

    [bold]Examples[/]

      dawsos executions list --error AGENT_UNAVAILABLE --newer-than 1h

      dawsos executions list --status waiting_for_pack --older-than 10m

      dawsos executions list --everyone --live --tenant acme
    """
    import asyncio
    from dataclasses import asdict

    wanted, whose = parse_wanted(status, pattern, error, older_than, newer_than), parse_whose(everyone, tenant, user)
    if live:
        wanted.refuse_ended("--live")
    if live or wanted.under_way:
        under_way = asyncio.run(_under_way(whose, wanted, limit))
        if as_json:
            print_json([_plain(view) for view in under_way])
            return
        names, rows = _LIVE, [_live_row(view, everyone) for view in under_way]
    else:
        ended = asyncio.run(_ended(whose, wanted, limit))
        if as_json:
            print_json([asdict(each) for each in ended])
            return
        names, rows = _ENDED, [_ended_row(each, everyone) for each in ended]
    say(whose.line)
    _print_table((*names, "Execution, tenant, user" if everyone else "Execution"), rows)


async def _ended(whose: Whose, wanted: Wanted, limit: int) -> tuple[ExecutionSummary, ...]:
    from cli.instance import connected

    return await whose.find(connected(), wanted.stored(), limit)


async def _under_way(whose: Whose, wanted: Wanted, limit: int) -> list[ExecutionView]:
    from itertools import islice

    from cli.instance import connected
    from cli.live import progress

    async with progress(connected()) as feed:
        views = (each.view for each in whose.known(feed) if not each.ended)
        return list(islice(filter(wanted.fits, views), limit))


_ENDED = ("Finished", "Status", "Pattern", "As of", "Took")
_LIVE = ("Started", "Status", "Pattern", "Waits for")


def _ended_row(found: ExecutionSummary, everyone: bool) -> tuple[str, ...]:
    return (
        f"{found.finished_at:%Y-%m-%d %H:%M:%S}",
        found.status.value if found.error_code is None else f"{found.status.value} {found.error_code}",
        found.pattern_id,
        found.asof.isoformat() if found.asof else "–",
        f"{(found.finished_at - found.started_at).total_seconds() * 1000:.0f} ms",
        _name(found, everyone),
    )


def _live_row(view: ExecutionView, everyone: bool) -> tuple[str, ...]:
    started = f"{_started(view):%Y-%m-%d %H:%M:%S}"
    return started, view.status.value, view.pattern_id or "–", view.waits_for or "–", _name(view, everyone)


def _name(found: ExecutionSummary | ExecutionView, everyone: bool) -> str:
    # Two more columns of ids would leave the others no room.
    return f"{found.execution_id}\n{found.tenant} {found.user_id}" if everyone else str(found.execution_id)


def _plain(view: ExecutionView) -> dict[str, object]:
    names = "tenant user_id execution_id request_id pattern_id portfolio_id asof status waits_for".split()
    return {**{name: getattr(view, name) for name in names}, "started_at": _started(view)}


def _started(view: ExecutionView) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(view.started_at_ms / 1000, UTC)


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
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
    tenant: Tenant = None,
    user: User = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Show one execution with its trace; --report writes its HTML report."""
    import asyncio

    asyncio.run(_show(parse_uuid(execution, "ID"), parse_whose(everyone, tenant, user), as_json, report))


async def _show(execution_id: UUID, whose: Whose, as_json: bool, report: Path | None) -> None:
    from cli.instance import app_pool, connected
    from cli.results import deliver
    from cli.stored import complete
    from db.executions import ExecutionRepository

    settings = connected()
    owner = (await whose.owners_of(settings, [execution_id])).get(execution_id)
    async with app_pool(settings) as pool:
        found = None if owner is None else await ExecutionRepository(pool).show(*owner, execution_id)
        if found is None:
            stands = await execution_control.standing(execution_id, whose)
            raise CommandFailed(execution_control.no_result(execution_id, *stands))
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
