"""`dawsos report`: a pattern's HTML report, over Kafka or over one's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEMO_TENANT, DEMO_USER, AsJson, Asof, Inputs, Switch, Tenant, User
from cli.output_files import writable_file

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE.html", help="The report: one file, no network needed.", dir_okay=False,
        rich_help_panel=Switch.OUTPUT, callback=writable_file,
    ),
]  # fmt: skip


def report_command(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Id of a pattern, or with files the path of one.")],
    out: Out = Path("report.html"),
    portfolio: Annotated[
        str | None, typer.Option("--portfolio", "-p", metavar="UUID|NAME", help="Portfolio, by id or name.")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="The bundled example, in this process.", rich_help_panel=Switch.FILES)
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Ledger in Beancount syntax.", rich_help_panel=Switch.FILES),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Prices: date,symbol,close,currency", rich_help_panel=Switch.FILES),
    ] = None,
    fx: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Exchange rates: date,base,quote,rate", rich_help_panel=Switch.FILES),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="CCY", help="Currency to report in.", rich_help_panel=Switch.FILES)
    ] = None,
    input_: Inputs = None,
    asof: Asof = None,
    tenant: Tenant = DEMO_TENANT,
    user: User = DEMO_USER,
    as_json: AsJson = False,
) -> None:
    """Run a pattern and write its report: every figure says on hover how it was made and from what.

    With --example or --ledger it runs in this process like `dawsos try`, else over Kafka like `dawsos run`.

    [bold]Examples[/]

      dawsos report performance_review --example --out review.html

      dawsos report tax_lots --portfolio growth --input year=2008 --out lots.html
    """
    from cli.run import run_command
    from cli.try_files import try_command

    if example or ledger is not None or prices is not None or fx is not None or base is not None:
        try_command(
            pattern,
            example=example,
            ledger=ledger,
            prices=prices,
            fx=fx,
            base=base,
            input_=input_,
            asof=asof,
            as_json=as_json,
            report=out,
        )
    else:
        run_command(
            pattern,
            portfolio=portfolio,
            input_=input_,
            asof=asof,
            tenant=tenant,
            user=user,
            as_json=as_json,
            report=out,
        )
