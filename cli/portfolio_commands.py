"""`dawsos portfolios …`: one's own portfolios on the server: what patterns run on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.instance import app_pool, connected, find_user
from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Tenant, User, whose

if TYPE_CHECKING:
    from db.portfolio import Portfolio
    from services.portfolio_book import Registered, Wanted

app = typer.Typer(no_args_is_help=True, help="List your portfolios and add your own: what patterns run on.")

_UNKNOWN_SHOWN_MAX = 10


@app.callback()
def portfolios() -> None:
    """List your portfolios and add your own: what patterns run on."""


@app.command(name="list")
def list_command(user: User = DEMO_USER, tenant: Tenant = DEMO_TENANT, as_json: AsJson = False) -> None:
    """List a user's portfolios.

    [bold]Example[/]

      dawsos portfolios list --user bob
    """
    import asyncio

    async def read() -> Any:
        from db.portfolios import PortfolioRepository

        async with app_pool(connected()) as pool:
            return await PortfolioRepository(pool).list(tenant, find_user(user))

    found = asyncio.run(read())
    if as_json:
        print_json({"portfolios": [_as_json(each) for each in found]})
        return
    if found:
        _print(found)
    say(whose(tenant, user, "portfolios"))


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call it; `dawsos run --portfolio NAME`.")],
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            exists=True,
            help="Ledger file, or a directory with main.beancount: copied into the ledger repository and committed.",
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Instead of --ledger: a ledger that is in the ledger repository already."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="CCY", help="Base currency. Default: the ledger's operating_currency.")
    ] = None,
    booking: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Where the ledger's accounts name none. Default: FIFO.")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Index that risk figures are compared with.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="Pricing policy whose packs value it. Default: DAWSOS_POLICY, at first the demo's."),
    ] = None,
    user: User = DEMO_USER,
    tenant: Tenant = DEMO_TENANT,
    as_json: AsJson = False,
) -> None:
    """Add a portfolio with its ledger, or change the one of that name.

    The ledger is booked first: with faults nothing is changed, and each is printed as file:line. Given again, changed
    files become the next commit; results pinned to an earlier one stay as they are. The same again changes nothing.

    [bold]Examples[/]

      dawsos portfolios add savings --ledger data/example/ledger.beancount

      dawsos portfolios add savings --ledger books/ --base CAD --benchmark SPX --user bob
    """
    import asyncio

    from services.portfolio_book import Wanted
    from topics.errors import Code, TerminalError

    if (ledger is None) == (path is None):
        raise CommandFailed("give the ledger either by --ledger or by --path", Exit.USAGE)
    wanted = Wanted(name, base, booking, benchmark, policy)
    try:
        registered = asyncio.run(_add(wanted, ledger, path, tenant, user))
    except TerminalError as error:
        if error.code is not Code.LEDGER_INVALID:
            raise
        faults: list[str] = error.details["faults"]  # type: ignore[assignment]
        if as_json:
            print_json({"outcome": "refused", "faults": faults})
        else:
            for each in faults:
                typer.echo(each)
        raise CommandFailed(f"nothing was changed: the ledger has {counted(len(faults), 'fault')}") from None
    if as_json:
        print_json(
            {
                "outcome": registered.outcome,
                "portfolio": _as_json(registered.portfolio),
                "ledger_commit": registered.commit,
                "symbols": list(registered.symbols),
                "unknown_symbols": list(registered.unknown),
                "pack_day": registered.pack_day,
            }
        )
    else:
        _say(registered, user)


async def _add(wanted: Wanted, ledger: Path | None, path: str | None, tenant: str, user: str) -> Registered:
    from ledger.sources import UnknownLedger, from_disk
    from services.composition import ledger_repository
    from services.portfolio_book import add_portfolio

    found = connected()
    try:
        source = path if ledger is None else from_disk(ledger)
    except UnknownLedger as error:
        raise CommandFailed(str(error), Exit.USAGE) from None
    assert source is not None
    async with app_pool(found) as pool:
        return await add_portfolio(
            pool, ledger_repository(found), tenant, find_user(user), wanted, source, datetime.now(UTC), found.policy
        )


def _say(registered: Registered, user: str) -> None:
    from agents.naming import first_named

    portfolio = registered.portfolio
    say(f"{registered.outcome}: {portfolio.name}, {portfolio.id}, ledger at commit {registered.commit}")
    if registered.pack_day is None:
        say(f"policy {portfolio.policy} has no packs yet: `dawsos packs import --policy {portfolio.policy} …`")
    elif registered.unknown:
        say(
            f"the pack of {registered.pack_day} ({portfolio.policy}) knows nothing of"
            f" {first_named(registered.unknown, _UNKNOWN_SHOWN_MAX)}: they have no value until packs with their prices"
            " are there, see `dawsos packs import`"
        )
    name = f'"{portfolio.name}"' if " " in portfolio.name else portfolio.name
    of_user = "" if user == DEMO_USER else f" --user {user}"
    say(f"dawsos run portfolio_overview --portfolio {name}{of_user}")


def _print(found: Any) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Name", "Base", "Booking", "Benchmark", "Policy", "Ledger", "Id"):
        table.add_column(heading, overflow="fold")
    for each in found:
        benchmark = each.benchmark_id or "–"
        cells = (each.name, each.base_ccy, each.booking, benchmark, each.policy, each.ledger_path, str(each.id))
        table.add_row(*map(escape, cells))
    out().print(table)


def _as_json(portfolio: Portfolio) -> dict[str, Any]:
    return {
        "id": portfolio.id,
        "name": portfolio.name,
        "base_ccy": portfolio.base_ccy,
        "benchmark_id": portfolio.benchmark_id,
        "booking": portfolio.booking,
        "ledger_path": portfolio.ledger_path,
        "policy": portfolio.policy,
    }
