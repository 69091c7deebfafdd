"""`dawsos try`: a pattern over a user's own files, in this process, without any server."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.options import AsJson, Asof, Inputs, Report, Switch, is_to_come, parse_date

if TYPE_CHECKING:
    from services.local_data import LocalData

_PATTERN_DEFAULT = "portfolio_overview"


def try_command(
    pattern: Annotated[
        str | None, typer.Argument(metavar="[PATTERN]", help="Id of a known pattern, or the path of a pattern file.")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Use the bundled example: real prices and rates of 2004 and 2005.")
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
        typer.Option(
            metavar="CSV",
            help="Exchange rates: date,base,quote,rate (quote units for 1 base). Not needed in one currency.",
            rich_help_panel=Switch.FILES,
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="CCY", help="Currency to report in.", rich_help_panel=Switch.FILES)
    ] = None,
    asof: Asof = None,
    start: Annotated[
        date | None,
        typer.Option(
            parser=parse_date,
            metavar="YYYY-MM-DD",
            help="First day to value. Default: the first day with prices.",
            rich_help_panel=Switch.PINS,
        ),
    ] = None,
    input_: Inputs = None,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Run a pattern over your own files, in this process: no server, no account, nothing stored.

    The same engine, agents and digests as over Kafka. Good for a first look and for writing patterns.

    [bold]Examples[/]

      dawsos try --example --report report.html

      dawsos try portfolio_overview --ledger my.beancount --prices prices.csv --fx fx.csv --base CAD

      dawsos try my_pattern.json --example --input top_n=5 --json
    """
    import asyncio

    from cli.requests import parse_inputs

    inputs = parse_inputs(input_ or ())
    data = _data(example, ledger, prices, fx, base, start)
    name = pattern or (_PATTERN_DEFAULT if example else None)
    if name is None:
        raise CommandFailed("expected a PATTERN, for example portfolio_overview", Exit.USAGE)
    asyncio.run(_try(name, data, example, inputs, asof, as_json, report))


async def _try(
    name: str,
    data: LocalData,
    example: bool,
    inputs: dict[str, Any],
    asof: date | None,
    as_json: bool,
    report: Path | None,
) -> None:
    from cli.artifacts import read_all
    from cli.holdings import find_holdings
    from cli.instance import settings
    from cli.pattern_commands import find_pattern
    from cli.progress import StepProgress
    from cli.requests import make_request
    from cli.results import deliver, leave
    from services.composition import build_runtime_local
    from services.local_artifacts import LocalArtifacts
    from services.local_data import TENANT, USER_ID
    from services.runner import run_in_process

    artifacts = LocalArtifacts()
    found = settings()
    runtime = build_runtime_local(data, agents=found.agents, artifacts=artifacts)
    compiled = find_pattern(name)
    declared = compiled.inputs_schema.get("properties", {})
    portfolio_id = data.portfolio.id
    if "portfolio_id" in declared:
        inputs.setdefault("portfolio_id", str(portfolio_id))
    request = make_request(
        compiled.id,
        tenant=TENANT,
        user_id=USER_ID,
        portfolio_id=portfolio_id if compiled.needs_pins else None,
        inputs=inputs,
        asof=asof,
    )
    with StepProgress(f"{compiled.name} in this process", quiet=as_json) as progress:
        result = await run_in_process(request, compiled, runtime, on_progress=progress.update)
        progress.complete(result.trace)
    portfolio_name = "Example portfolio" if example else data.portfolio.name
    rows = find_holdings(result, await read_all(artifacts, result))
    deliver(
        result,
        as_json=as_json,
        report=report,
        holdings=rows,
        portfolio_name=portfolio_name,
        pattern_name=compiled.name,
        pattern=compiled,
    )
    leave(result)


def _data(
    example: bool, ledger: Path | None, prices: Path | None, fx: Path | None, base: str | None, start: date | None
) -> LocalData:
    from services.local_data import example_data, read_local_data

    given = {"--ledger": ledger, "--prices": prices, "--fx": fx, "--base": base}
    if example:
        extra = [option for option, value in given.items() if value is not None]
        if extra:
            raise CommandFailed(f"--example brings its own files: leave out {', '.join(extra)}", Exit.USAGE)
        return example_data(start)
    if ledger is None or prices is None or base is None:
        missing = [option for option in ("--ledger", "--prices", "--base") if given[option] is None]
        raise CommandFailed(f"expected {', '.join(missing)} (or --example for the bundled files)", Exit.USAGE)
    data = read_local_data(ledger, prices, fx, base, start)
    last = data.packs.dates[-1]
    if is_to_come(last):
        say(f"{prices.name}: its prices go on to {last}, which is still to come; without --asof that day is shown")
    return data
