"""`dawsos ledger …`: check ledgers and see what they hold, from files or at a commit of the ledger repository."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.options import AsJson, is_to_come, parse_date

if TYPE_CHECKING:
    from ledger.booked import Booked, Positions
    from ledger.directives import Fault
    from ledger.sources import Tree

app = typer.Typer(no_args_is_help=True, help="Check ledgers in Beancount syntax and list what they hold.")

Place = Annotated[
    Path,
    typer.Argument(
        metavar="FILE|DIR", help="Ledger file, or a directory with main.beancount; with --commit a path in the commit."
    ),
]
Booking = Annotated[
    str | None, typer.Option(metavar="METHOD", help="FIFO, LIFO, HIFO, AVERAGE or STRICT, where the ledger names none.")
]
Commit = Annotated[
    str | None, typer.Option(metavar="HASH|BRANCH", help="Read the instance's ledger repository at this commit.")
]
Repository = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Read this git repository instead of the instance's.")
]
AsofDay = Annotated[
    date | None, typer.Option(parser=parse_date, metavar="YYYY-MM-DD", help="End of this day. Default: the last entry.")
]


@app.callback()
def ledger() -> None:
    """Check ledgers in Beancount syntax and list what they hold."""


@app.command()
def check(
    place: Place,
    booking: Booking = None,
    commit: Commit = None,
    repository: Repository = None,
    as_json: AsJson = False,
) -> None:
    """Parse and book a ledger and print every fault as file:line. Exit code 1 when there are faults.

    [bold]Examples[/]

      dawsos ledger check data/example/ledger.beancount

      dawsos ledger check alice/growth.beancount --commit main
    """
    from ledger.checking import check as summarise

    tree = _tree(place, commit, repository)
    found = summarise(tree, _method(booking))
    if as_json:
        print_json(
            {
                "valid": not found.faults,
                "faults": _faults(found.faults),
                "commit": tree.commit,
                "title": found.title,
                "base": found.base,
                "files": list(found.files),
                "transactions": found.transactions,
                "bookings": found.bookings,
                "first": found.first,
                "last": found.last,
                "symbols": list(found.symbols),
                "currencies": list(found.currencies),
                "content_sha256": found.content_hash,
            }
        )
    else:
        for each in found.faults:
            typer.echo(str(each))
        held = (
            f"{counted(found.transactions, 'transaction')}, {counted(found.bookings, 'booking')},"
            f" {counted(len(found.symbols), 'security', 'securities')}, currencies {', '.join(found.currencies)}"
        )
        say(counted(len(found.faults), "fault") if found.faults else f"valid: {held}")
        if found.last is not None and is_to_come(found.last):
            say(f"its last entry is of {found.last}, which is still to come")
    raise typer.Exit(Exit.ERROR if found.faults else Exit.OK)


@app.command()
def positions(
    place: Place,
    asof: AsofDay = None,
    booking: Booking = None,
    commit: Commit = None,
    repository: Repository = None,
    as_json: AsJson = False,
) -> None:
    """List what is held: units and cost per security, cash per currency, dividends owed.

    Cost is in the currency the lots were bought in; values need prices, see `dawsos try`.

    [bold]Examples[/]

      dawsos ledger positions data/example/ledger.beancount --asof 2005-06-30

      dawsos ledger positions alice/growth.beancount --commit main --json
    """
    tree, held = _held(place, commit, repository, booking, asof)
    rows = _by_security(held)
    if as_json:
        print_json(
            {
                "asof": held.asof,
                "commit": tree.commit,
                "positions": rows,
                "cash": {currency: _plain(amount) for currency, amount in held.cash.items()},
                "receivables": [
                    {
                        "symbol": owed.symbol,
                        "currency": owed.currency,
                        "amount": _plain(owed.amount),
                        "pay_date": owed.pay_date,
                    }
                    for owed in held.receivables
                ],
            }
        )
        return
    _table(
        f"End of {held.asof}",
        {
            "Security": "symbol",
            "Units": "qty",
            "Cost": "cost",
            "Per unit": "cost_per_unit",
            "": "currency",
            "Lots": "lots",
        },
        rows,
    )
    _table(
        "Cash",
        {"": "currency", "Amount": "amount"},
        [{"currency": k, "amount": _plain(v)} for k, v in held.cash.items()],
    )
    if held.receivables:
        _table(
            "Dividends owed",
            {"Security": "symbol", "Amount": "amount", "": "currency", "Paid on": "on"},
            [
                {"symbol": o.symbol, "amount": _plain(o.amount), "currency": o.currency, "on": str(o.pay_date)}
                for o in held.receivables
            ],
        )


@app.command()
def lots(
    place: Place,
    asof: AsofDay = None,
    symbol: Annotated[str | None, typer.Option(help="Only lots of this security.")] = None,
    booking: Booking = None,
    commit: Commit = None,
    repository: Repository = None,
    as_json: AsJson = False,
) -> None:
    """List open lots: what is left of each purchase or short sale, its cost and the line that opened it.

    [bold]Example[/]

      dawsos ledger lots data/example/ledger.beancount --symbol AAPL
    """
    tree, held = _held(place, commit, repository, booking, asof)
    rows = [
        {
            "lot": lot.lot,
            "account": lot.account,
            "symbol": lot.symbol,
            "acquired": str(lot.acquired),
            "qty": _plain(lot.qty),
            "cost": _plain(round(lot.cost, 10)),
            "cost_per_unit": _per_unit(lot.cost, lot.qty),
            "currency": lot.currency,
        }
        for lot in held.lots
        if symbol in (None, lot.symbol)
    ]
    if as_json:
        print_json({"asof": held.asof, "commit": tree.commit, "lots": rows})
        return
    _table(
        f"End of {held.asof}",
        {
            "Security": "symbol",
            "Acquired": "acquired",
            "Units": "qty",
            "Cost": "cost",
            "Per unit": "cost_per_unit",
            "": "currency",
            "Account": "account",
            "Lot": "lot",
        },
        rows,
    )


def _tree(place: Path, commit: str | None, repository: Path | None) -> Tree:
    from ledger.sources import UnknownCommit, UnknownLedger, from_disk, from_git, resolve_ref

    try:
        if commit is None:
            if repository is not None:
                raise CommandFailed("--repository needs --commit: name a commit or a branch", Exit.USAGE)
            return from_disk(place)
        if repository is None:
            from cli.instance import settings
            from services.composition import ledger_repository

            repository = ledger_repository(settings())
        ref = commit if len(commit) == 40 or commit.startswith("refs/") else f"refs/heads/{commit}"
        return from_git(repository, resolve_ref(repository, ref), place.as_posix())
    except (UnknownLedger, UnknownCommit) as error:
        raise CommandFailed(str(error), Exit.USAGE) from None


def _held(
    place: Path, commit: str | None, repository: Path | None, booking: str | None, asof: date | None
) -> tuple[Tree, Positions]:
    from ledger.booking import book_with_faults

    tree = _tree(place, commit, repository)
    booked, faults = book_with_faults(tree, _method(booking))
    if faults:
        for each in faults:
            typer.echo(str(each), err=True)
        raise CommandFailed(
            f"{counted(len(faults), 'fault')}: correct them first, positions of a faulty ledger are wrong"
        )
    return tree, booked.positions(asof or _last_day(booked))


def _last_day(booked: Booked) -> date:
    return booked.rows[-1].on if booked.rows else date.min


def _method(booking: str | None) -> str | None:
    from ledger.parsing import BOOKING_METHODS

    if booking is not None and booking.upper() not in BOOKING_METHODS:
        raise CommandFailed(f"--booking: expected one of {', '.join(BOOKING_METHODS)}, got {booking!r}", Exit.USAGE)
    return booking and booking.upper()


def _by_security(held: Positions) -> list[dict[str, Any]]:
    from decimal import Decimal

    sums: dict[tuple[str, str], list[Any]] = {}
    for lot in held.lots:
        total = sums.setdefault((lot.symbol, lot.currency), [Decimal(0), Decimal(0), 0])
        total[0] += lot.qty
        total[1] += lot.cost
        total[2] += 1
    return [
        {
            "symbol": symbol,
            "qty": _plain(qty),
            "cost": _plain(round(cost, 10)),
            # Long here and short there may cancel out; then there is no cost per unit.
            "cost_per_unit": _per_unit(cost, qty) if qty else None,
            "currency": currency,
            "lots": count,
        }
        for (symbol, currency), (qty, cost, count) in sorted(sums.items())
    ]


def _faults(faults: tuple[Fault, ...]) -> list[dict[str, Any]]:
    return [{"file": each.file, "line": each.line, "message": each.message} for each in faults]


def _plain(number: Any) -> str:
    from ledger.booked import plain

    return plain(number)


def _per_unit(cost: Any, qty: Any) -> str:
    return _plain(round(cost / qty, 10))


def _table(title: str, columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, key in columns.items():
        number = key in ("qty", "cost", "cost_per_unit", "amount", "lots")
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*("–" if row[key] is None else escape(str(row[key])) for key in columns.values()))
    out().print(table)
