"""`dawsos demo`: everything once, with real data, from nothing to a report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import say
from cli.options import AsJson
from cli.output_files import writable_folder

if TYPE_CHECKING:
    from local.stack import Stack
    from services.demo_data import DemoPortfolio
    from settings import Settings

_PATTERN = "portfolio_overview"


def demo_command(
    out_dir: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="Where result and report are written.",
            callback=writable_folder,
        ),
    ] = Path("out"),
    portfolio: Annotated[
        str, typer.Option("--portfolio", "-p", metavar="NAME", help="growth, income, global or savings.")
    ] = "growth",
    as_json: AsJson = False,
) -> None:
    """Value a real portfolio over real Kafka, Postgres and Redis, and write a report.

    Uses the running instance, or starts one and stops it at the end. Loads two users with four portfolios (ledgers
    in git) and nine years of real prices and exchange rates; a second run finds them. Nothing leaves the machine.

    [bold]Examples[/]

      dawsos demo

      dawsos demo --portfolio global --out reports

      dawsos demo --json > result.json
    """
    import asyncio

    from cli.exits import Exit
    from cli.failures import CommandFailed
    from services.demo_data import PORTFOLIOS

    chosen = next((each for each in PORTFOLIOS if _short(each) == portfolio.casefold()), None)
    if chosen is None:
        known = ", ".join(_short(each) for each in PORTFOLIOS)
        raise CommandFailed(f"--portfolio: expected one of {known}, got {portfolio!r}", Exit.USAGE)
    asyncio.run(_demo(chosen, out_dir, as_json))


async def _demo(chosen: DemoPortfolio, out_dir: Path, as_json: bool) -> None:
    from cli.instance import app_pool, settings
    from cli.kafka_run import execute
    from cli.requests import make_request
    from cli.results import deliver, leave, result_bytes, write_file
    from cli.stored import complete
    from local.stack import Stack
    from services.demo_users import TENANT

    chosen_settings = settings()
    if "kafka_optimizing" not in chosen_settings.model_fields_set:
        # An instance that is started here lives for seconds.
        chosen_settings = chosen_settings.model_copy(update={"kafka_optimizing": False})
    stack = Stack(chosen_settings, report=say)
    async with _started(stack) as found:
        await _load(found)
        request = make_request(_PATTERN, tenant=TENANT, user_id=chosen.user_id, portfolio_id=chosen.id, inputs={})
        async with app_pool(found) as pool:
            result = await execute(found, pool, request, f"{chosen.name}: {_PATTERN} over Kafka", quiet=False)
            stored = await complete(pool, result)
        report = out_dir / f"{_short(chosen)}.html"
        document = out_dir / f"{_short(chosen)}.json"
        deliver(
            stored.result,
            as_json=as_json,
            report=report,
            holdings=stored.holdings,
            portfolio_name=chosen.name,
            pattern_name=stored.pattern_name,
        )
        write_file(document, result_bytes(stored.result))
        say(f"result: {document}")
        if stack.started_here:
            say("stopping what was started; `dawsos up --detach` keeps an instance running, then try `dawsos run`")
    leave(stored.result)


@asynccontextmanager
async def _started(stack: Stack) -> AsyncIterator[Settings]:
    """Use the stack; why it did not start was reported line by line already."""
    from cli.exits import Exit
    from cli.failures import CommandFailed
    from local.errors import ServiceFailed

    try:
        found = await stack.__aenter__()
    except ServiceFailed as error:
        first = str(error).partition("\n")[0].rstrip(":")
        raise CommandFailed(f"{first}; the lines above say why", Exit.UNAVAILABLE) from error
    try:
        yield found
    finally:
        await stack.__aexit__(None, None, None)


async def _load(found: Settings) -> None:
    from cli.bars import Bars
    from cli.instance import app_pool, owner_pool
    from services.composition import ledger_repository
    from services.demo_data import load_demo

    async with owner_pool(found) as owner, app_pool(found) as app:
        with Bars() as bars:
            loaded = await load_demo(owner, app, ledger_repository(found), datetime.now(UTC), bars.update)
    say(f"demo data: {loaded.packs} pricing packs ({loaded.packs_written} new), ledger commit {loaded.commit[:12]}")


def _short(portfolio: DemoPortfolio) -> str:
    return Path(portfolio.path).stem
