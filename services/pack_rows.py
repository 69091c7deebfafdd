"""The pack repository as agents read it: columns per symbol and pair turned into dated rows.

What goes on where a series ended that was turned before is turned from there on.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol, TypeVar
from uuid import UUID

from agents.ports import PackDecision, PriceRow, RateRow, Security

# As many as the repository keeps.
_KEPT_MAX = 16
T = TypeVar("T")


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
    async def securities(self, pack_id: UUID, symbols: Sequence[str]) -> Mapping[str, Security]: ...  # noqa: D102


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
        self._newest: OrderedDict[tuple[object, ...], tuple[Columns, Rows]] = OrderedDict()

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision:
        """See `agents.ports.PackPort`."""
        return await self._store.resolve(policy, asof, pack_id)

    async def series(
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> Rows:
        """See `agents.ports.PackPort`."""
        columns = await self._store.series(pack_id, symbols, currencies, start)
        question = (tuple(sorted(symbols)), tuple(sorted(currencies)), start)
        before = self._newest.get(question)
        if before is not None and _begins(before[0], columns):
            known, rows = before
            later = _rows(columns, len(known.dates))
            rows = Rows(columns.dates, (*rows.prices, *later.prices), (*rows.rates, *later.rates), columns.sources)
        else:
            rows = _rows(columns)
        self._newest[question] = columns, rows
        self._newest.move_to_end(question)
        if len(self._newest) > _KEPT_MAX:
            self._newest.popitem(last=False)
        return rows

    async def securities(self, pack_id: UUID, symbols: Sequence[str]) -> Mapping[str, Security]:
        """See `agents.ports.PackPort`."""
        return await self._store.securities(pack_id, symbols)


def _begins(known: Columns, columns: Columns) -> bool:
    """Whether columns begin with what is known; mostly they are the same objects, so this is quick."""
    count = len(known.dates)
    return (
        columns.dates[:count] == known.dates
        and _head(columns.closes, known.closes, count)
        and _head(columns.observed, known.observed, count)
        and _head(columns.rates, known.rates, count)
    )


def _head(after: Mapping[T, Sequence[object]], before: Mapping[T, Sequence[object]], count: int) -> bool:
    nothing = (None,) * count
    return before.keys() <= after.keys() and all(
        column[:count] == before.get(name, nothing) for name, column in after.items()
    )


def _rows(columns: Columns, first: int = 0) -> Rows:
    """Return the rows of the days from the `first` on."""
    dates = columns.dates[first:]
    prices: list[PriceRow] = []
    for symbol, closes in columns.closes.items():
        currency = columns.currencies[symbol]
        prices += [
            (seen or on, symbol, close, currency)
            for on, seen, close in zip(dates, columns.observed[symbol][first:], closes[first:], strict=True)
            if close is not None
        ]
    rates: list[RateRow] = []
    for (base, quote), column in columns.rates.items():
        rates += [(on, base, quote, rate) for on, rate in zip(dates, column[first:], strict=True) if rate is not None]
    return Rows(columns.dates, prices, rates, columns.sources)
