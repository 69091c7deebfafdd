"""Closes that jump while a security is held and no split is booked: real, wrong, or a split nobody booked.

Prices are on the share basis of their own day, so a split that is missing in the ledger turns into a loss, and a
reverse split into a gain, that nobody had.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from analytics.bookings import BookingRow
from analytics.market import PriceRow

JUMP_MAX = Decimal("0.25")
_SURELY_NONE = 0.249
# What is declared, new shares for old ones, and how near the close must be: a market moves on such a day as on any
# other, and between the ratios that are rare anything would look like one of them.
_COMMON = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50)
_RARE = ((3, 2), (4, 3), (5, 2), (5, 3))
_LIKENESS = {
    **{ratio: Decimal("0.04") for new in _COMMON for ratio in ((new, 1), (1, new))},
    **{ratio: Decimal("0.02") for new, old in _RARE for ratio in ((new, old), (old, new))},
}


@dataclass(frozen=True, slots=True)
class Jump:
    """A close that is more than `JUMP_MAX` from the one before.

    Attributes:
        change: close / close before − 1.
        split: the split it looks like, new for old ("2:1"); None for none.
    """

    symbol: str
    on: date
    before_on: date
    before: Decimal
    close: Decimal
    change: float
    split: str | None

    def said(self) -> str:
        """Return the jump in one sentence."""
        guess = f": a {self.split} split looks forgotten" if self.split else ""
        return (
            f"{self.symbol} closed {abs(self.change):.1%} {'lower' if self.change < 0 else 'higher'} on {self.on}"
            f" (from {self.before:f} to {self.close:f}) while it was held, and the ledger has no split that day{guess}"
        )


def unexplained_jumps(rows: Iterable[BookingRow], prices: Iterable[PriceRow], asof: date) -> tuple[Jump, ...]:
    """Return the jumps of what was held overnight that no booked split explains, by day and symbol.

    Args:
        rows: booked rows, ascending by day; those after `asof` do not count.
        prices: closes as traded, ascending by day.
        asof: last day.

    Cost: O(rows + prices).
    """
    units: dict[str, tuple[list[date], list[Decimal]]] = {}
    splits: dict[str, set[date]] = {}
    for row in rows:
        if row.on > asof:
            break
        if row.kind not in ("lot", "split"):
            continue
        if row.kind == "split":
            splits.setdefault(row.symbol, set()).add(row.on)
        days, held = units.setdefault(row.symbol, ([], []))
        days.append(row.on)
        held.append((held[-1] if held else Decimal(0)) + row.qty)
    last: dict[str, tuple[date, Decimal, float, str]] = {}
    found: list[Jump] = []
    for on, symbol, close, currency in prices:
        near = float(close)
        known = last.get(symbol)
        last[symbol] = (on, close, near, currency)
        # Floats decide what is no jump at all, which is nearly every close; the limit itself is looked at exactly.
        if known is None or abs(near - known[2]) <= _SURELY_NONE * known[2]:
            continue
        before_on, before, _, unit = known
        if unit != currency or on > asof or not before or abs(close - before) <= JUMP_MAX * before:
            continue
        if any(before_on < day <= on for day in splits.get(symbol, ())) or not _held(units.get(symbol), before_on):
            continue
        ratio = close / before
        found.append(Jump(symbol, on, before_on, before, close, float(ratio - 1), _likely_split(ratio)))
    return tuple(sorted(found, key=lambda jump: (jump.on, jump.symbol)))


def _held(units: tuple[Sequence[date], Sequence[Decimal]] | None, on: date) -> bool:
    """Return whether anything was held at the end of a day."""
    if units is None:
        return False
    at = bisect_right(units[0], on)
    return at > 0 and units[1][at - 1] != 0


def _likely_split(ratio: Decimal) -> str | None:
    """Return the split that would make the two closes nearly equal."""
    off, new, old = min((abs(ratio * new / old - 1), new, old) for new, old in _LIKENESS)
    return f"{new}:{old}" if off <= _LIKENESS[new, old] else None
