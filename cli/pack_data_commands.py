"""`dawsos packs import | verify | diff`: market data into packs, and proof of what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json, say
from cli.exits import Exit
from cli.failures import CommandFailed
from cli.figures import counted
from cli.options import AsJson, parse_date
from cli.requests import parse_uuid

if TYPE_CHECKING:
    from services.market_files import MarketFile
    from services.pack_import_report import ImportReport
    from services.pack_import_request import ImportRequest

Day = Annotated[date | None, typer.Option(parser=parse_date, metavar="YYYY-MM-DD")]
_WARNINGS_SHOWN_MAX = 5
File = Path | None


def import_command(
    policy: Annotated[str, typer.Option(help="Pricing policy the packs belong to; made if it is new.")],
    prices: Annotated[
        File, typer.Option(metavar="FILE", help="Closes: CSV or Parquet with date,symbol,close,currency.")
    ] = None,
    fx: Annotated[
        File, typer.Option(metavar="FILE", help="Rates: CSV or Parquet with date,base,quote,rate, or the ECB's table.")
    ] = None,
    ecb: Annotated[bool, typer.Option("--ecb", help="Fetch the rates from the European Central Bank.")] = False,
    identifiers: Annotated[
        File,
        typer.Option(metavar="FILE", help="CSV symbol,scheme,value,valid_from,valid_to: isin, figi, vendor codes."),
    ] = None,
    identify_by: Annotated[
        str | None, typer.Option(metavar="SCHEME", help="The symbols in the price file are codes of this scheme.")
    ] = None,
    calendar: Annotated[
        str | None,
        typer.Option(
            metavar="MIC", help="Exchange whose sessions have packs, e.g. XNYS. Default: the days with prices."
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="Provider of the prices, as rows and traces will say.")] = "import",
    start: Annotated[date | None, typer.Option("--from", parser=parse_date, metavar="YYYY-MM-DD")] = None,
    end: Annotated[date | None, typer.Option("--to", parser=parse_date, metavar="YYYY-MM-DD")] = None,
    require: Annotated[
        list[str] | None, typer.Option(metavar="SYMBOL", help="Securities every pack must have; repeatable.")
    ] = None,
    expected_by: Annotated[
        str | None,
        typer.Option(
            metavar="HH:MM",
            help="A session's pack is overdue after this time of its day; needs an exchange's calendar.",
        ),
    ] = None,
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="That time's zone.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Load closes and exchange rates: one fresh pack per session. Importing the same again changes nothing.

    A day whose rows differ gets the next revision; answers pinned to the old one can still be made again. Without
    --prices or without --fx, that half of each pack stays as it is.

    [bold]Examples[/]

      dawsos packs import --policy mine --prices data/example/prices.csv --fx data/example/fx.csv

      dawsos packs import --policy mine --prices closes.parquet --ecb --calendar XNYS
    """
    import asyncio

    if prices is None and fx is None and not ecb and identifiers is None:
        raise CommandFailed("nothing to import: give --prices, --fx, --ecb or --identifiers", Exit.USAGE)
    if fx is not None and ecb:
        raise CommandFailed("give --fx or --ecb, not both", Exit.USAGE)
    if calendar is not None:
        _require_exchange(calendar)
    from db.identifiers import UnknownSecurities
    from services.identifier_files import read_identifiers
    from services.market_files import ParquetMissing
    from services.price_files import FilesRejected

    try:
        named = None if identifiers is None else read_identifiers(identifiers)
        request = _request(
            policy=policy,
            prices=prices,
            fx=fx,
            ecb=ecb,
            identifiers=() if named is None else named.identifiers,
            identify_by=identify_by,
            calendar=calendar,
            source=source,
            start=start,
            end=end,
            required_symbols=None if require is None else tuple(require),
            expected_by=_time(expected_by),
            time_zone=time_zone,
        )
        try:
            report = asyncio.run(_load(request, quiet=as_json))
        except UnknownSecurities as unknown:
            if named is None:
                raise
            raise named.unknown(unknown.symbols) from None
    except FilesRejected as rejected:
        for fault in rejected.faults:
            typer.echo(str(fault), err=True)
        raise CommandFailed(f"{counted(len(rejected.faults), 'fault')}, nothing was imported") from None
    except ParquetMissing as missing:
        raise CommandFailed(str(missing), Exit.UNAVAILABLE) from None
    if as_json:
        print_json(report.as_json())
    else:
        say(f"{report.created} created, {report.restated} restated, {report.unchanged} unchanged")
        if report.to_come:
            days = f"{report.to_come[0]}" + (f" to {report.to_come[-1]}" if len(report.to_come) > 1 else "")
            say(f"{counted(len(report.to_come), 'pack')} of a day that is still to come: {days}")
        if report.keeping:
            say(str(report.keeping))
        if report.identifiers:
            say(f"{counted(report.identifiers, 'identifier')} new or changed")
        for each in report.doubtful:
            say(str(each))
        if report.calendar is not None and report.calendar[0] != policy:
            name, until = report.calendar
            say(f"calendar {name} known until {until}")
        for on, found in report.faulty:
            say(f"{on} not built: {found.subject and f'{found.subject}: '}{found.message}")
        if report.warnings:
            say(f"{counted(len(report.warnings), 'warning')}; `dawsos packs show PACK` lists those of a pack")
            for on, found in report.warnings[:_WARNINGS_SHOWN_MAX]:
                say(f"{on}: {found.subject and f'{found.subject}: '}{found.message}")
            if len(report.warnings) > _WARNINGS_SHOWN_MAX:
                say(f"and {len(report.warnings) - _WARNINGS_SHOWN_MAX} more: --json lists them all")
    if report.faulty:
        raise typer.Exit(Exit.ERROR)


