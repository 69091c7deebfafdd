"""`dawsos ledger …`: check ledgers before they are committed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson

app = typer.Typer(no_args_is_help=True, help="Check ledgers in Beancount syntax.")


@app.callback()
def ledger() -> None:
    """Check ledgers in Beancount syntax."""


@app.command()
def check(
    place: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="Ledger file, or a directory with main.beancount.")],
    booking: Annotated[str | None, typer.Option(metavar="METHOD", help="Where the ledger names none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Parse and book a ledger and print every fault as file:line. Exit code 1 when there are faults.

    [bold]Example[/]

      dawsos ledger check data/example/ledger.beancount
    """
    from ledger.booking import book_with_faults
    from ledger.sources import UnknownLedger, from_disk

    try:
        booked, faults = book_with_faults(from_disk(place), booking)
    except UnknownLedger as error:
        raise CommandFailed(str(error), Exit.USAGE) from None
    if as_json:
        print_json(
            {
                "valid": not faults,
                "faults": [{"file": each.file, "line": each.line, "message": each.message} for each in faults],
                "bookings": len(booked.rows),
                "symbols": list(booked.symbols),
                "currencies": list(booked.currencies),
                "content_sha256": booked.content_hash,
            }
        )
    else:
        for each in faults:
            typer.echo(str(each))
        held = (
            f"{len(booked.rows)} bookings, {len(booked.symbols)} securities, currencies {', '.join(booked.currencies)}"
        )
        say(f"{len(faults)} faults" if faults else f"valid: {held}")
    raise typer.Exit(Exit.ERROR if faults else Exit.OK)
