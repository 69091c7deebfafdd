"""Cost in base currency, lot by lot, while booked rows are folded.

A purchase adds its cost × the rate of its day; units that go take their share along. Units that go without being sold
and come back in the same transaction were not bought that day (a move to another account, a merger, a split written as
lots out and lots in): they keep the base cost they had, else a currency gain would appear or vanish with the paperwork.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from analytics.bookings import BookingRow, sold
from analytics.numbers import ZERO

# (currency, day) → base units per 1, None when there is no rate.
RateOn = Callable[[str, date], Decimal | None]


@dataclass(slots=True)
class OpenLot:
    """A lot while rows are folded.

    Attributes:
        row: the one that opened it.
        qty, cost: signed, cost in the lot's currency.
        cost_base: None once a rate was missing.
    """

    row: BookingRow
    qty: Decimal = ZERO
    cost: Decimal = ZERO
    cost_base: Decimal | None = ZERO

    @property
    def acquired(self) -> date:
        """Day the units were acquired."""
        return self.row.acquired or self.row.on


class Closed(NamedTuple):
    """What a row took out of a lot; `cost_base` is None when it is unknown."""

    row: BookingRow
    acquired: date
    cost_base: Decimal | None


@dataclass(slots=True)
class _Gone:
    """Cost that left unsold and may come back in the same transaction."""

    acquired: date
    currency: str
    cost: Decimal
    cost_base: Decimal | None


@dataclass(slots=True)
class Lots:
    """Open lots by id, in opening order, after the rows folded so far."""

    base: str
    rate_on: RateOn
    open: dict[str, OpenLot] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def fold(self, rows: Iterable[BookingRow], asof: date) -> Iterator[Closed]:
        """Apply lot and split rows up to and including `asof`, yielding what was closed, in order.

        Args:
            rows: all of them from the first, ordered by date; other kinds are skipped.
            asof: last day that counts.

        Cost: O(rows).
        """
        moved = (row for row in rows if row.kind in ("lot", "split"))
        for (on, _), transaction in groupby(moved, attrgetter("on", "source")):
            if on > asof:
                return
            yield from self._apply(transaction)

    def rate(self, currency: str, on: date) -> Decimal | None:
        """Return the base rate of a currency on a day."""
        return Decimal(1) if currency == self.base else self.rate_on(currency, on)

    def _apply(self, rows: Iterable[BookingRow]) -> Iterator[Closed]:
        """Apply one transaction; what comes in waits for what goes out, whichever is written first."""
        gone: list[_Gone] = []
        waiting: list[BookingRow] = []
        for row in rows:
            if any(each.lot == row.lot for each in waiting):
                self._open(waiting, gone)
            lot = self.open.get(row.lot)
            if row.kind == "split":
                if lot is not None:
                    lot.qty += row.qty
            elif lot is None or (row.qty > 0) == (lot.qty > 0):
                waiting.append(row)
            else:
                closed = self._close(lot, row)
                if not sold(row):
                    gone.append(_Gone(closed.acquired, row.currency, row.amount, closed.cost_base))
                yield closed
        self._open(waiting, gone)

    def _close(self, lot: OpenLot, row: BookingRow) -> Closed:
        removed = None if lot.cost_base is None else -lot.cost_base * row.qty / lot.qty
        lot.qty += row.qty
        lot.cost += row.amount
        if lot.cost_base is not None and removed is not None:
            lot.cost_base -= removed
        if not lot.qty:
            del self.open[row.lot]
        return Closed(row, lot.acquired, removed)

    def _open(self, waiting: list[BookingRow], gone: list[_Gone]) -> None:
        for row in waiting:
            lot = self.open.setdefault(row.lot, OpenLot(row))
            kept, left = _come_back(row, gone)
            rate = self.rate(row.currency, row.on) if left else ZERO
            if rate is None:
                self.warnings.append(
                    f"no {row.currency}/{self.base} rate on {row.on}: base cost of {row.symbol} unknown"
                )
            lot.qty += row.qty
            lot.cost += row.amount
            if lot.cost_base is None or kept is None or rate is None:
                lot.cost_base = None
            else:
                lot.cost_base += kept + left * rate
        waiting.clear()


def _come_back(row: BookingRow, gone: list[_Gone]) -> tuple[Decimal | None, Decimal]:
    """Return the base cost that units coming in had before, and how much of their cost is new.

    Units with a day of acquisition continue those of the same day. Units that come in without a price were not bought
    either, so they may continue others: an average has only one day.
    """
    kept: Decimal | None = ZERO
    left = row.amount
    same = [each for each in gone if each.acquired == row.acquired]
    others = [each for each in gone if each.acquired != row.acquired] if row.price is None else []
    for each in (*same, *others):
        if each.currency != row.currency or not each.cost or (each.cost < 0) == (left < 0):
            continue
        share = min(Decimal(1), -left / each.cost)
        if each.cost_base is None:
            kept = None
        elif kept is not None:
            kept += each.cost_base * share
            each.cost_base -= each.cost_base * share
        left += each.cost * share
        each.cost -= each.cost * share
    return kept, left
