"""Market sources of the pack builder: the bundled data, a folder of files, the European Central Bank, providers."""

import asyncio
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from agents.pack_ports import MacroPoint, MarketSource, QuotedPrice, QuotedRate
from agents.ports import RateRow
from db.pack_content import CARRY_DAYS_MAX
from services.market_files import (
    PRICE_COLUMNS,
    RATE_COLUMNS,
    MarketFile,
    ParquetMissing,
    market_text,
    prices_of,
    rates_of,
    read_market_file,
)
from services.price_files import FilesRejected
from services.provider_sources import FredSource, PolygonSource
from settings import Settings
from topics.errors import Code, RetryableError, TerminalError

MACRO_COLUMNS = ("series_id", "obs_date", "vintage", "value")
_ECB_TIMEOUT_S = 30.0
_ECB_BYTES_MAX = 64 * 1024 * 1024
Row = TypeVar("Row")
_SUFFIXES = (".csv", ".parquet", ".zip")


class NamedSources:
    """See `agents.pack_ports.MarketSources`.

    Args:
        sources: by name.
    """

    def __init__(self, sources: Mapping[str, MarketSource]) -> None:
        self._sources = dict(sources)

    def get(self, name: str) -> MarketSource:
        """See `agents.pack_ports.MarketSources`."""
        if name not in self._sources:
            raise TerminalError(
                Code.INVALID_INPUT, f"expected a market source among {', '.join(sorted(self._sources))}, got {name!r}"
            )
        return self._sources[name]


def market_sources(
    settings: Settings, clients: Mapping[str, Any], more: Mapping[str, MarketSource] | None = None
) -> NamedSources:
    """Return the sources of a worker; one that is not configured says so when it is asked.

    Args:
        settings: folder, addresses, symbols and series.
        clients: from `services.provider_clients`, so that their limits are kept together with the DataHarvester's.
        more: further ones by name.
    """
    series = settings.pack_series
    return NamedSources(
        {
            "bundled": BundledSource(),
            "folder": FolderSource(settings.pack_folder),
            "ecb": EcbSource(settings.ecb_url),
            "polygon": PolygonSource(clients["market"], settings.pack_symbols),
            "fred": FredSource(clients["series"], series, whole=False),
            "fred_history": FredSource(clients["series"], series, whole=True),
            **(more or {}),
        }
    )


class BundledSource:
    """Closes of five US shares and ECB rates, 2000 to 2013; no macro series."""

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """See `agents.pack_ports.MarketSource`."""
        from services.packs_build import bundled_closes

        rows = await asyncio.to_thread(lambda: list(bundled_closes(asof, asof)))
        return [QuotedPrice(row.symbol, row.close, row.currency, row.observed_on, row.source) for row in rows]

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """See `agents.pack_ports.MarketSource`."""
        from services.packs_build import bundled_rates

        rows = await asyncio.to_thread(lambda: list(bundled_rates(asof)))
        return newest_rates([(row.observed_on, row.base, row.quote, row.rate) for row in rows], asof, "ecb")

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """See `agents.pack_ports.MarketSource`; the bundled data has none."""
        return ()


