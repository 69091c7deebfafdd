"""`dawsos run`: ask for an execution over Kafka and wait for its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import say
from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Asof, Inputs, Report, Switch, Tenant, User

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from topics.messages import Gate


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for, checked as far as it can be without a server."""

    pattern: str
    portfolio: str | None
    inputs: dict[str, Any]
    asof: date | None
    gate: Gate | None
    tenant: str
    user_id: UUID
    deadline_s: float | None
    pack_id: UUID | None
    commit: str | None
    request_id: str | None


def run_command(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Id of a pattern the orchestrator knows.")],
    portfolio: Annotated[
        str | None, typer.Option("--portfolio", "-p", metavar="UUID|NAME", help="Portfolio, by id or name.")
    ] = None,
    input_: Inputs = None,
    asof: Asof = None,
    pack: Annotated[
        str | None,
        typer.Option(metavar="UUID", help="Run on exactly this pricing pack.", rich_help_panel=Switch.PINS),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Run on exactly this ledger commit.", rich_help_panel=Switch.PINS),
    ] = None,
    gate: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="When the day's prices are not final: reject, wait:SECONDS or serve_stale.",
            rich_help_panel=Switch.PINS,
        ),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, max=86_400, help="End it after so long in any case.")
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Name of the request: the same name is the same execution. Default: a new one."
        ),
    ] = None,
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Run a pattern over Kafka, like any upstream system would, and wait for the result.

    Exit codes: 0 succeeded, 2 usage, 3 rejected, 4 failed, 5 timed out, 6 cancelled, 7 service unavailable.

    [bold]Examples[/]

      dawsos run portfolio_overview --portfolio growth --asof 2012-12-31

      dawsos run portfolio_overview -p growth --gate wait:60 --report report.html

      dawsos run portfolio_overview -p growth --json | jq .data.perf_metrics.twr
    """
    import asyncio

    from cli.instance import find_user
    from cli.requests import parse_commit, parse_gate, parse_inputs, parse_uuid

    order = _Order(
        pattern=pattern,
        portfolio=portfolio,
        inputs=parse_inputs(input_ or ()),
        asof=asof,
        gate=parse_gate(gate),
        tenant=tenant,
        user_id=find_user(user),
        deadline_s=deadline,
        pack_id=parse_uuid(pack, "--pack") if pack else None,
        commit=parse_commit(commit),
        request_id=request_id,
    )
    asyncio.run(_run(order, as_json, report))


async def _run(order: _Order, as_json: bool, report: Path | None) -> None:
    from cli.instance import app_pool, connected
    from cli.kafka_run import execute, find_portfolio
    from cli.requests import make_request
    from cli.results import deliver, leave
    from cli.stored import complete

    found = connected()
    async with app_pool(found) as pool:
        portfolio_id = None
        if order.portfolio is not None:
            portfolio_id = await find_portfolio(pool, order.tenant, order.user_id, order.portfolio)
        request = make_request(
            order.pattern,
            tenant=order.tenant,
            user_id=order.user_id,
            portfolio_id=portfolio_id,
            inputs=order.inputs,
            asof=order.asof,
            gate=order.gate,
            deadline_s=order.deadline_s,
            pack_id=order.pack_id,
            ledger_commit=order.commit,
            request_id=order.request_id,
        )
        result = await execute(found, pool, request, f"{order.pattern} over Kafka", quiet=as_json)
        if order.portfolio is None and result.error is not None and "'portfolio_id' is missing" in result.error.message:
            say("hint: this pattern is about a portfolio; name it with --portfolio")
        stored = await complete(pool, result, details=report is not None or not as_json)
    deliver(
        stored.result,
        as_json=as_json,
        report=report,
        holdings=stored.holdings,
        portfolio_name=stored.portfolio_name,
        pattern_name=stored.pattern_name,
    )
    leave(stored.result)
