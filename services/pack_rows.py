"""The pack repository as agents read it: columns per symbol and pair turned into dated rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from agents.ports import PackDecision, PriceRow, RateRow, Security


class Columns(Protocol):
    """A series as `db.pack_series.PackSeries` holds it."""

    @property
    def dates(self) -> tuple[date, ...]: ...  # noqa: D102
    @property
    def closes(self) -> Mapping[str, tuple[Decimal | None, ...]]: ...  # noqa: D102
    @property
    def currencies(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def observed(self) -> Mapping[str, tuple[date | None, ...]]: ...  # noqa: D102
    @property
    def rates(self) -> Mapping[tuple[str, str], tuple[Decimal | None, ...]]: ...  # noqa: D102
    @property
    def sources(self) -> tuple[str, ...]: ...  # noqa: D102


class PackStore(Protocol):
    """What is needed of a pack repository."""

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision: ...  # noqa: D102
    async def series(  # noqa: D102
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> Columns: ...
    async def securities(self, symbols: Sequence[str]) -> Mapping[str, Security]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Rows:
    """See `agents.ports.PackSeries`."""

    dates: tuple[date, ...]
    prices: Sequence[PriceRow]
    rates: Sequence[RateRow]
    sources: Sequence[str]


class RowPacks:
    """See `agents.ports.PackPort`."""

    def __init__(self, store: PackStore) -> None:
        self._store = store

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision:
        """See `agents.ports.PackPort`."""
        return await self._store.resolve(policy, asof, pack_id)

    async def series(
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> Rows:
        """See `agents.ports.PackPort`."""
        columns = await self._store.series(pack_id, symbols, currencies, start)
        prices: list[PriceRow] = []
        for symbol, closes in columns.closes.items():
            currency = columns.currencies[symbol]
            prices += [
                (seen or on, symbol, close, currency)
                for on, seen, close in zip(columns.dates, columns.observed[symbol], closes, strict=True)
                if close is not None
            ]
        rates: list[RateRow] = []
        for (base, quote), column in columns.rates.items():
            rates += [
                (on, base, quote, rate) for on, rate in zip(columns.dates, column, strict=True) if rate is not None
            ]
        return Rows(columns.dates, prices, rates, columns.sources)

    async def securities(self, symbols: Sequence[str]) -> Mapping[str, Security]:
        """See `agents.ports.PackPort`."""
        return await self._store.securities(symbols)
