"""What units gained since they entered the portfolio, lot by lot: realised once they leave, unrealised while they stay.

With entry value e and exit value x of a lot in its currency, S₀ and S the rates of those days, v and S₁ of the end:

    realised (x − e)·S      unrealised v·S₁ − e·S₁      currency e·(S − S₀), of what is still held e·(S₁ − S₀)

so they sum to what came out and is there less what went in, and for lots that were bought and sold, to the gains of
the tax lots. Units enter and leave at units × price, x·S being at the price's own rate where it is in another currency;
where nobody booked one (brought in, given away, exchanged for another security), at the close of the day they count on.
A deposit in kind therefore enters at the value it is a deposit of, not at its cost: what it gained before was not
gained here. Moved units keep their entry.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import fsum, prod
from operator import attrgetter

from analytics.bookings import BookingRow
from analytics.history import History
from analytics.numbers import ZERO

# (day, currency) → base units per 1; what is not known is noted by the callee and counts as 0.
Rate = Callable[[int, str], float]
# (symbol, column, amount in base currency)
Add = Callable[[str, str, float], None]


@dataclass(slots=True)
class _Entry:
    """An open lot: units, and their value at entry in its own currency and in base currency at the rate of that day."""

    row: BookingRow
    qty: Decimal = ZERO
    local: float = 0.0
    base: float = 0.0


@dataclass(slots=True)
class _Leg:
    """Units of a lot that moved without a price in one transaction, and what of their value at entry is not given on.

    `left` counts what may still come back of units that went, in units or in cost.
    """

    row: BookingRow
    qty: Decimal
    amount: Decimal
    left: Decimal = ZERO
    local: float = 0.0
    base: float = 0.0


class Entries:
    """Open lots after the rows folded so far; gains are handed to `add` as they are made.

    Args:
        history: what the rows are folded over.
        rate: of a valued day.
        add: takes the terms of `realised`, `unrealised` and `fx`.
    """

    def __init__(self, history: History, rate: Rate, add: Add) -> None:
        self._history = history
        self._rate = rate
        self._add = add
        self._column = {name: at for at, name in enumerate(history.symbols)}
        self._open: dict[str, _Entry] = {}

    def interval(self, at: int, rows: Iterable[BookingRow]) -> None:
        """Apply the rows that count on one valued day."""
        moved = [row for row in rows if row.kind in ("lot", "split", "external")]
        for _, transaction in groupby(moved, attrgetter("on", "source")):
            self._transaction(at, list(transaction), moved)

    def finish(self) -> None:
        """Add what is still held at its value on the last day."""
        history, last = self._history, len(self._history.dates) - 1
        for symbol, column in self._column.items():
            held = float(history.begin[last, column] + history.traded[last, column])
            if held:
                self._add(symbol, "unrealised", held * self._close(last, symbol))
        for entry in self._open.values():
            at_end = entry.local * self._rate(last, entry.row.currency)
            self._add(entry.row.symbol, "unrealised", -at_end)
            self._add(entry.row.symbol, "fx", at_end - entry.base)

    def _transaction(self, at: int, rows: Sequence[BookingRow], interval: Sequence[BookingRow]) -> None:
        unpriced: defaultdict[str, dict[str, _Leg]] = defaultdict(dict)
        for row in rows:
            if row.kind == "lot" and row.price is None:
                # One leg for each lot: units may go on at once from where they came to.
                leg = unpriced[row.symbol].setdefault(row.lot, _Leg(row, ZERO, ZERO))
                leg.row, leg.qty, leg.amount = row, leg.qty + row.qty, leg.amount + row.amount
            elif row.kind != "external":
                self._apply(at, row)
        outside = {row.symbol for row in rows if row.kind == "external"}
        for symbol, legs in unpriced.items():
            moved = [leg for leg in legs.values() if leg.qty]
            if moved:
                close = self._close(at, symbol) * _scale(interval, moved[-1].row)
                self._unpriced(at, moved, close, outside=symbol in outside)

    def _apply(self, at: int, row: BookingRow) -> None:
        """Book a split, or units that went at a price."""
        entry = self._open.get(row.lot)
        if row.kind == "split":
            if entry is not None:
                entry.qty += row.qty
            return
        value = float(row.qty * (row.price or ZERO))
        in_base = value * self._rate(at, row.price_currency or row.currency)
        if self._opens(row, row.qty):
            self._enter(row, row.qty, value, in_base)
        else:
            self._leave(at, row, -in_base, *self._take(row, row.qty))

    def _unpriced(self, at: int, legs: Sequence[_Leg], close: float, *, outside: bool) -> None:
        """Book units of one security that moved without a price: what comes back in keeps the entry it had.

        Counted by units, for they are the same; by cost where it is neither a move nor a flow: then a split was written
        as lots out and lots in, with cash for the fraction.

        Args:
            at: day they count on.
            legs: of one transaction.
            close: of one unit, in base currency.
            outside: whether units came from outside or went there.
        """
        into = [leg for leg in legs if self._opens(leg.row, leg.qty)]
        out = [leg for leg in legs if not self._opens(leg.row, leg.qty)]
        net = sum((leg.qty for leg in legs), ZERO)
        size = attrgetter("amount" if net and into and out and not outside else "qty")
        for leg in out:
            leg.left = abs(size(leg))
            leg.local, leg.base = self._take(leg.row, leg.qty)
        for leg in into:
            new, local, base = _carried(leg, abs(size(leg)), out)
            if new and (outside or not out):
                net -= new.copy_sign(leg.qty)
                value, rate = float(new.copy_sign(leg.qty)) * close, self._rate(at, leg.row.currency)
                local, base = local + (value / rate if rate else 0.0), base + value
            self._enter(leg.row, leg.qty, local, base)
        if out:
            row = out[0].row
            value = -float(net) * close
            self._leave(at, row, value, fsum(leg.local for leg in out), fsum(leg.base for leg in out))

    def _opens(self, row: BookingRow, qty: Decimal) -> bool:
        entry = self._open.get(row.lot)
        return entry is None or (qty > 0) == (entry.qty > 0)

    def _enter(self, row: BookingRow, qty: Decimal, local: float, base: float) -> None:
        entry = self._open.setdefault(row.lot, _Entry(row))
        entry.qty += qty
        entry.local += local
        entry.base += base

    def _take(self, row: BookingRow, qty: Decimal) -> tuple[float, float]:
        """Take units out of the lot of a row and return their value at entry, local and base."""
        entry = self._open[row.lot]
        share = float(-qty / entry.qty)
        local, base = entry.local * share, entry.base * share
        entry.qty += qty
        entry.local -= local
        entry.base -= base
        if not entry.qty:
            del self._open[row.lot]
        return local, base

    def _leave(self, at: int, row: BookingRow, value: float, local: float, base: float) -> None:
        """Book what units gained that went for a value in base currency; their entry is in the lot's and in base."""
        entered = local * self._rate(at, row.currency)
        self._add(row.symbol, "realised", value - entered)
        self._add(row.symbol, "fx", entered - base)

    def _close(self, at: int, symbol: str) -> float:
        column = self._column[symbol]
        money = self._history.currencies[int(self._history.symbol_currency[column])]
        price = float(self._history.price[at, column])
        return price * self._rate(at, money) if price else 0.0


def _carried(leg: _Leg, need: Decimal, gone: Sequence[_Leg]) -> tuple[Decimal, float, float]:
    """Return how much of what comes in is new, and the value at entry of the rest: of the same lot, if it is there.

    A lot is known again by its day and its cost per unit, as the ledger writes it.
    """
    local = base = 0.0

    def other(each: _Leg) -> tuple[bool, bool]:
        return each.row.acquired != leg.row.acquired, each.amount * leg.qty != leg.amount * each.qty

    for each in sorted(gone, key=other):
        if not need or not each.left:
            continue
        taken = min(need, each.left)
        share = float(taken / each.left)
        local += each.local * share
        base += each.base * share
        each.local -= each.local * share
        each.base -= each.base * share
        each.left -= taken
        need -= taken
    return need, local, base


def _scale(interval: Sequence[BookingRow], row: BookingRow) -> float:
    """Return how many units one unit of a row has become by the end of its interval, where the close stands."""
    later = interval[interval.index(row) + 1 :]
    splits = {(each.on, each.ratio) for each in later if each.kind == "split" and each.symbol == row.symbol}
    return prod(float(ratio) for _, ratio in splits if ratio is not None)
