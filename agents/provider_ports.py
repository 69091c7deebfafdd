"""What the DataHarvester needs from data providers, as Protocols; `services/providers` implements them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bar:
    """One session's prices per share, on the share basis of its day."""

    on: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Split:
    """`ratio` new units per old, from the open of `on`."""

    on: date
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class CashDividend:
    """One dividend per share as declared; `kind` as the provider codes it."""

    ex_date: date
    pay_date: date | None
    amount: Decimal
    currency: str
    kind: str


class MarketFeed(Protocol):
    """Prices and corporate actions; `require_key` raises PROVIDER_NOT_CONFIGURED without a key, as any call does."""

    def require_key(self) -> None: ...  # noqa: D102
    async def daily_bars(self, symbol: str, start: date, end: date) -> list[Bar]: ...  # noqa: D102
    async def quote(self, symbol: str) -> Bar | None: ...  # noqa: D102
    async def splits(self, symbol: str) -> list[Split]: ...  # noqa: D102
    async def dividends(self, symbol: str) -> list[CashDividend]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Statement:
    """One annual report's figures; `filed` is the day from which they may be used."""

    symbol: str
    fiscal_year: int
    period_end: date
    filed: date
    currency: str
    facts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """One coming or past dividend; amount None while not declared."""

    symbol: str
    ex_date: date
    pay_date: date | None
    amount: Decimal | None


class StatementFeed(Protocol):
    """Company figures."""

    async def statements(self, symbol: str, limit: int) -> list[Statement]: ...  # noqa: D102
    async def ratios(self, symbol: str, limit: int) -> list[dict[str, float | str]]: ...  # noqa: D102
    async def calendar(self, start: date, end: date) -> list[CalendarEntry]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One figure; `realtime_start` is the day from which it stood."""

    on: date
    value: float
    realtime_start: date


class SeriesFeed(Protocol):
    """Macroeconomic series with vintages; `require_key` as a `MarketFeed` has it."""

    def require_key(self) -> None: ...  # noqa: D102
    async def series(self, series_id: str, asof: date) -> list[SeriesPoint]: ...  # noqa: D102
    async def vintages(  # noqa: D102
        self, series_id: str, start: date | None = None, end: date | None = None
    ) -> list[SeriesPoint]: ...