def verify_command(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="Id of the pack, a UUID.")],
    prices: Annotated[File, typer.Option(metavar="FILE", help="Rebuild from this file and compare.")] = None,
    fx: Annotated[File, typer.Option(metavar="FILE", help="Rebuild from this file and compare.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a frozen pack's SHA-256 again from its rows; with files, rebuild it from them too and compare.

    Exit code 1 when a digest differs, with the rows that do.
    """
    import asyncio

    found = asyncio.run(_verify(pack, prices, fx))
    if as_json:
        print_json(found)
    else:
        say(f"{found['pack_id']}: SHA-256 {found['content_sha256']}, as frozen")
        for change in found["differences"]:
            before, after = (change[side] or "none" for side in ("before", "after"))
            typer.echo(f"{change['kind']} of {change['name']}: pack {before}, files {after}")
        if prices is not None or fx is not None:
            say("the files rebuild it" if found["rebuilt"] else f"{_differ(found['differences'])} from the files")
    if found["rebuilt"] is False:
        raise typer.Exit(Exit.ERROR)


def diff_command(
    before: Annotated[str, typer.Argument(metavar="PACK", help="Id of a pack.")],
    after: Annotated[str, typer.Argument(metavar="PACK", help="Id of another, mostly its next revision.")],
    as_json: AsJson = False,
) -> None:
    """Show the prices and rates that differ between two packs, e.g. what a restatement changed."""
    import asyncio

    async def read() -> Any:
        from cli.instance import app_pool, connected
        from db.packs import PackRepository

        async with app_pool(connected()) as pool:
            return await PackRepository(pool).difference(parse_uuid(before, "PACK"), parse_uuid(after, "PACK"))

    changes = asyncio.run(read())
    if as_json:
        print_json([change.as_json() for change in changes])
        return
    # What was restated before what only comes from elsewhere.
    for change in sorted(changes, key=lambda change: not change.restated):
        typer.echo(str(change))
    say(_differ(changes) if changes else "no difference")


def _differ(rows: Sequence[Any]) -> str:
    return f"{counted(len(rows), 'row')} {'differs' if len(rows) == 1 else 'differ'}"


def _time(text: str | None) -> time | None:
    if text is None:
        return None
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"--expected-by: expected a time like 18:30, got {text!r}", Exit.USAGE) from None


def _require_exchange(calendar: str) -> None:
    from services.packs_build import is_exchange

    if not is_exchange(calendar):
        raise CommandFailed(f"--calendar: expected the code of an exchange like XNYS, got {calendar!r}", Exit.USAGE)


def _request(
    *,
    policy: str,
    prices: Path | None,
    fx: Path | None,
    ecb: bool,
    calendar: str | None,
    source: str,
    **others: Any,
) -> ImportRequest:
    from services.market_files import PRICE_COLUMNS, RATE_COLUMNS, prices_of, rates_of, read_market_file
    from services.pack_import_request import GivenOrigin, GivenPrice, GivenRate, ImportRequest

    origins: list[GivenOrigin] = []
    closes = rates = None
    if prices is not None:
        file = read_market_file(prices, PRICE_COLUMNS)
        origins.append(GivenOrigin(kind="prices", source=source, name=file.name, sha256=file.sha256))
        closes = tuple(GivenPrice(symbol=r[1], close=r[2], currency=r[3], observed_on=r[0]) for r in prices_of(file))
    if fx is not None or ecb:
        file = _ecb() if ecb or fx is None else read_market_file(fx, RATE_COLUMNS)
        rows = rates_of(file)
        provider = "ecb" if ecb else source
        origins.append(GivenOrigin(kind="rates", source=provider, name=file.name, sha256=file.sha256))
        rates = tuple(GivenRate(base=r[1], quote=r[2], rate=r[3], observed_on=r[0]) for r in rows)
    return ImportRequest(
        policy=policy,
        exchange=calendar,
        prices=closes,
        rates=rates,
        source=source,
        rates_source="ecb" if ecb else source,
        origins=tuple(origins),
        **others,
    )


def _ecb() -> MarketFile:
    import asyncio

    from cli.instance import settings
    from services.market_files import RATE_COLUMNS, market_text
    from services.market_sources import fetch

    url = settings().ecb_url
    return market_text(url, asyncio.run(fetch(url, "ecb")), RATE_COLUMNS)


async def _load(request: ImportRequest, *, quiet: bool) -> ImportReport:
    from cli.bars import Bars
    from cli.instance import connected, owner_pool
    from services.pack_import import import_packs

    async with owner_pool(connected()) as pool:
        with Bars(quiet=quiet) as bars:
            return await import_packs(
                pool, request, datetime.now(UTC), lambda done, total: bars.update("packs", done, total)
            )


async def _verify(pack: str, prices: Path | None, fx: Path | None) -> dict[str, Any]:
    from cli.instance import app_pool, connected
    from db.packs import PackRepository
    from services.pack_import import rebuilt_difference

    pack_id = parse_uuid(pack, "PACK")
    async with app_pool(connected()) as pool:
        packs = PackRepository(pool)
        digest = await packs.verify(pack_id)
        changes = []
        if prices is not None or fx is not None:
            request = _request(policy="verify", prices=prices, fx=fx, ecb=False, calendar=None, source="files")
            changes = await rebuilt_difference(packs, pack_id, request)
    return {
        "pack_id": str(pack_id),
        "content_sha256": digest,
        "rebuilt": None if prices is None and fx is None else not changes,
        "differences": [change.as_json() for change in changes],
    }
