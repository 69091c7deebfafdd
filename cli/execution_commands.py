"""`dawsos executions …`: finished executions as the projector stored them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import execution_control
from cli.console import out, print_json, say
from cli.failures import CommandFailed
from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Report, Tenant, User
from cli.requests import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from db.executions import ExecutionSummary

app = typer.Typer(no_args_is_help=True, help="Find, show, explain, cancel and rerun executions.")
app.command(name="why")(execution_control.why)
app.command(name="cancel")(execution_control.cancel)
app.command(name="rerun")(execution_control.rerun)


@app.command(name="list")
def list_command(
    pattern: Annotated[str | None, typer.Option(help="Only those of one pattern.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
) -> None:
    """List executions, the last finished first."""
    import asyncio

    from cli.instance import find_user

    user_id = find_user(user)

    async def read() -> tuple[ExecutionSummary, ...]:
        from cli.instance import app_pool, connected
        from db.executions import ExecutionRepository

        async with app_pool(connected()) as pool:
            return await ExecutionRepository(pool).list(tenant, user_id, pattern_id=pattern, limit=limit)

    found = asyncio.run(read())
    if as_json:
        from dataclasses import asdict

        print_json([asdict(each) for each in found])
        return
    if not found:
        say(f"no executions of user {user} in tenant {tenant}")
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Finished", "Status", "Pattern", "As of", "Took", "Execution"):
        table.add_column(
            name,
            justify="right" if name == "Took" else "left",
            overflow="fold",
            no_wrap=name in ("Finished", "As of", "Took", "Execution"),
        )
    for each in found:
        took = (each.finished_at - each.started_at).total_seconds() * 1000
        table.add_row(
            f"{each.finished_at:%Y-%m-%d %H:%M:%S}",
            each.status.value if each.error_code is None else f"{each.status.value} {each.error_code}",
            escape(each.pattern_id),
            each.asof.isoformat() if each.asof else "–",
            f"{took:.0f} ms",
            str(each.execution_id),
        )
    out().print(table)


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
            raise CommandFailed(f"there is no finished execution {execution_id} of this user")
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

    from cli.figures import duration
    from topics.messages import ExecutionResult

    assert isinstance(result, ExecutionResult)
    table = Table(title="Steps", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Step", "Capability", "Status", "Took", "Attempts", "Cache", "Output"):
        table.add_column(name, justify="right" if name in ("Took", "Attempts") else "left")
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
