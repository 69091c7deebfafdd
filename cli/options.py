"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.output_files import writable_file


def parse_date(text: str) -> date:
    """Return a day written like 2012-12-31.

    Raises:
        typer.BadParameter: anything else.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a date like 2012-12-31, got {text!r}") from None


def is_to_come(on: date) -> bool:
    """Whether a day has not begun where this runs: mostly a mistyped year."""
    return on > datetime.now().astimezone().date()


class Switch(StrEnum):
    """Names of option panels in help texts."""

    OUTPUT = "Output"
    PINS = "Data versions"
    FILES = "Your files"
    WHO = "On behalf of"


AsJson = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON document to stdout.", rich_help_panel=Switch.OUTPUT)
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write an HTML report with charts: one file, no network needed.",
        rich_help_panel=Switch.OUTPUT,
        dir_okay=False,
        callback=writable_file,
    ),
]
Asof = Annotated[
    date | None,
    typer.Option(
        parser=parse_date,
        metavar="YYYY-MM-DD",
        help="Day to value at. Default: the newest day with prices.",
        rich_help_panel=Switch.PINS,
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="NAME=VALUE",
        help="Input of the pattern; repeatable. The value is JSON if it parses as JSON, else text.",
    ),
]
Tenant = Annotated[str, typer.Option(help="Tenant the data belongs to.", rich_help_panel=Switch.WHO)]
User = Annotated[
    str, typer.Option(metavar="UUID|NAME", help="User who asks; a demo user's name works.", rich_help_panel=Switch.WHO)
]
# Of services.demo_users, which help texts need not load.
DEMO_TENANT = "demo"
DEMO_USER = "alice"


# What a command says that looked at the executions of one user only.
CHOOSE_ANOTHER = "--user and --tenant choose another"


def whose(tenant: str, user: str, what: str = "executions") -> str:
    """Return the line that says whose executions, or what else, a command is about when it was not told which by id."""
    return f"{what} of user {user}, tenant {tenant}; {CHOOSE_ANOTHER}"