class FolderSource:
    """Files that a pipeline leaves in a folder: prices, fx and macro, each as .csv or .parquet.

    Args:
        folder: None when it is not configured.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """See `agents.pack_ports.MarketSource`."""
        rows = await self._read("prices", PRICE_COLUMNS, prices_of)
        return [QuotedPrice(row[1], row[2], row[3], row[0], "folder") for row in rows if row[0] == asof]

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """See `agents.pack_ports.MarketSource`."""
        return newest_rates(await self._read("fx", RATE_COLUMNS, rates_of), asof, "folder")

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """Return every vintage published up to the day; none without a file."""
        folder = self._place()
        if _file_in(folder, "macro") is None:
            return ()
        return [row for row in await self._read("macro", MACRO_COLUMNS, _macro_of) if row.vintage <= asof]

    async def _read(self, name: str, columns: tuple[str, ...], parse: Callable[[MarketFile], list[Row]]) -> list[Row]:
        path = _file_in(self._place(), name)
        if path is None:
            raise TerminalError(
                Code.INVALID_INPUT, f"expected {name}.csv or {name}.parquet in {self._folder}, found none"
            )
        try:
            return await asyncio.to_thread(lambda: parse(read_market_file(path, columns)))
        except (FilesRejected, ParquetMissing) as error:
            raise TerminalError(Code.INVALID_INPUT, str(error)) from error

    def _place(self) -> Path:
        if self._folder is None:
            raise TerminalError(
                Code.INVALID_INPUT, "the market source `folder` is not configured: set DAWSOS_PACK_FOLDER"
            )
        return self._folder


class EcbSource:
    """Reference rates from the European Central Bank, fetched anew for every pack.

    Args:
        url: of its table, CSV or zip.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """See `agents.pack_ports.MarketSource`; the ECB publishes none."""
        raise TerminalError(Code.INVALID_INPUT, "the market source `ecb` has exchange rates only")

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """See `agents.pack_ports.MarketSource`.

        Raises:
            RetryableError: no answer, 429 or 5xx, or a body that breaks off.
            TerminalError: another status, or a body that is no table of rates.
        """
        data = await fetch(self._url, "ecb")
        try:
            rows = await asyncio.to_thread(lambda: rates_of(market_text("ecb", data, RATE_COLUMNS)))
        except (FilesRejected, ParquetMissing) as error:
            raise TerminalError(Code.UPSTREAM_FAILED, f"{self._url}: {error}") from error
        return newest_rates(rows, asof, "ecb")

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """See `agents.pack_ports.MarketSource`; this table has none."""
        raise TerminalError(Code.INVALID_INPUT, "the market source `ecb` has exchange rates only")


async def fetch(url: str, service: str) -> bytes:
    """Return the bytes behind an address.

    Args:
        url: http or https.
        service: whose circuit counts failures.

    Raises:
        RetryableError: see `EcbSource.rates`.
        TerminalError: likewise.
    """
    import httpx

    try:
        async with httpx.AsyncClient(timeout=_ECB_TIMEOUT_S, follow_redirects=True) as client:
            async with client.stream("GET", url) as answer:
                if answer.status_code == 429 or answer.status_code >= 500:
                    raise RetryableError(
                        Code.UPSTREAM_FAILED,
                        f"{url} answered {answer.status_code}",
                        retry_after_s=_retry_after(answer.headers.get("retry-after")),
                        service=service,
                    )
                if answer.status_code != 200:
                    raise TerminalError(Code.UPSTREAM_FAILED, f"{url} answered {answer.status_code}")
                data = bytearray()
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > _ECB_BYTES_MAX:
                        raise TerminalError(Code.UPSTREAM_FAILED, f"{url} sends more than {_ECB_BYTES_MAX} bytes")
                return bytes(data)
    except httpx.HTTPError as error:
        raise RetryableError(
            Code.UPSTREAM_FAILED, f"{url}: {type(error).__name__} {error}".rstrip(), service=service
        ) from error


def newest_rates(rows: Sequence[RateRow], asof: date, source: str) -> list[QuotedRate]:
    """Return each pair's newest rate up to a day, at most `CARRY_DAYS_MAX` days old, by pair."""
    first = asof - timedelta(days=CARRY_DAYS_MAX)
    newest: dict[tuple[str, str], RateRow] = {}
    for row in rows:
        if first <= row[0] <= asof and ((row[1], row[2]) not in newest or newest[row[1], row[2]][0] < row[0]):
            newest[row[1], row[2]] = row
    return [QuotedRate(base, quote, row[3], row[0], source) for (base, quote), row in sorted(newest.items())]


def _macro_of(file: MarketFile) -> list[MacroPoint]:
    rows: list[MacroPoint] = []
    faults: list[str] = []
    reader = csv.DictReader(io.StringIO(file.text))
    if tuple(reader.fieldnames or ()) != MACRO_COLUMNS:
        raise TerminalError(Code.INVALID_INPUT, f"{file.name}:1: expected columns {','.join(MACRO_COLUMNS)}")
    for row in reader:
        try:
            value = Decimal(row["value"]) if row["value"].strip() else None
            rows.append(
                MacroPoint(
                    row["series_id"],
                    date.fromisoformat(row["obs_date"]),
                    date.fromisoformat(row["vintage"]),
                    value,
                    "folder",
                )
            )
        except (ValueError, InvalidOperation, AttributeError) as error:
            faults.append(f"{file.name}:{reader.line_num}: {error}")
    if faults:
        raise TerminalError(Code.INVALID_INPUT, "; ".join(faults[:20]), faults=faults)
    return rows


def _file_in(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}{suffix}" for suffix in _SUFFIXES) if path.is_file()), None)


def _retry_after(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
