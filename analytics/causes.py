"""The whole gain of a portfolio in money, split into its causes, which add up to value − net deposits.

In base currency, lot by lot for securities (`analytics.entries`) and day by day for money:

    realised       of units that left: (proceeds − cost)·S at the rate of that day
    unrealised     of units still held: (value − cost)·S at the rate of the end
    fx             cost·(S − S₀) of securities, m·(S₁ − S₀) of cash and dividends owed, exchanges against the rate
                   of their day
    dividends, tax, income, costs      booked amounts × S of their day

with money m held since the valued day before. Realised + unrealised is the price gain, and there is no joint effect.
The history begins with nothing, so cost is what was paid, and what is earned or spent before the first close is there
too, though no return contains it. Intervals over days without a value are as long as the gap, and the sum needs no
value above zero: restarts of the return index change nothing.

A cause that cannot be known makes the split unknown, with the reason; the total stays.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import groupby, takewhile
from math import fsum, isnan
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analytics.bookings import BookingRow
from analytics.entries import Entries
from analytics.history import History, Unpriced, no_rate
from analytics.leftovers import UNPRICED, left_over, priced
from analytics.numbers import CONTEXT, MONEY_PLACES, ZERO, rounded

RowKind = Literal["security", "cash", "exchange", "unpriced"]
EXCHANGE = "currency exchange"
RESIDUAL_MAX = Decimal("0.01")
# Above ten billion the digits of float64 end before the cent.
_RESIDUAL_RATIO_MAX = Decimal("1e-12")
COLUMNS = ("realised", "unrealised", "dividends", "tax", "income", "fx", "costs")
_COLUMN = {"dividend": "dividends", "tax": "tax", "income": "income", "commission": "costs", "expense": "costs"}


class NotReconciled(ArithmeticError):
    """The causes do not add up to the gain."""


@dataclass(frozen=True, slots=True)
class Causes:
    """Where the gain of one security or currency came from, base currency, rounded to six decimals.

    Attributes:
        name: symbol, `cash:CUR`, `currency exchange`, or `trades without a price` (known only together: a merger, or
            several securities sold for one amount).
        kind: which of these.
        currency: of the price or the cash; base for the last two.
        realised: price gain of what was sold, given away or exchanged.
        unrealised: price gain of what is held.
        dividends: gross, at the ex-date's rate.
        tax: withheld from dividends, ≤ 0.
        income: other income: interest.
        fx: what rates did; on exchanges the rate dealt at against the day's.
        costs: ≤ 0 as a rule: commissions, other expenses, and what trades moved beyond units × price.
    """

    name: str
    kind: RowKind
    currency: str
    realised: Decimal = ZERO
    unrealised: Decimal = ZERO
    dividends: Decimal = ZERO
    tax: Decimal = ZERO
    income: Decimal = ZERO
    fx: Decimal = ZERO
    costs: Decimal = ZERO

    @property
    def price(self) -> Decimal:
        """Realised and unrealised."""
        return self.realised + self.unrealised

    @property
    def total(self) -> Decimal:
        """Sum of all."""
        return self.price + self.dividends + self.tax + self.income + self.fx + self.costs


@dataclass(frozen=True, slots=True)
class Split:
    """The gain and its causes.

    Attributes:
        total: value at the end − net deposits; exact.
        rows: largest first; cash and others only where there is anything. Empty when a cause is unknown.
        residual: total − Σ rows: what float64 and rounding leave; None without rows.
        before_first_close: the part of `total` made until the first close, which no return contains.
        reason: which cause is unknown.
    """

    total: Decimal
    rows: tuple[Causes, ...]
    residual: Decimal | None
    before_first_close: Decimal
    reason: str = ""


def split_gain(history: History, rows: Iterable[BookingRow], value: Decimal | None = None) -> Split:
    """Split the gain of a history into its causes.

    Args:
        history: at least one valued day, no external flows after the last.
        rows: those the history was built from, ordered by date.
        value: at the end; default the history's own.

    Raises:
        NotReconciled: the causes miss the gain by 0.01 or more (above ten billion by 1e-12 of the largest value).
    Cost: O(K × currencies + rows).
    """
    assert history.dates and not history.flow_after, "a gain needs a value and all flows before it"
    worth = history.nav[-1] if value is None else value
    with localcontext(CONTEXT):
        total = worth - sum(history.flow, ZERO)
        early = history.nav[0] - history.flow[0]
        fold = _Fold(history)
        fold.cash()
        fold.bookings(takewhile(lambda row: row.on <= history.dates[-1], rows))
        if fold.unknown:
            return Split(total, (), None, early, fold.unknown[0])
        found = fold.causes()
        residual = total - sum((row.total for row in found), ZERO)
        limit = max(RESIDUAL_MAX, max(abs(nav) for nav in history.nav) * _RESIDUAL_RATIO_MAX)
    if abs(residual) >= limit:
        raise NotReconciled(
            f"the causes sum to {total - residual}, the gain is {total}: less than {limit} apart expected"
        )
    return Split(total, found, residual, early)


class _Fold:
    """Terms of each row and column, added once at the end so that their order does not matter."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.rates = np.nan_to_num(history.fx)
        self.column = {name: at for at, name in enumerate(history.currencies)}
        self.symbol_column = {name: at for at, name in enumerate(history.symbols)}
        self.terms: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.unknown: list[str] = []

    def cash(self) -> None:
        for name, money in self.column.items():
            held = self.history.money[:-1, money]
            self._needs_rate(money, np.concatenate(([False], held != 0.0)))
            self.terms[f"cash:{name}", "fx"] += (held * np.diff(self.rates[:, money])).tolist()

    def bookings(self, rows: Iterable[BookingRow]) -> None:
        entries = Entries(self.history, self._rate, self._add)
        for at, days in groupby(rows, lambda row: bisect_left(self.history.dates, row.on)):
            interval = list(days)
            entries.interval(at, interval)
            for _, transaction in groupby(interval, attrgetter("on", "source")):
                self._transaction(at, list(transaction))
        entries.finish()
        for trades in self.history.unpriced:
            self._unpriced(trades)

    def causes(self) -> tuple[Causes, ...]:
        added: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
        for (name, column), terms in self.terms.items():
            added[name][column] = Decimal(repr(rounded(fsum(terms), MONEY_PLACES)))
        rows = [Causes(name, *self._what(name), **columns) for name, columns in added.items()]
        kept = [
            row for row in rows if row.name in self.symbol_column or any(getattr(row, column) for column in COLUMNS)
        ]
        return tuple(sorted(kept, key=lambda row: (-row.total, row.name)))

    def _transaction(self, at: int, rows: Sequence[BookingRow]) -> None:
        """Book what a transaction earned and spent on one day, and what its trades leave over."""
        traded = {row.symbol for row in rows if row.kind == "lot"}
        # A fee belongs to the security it was paid for, if there is one.
        of = min(traded) if len(traded) == 1 else ""
        for row in rows:
            if row.kind not in _COLUMN:
                continue
            amount = self._base(at, row.currency, row.amount)
            name = row.symbol or (of if row.kind == "commission" else "")
            self.terms[name or f"cash:{row.currency}", _COLUMN[row.kind]].append(amount)
        if not priced(rows):
            return
        left = left_over(rows)
        for currency, amount in left.items():
            in_base = self._base(at, currency, amount)
            if len(left) > 1:
                self.terms[EXCHANGE, "fx"].append(in_base)
            else:
                self.terms[of or f"cash:{currency}", "costs"].append(in_base)

    def _unpriced(self, trades: Unpriced) -> None:
        """Book what trades without a price brought beyond the closes they count at."""
        history = self.history
        for symbol in trades.symbols:
            if not history.price[trades.at, self.symbol_column[symbol]]:
                self.unknown.append(
                    f"no price of {symbol} on {history.dates[trades.at]}, when it was traded for a price nobody booked"
                )
        self.terms[trades.symbol or UNPRICED, "realised"].append(trades.amount)

    def _base(self, at: int, currency: str, amount: Decimal) -> float:
        return float(amount) * self._rate(at, currency) if amount else 0.0

    def _rate(self, at: int, currency: str) -> float:
        """Return a rate that is needed; one that is missing makes the split unknown."""
        money = self.column[currency]
        rate = float(self.history.fx[at, money])
        if isnan(rate):
            self.unknown.append(no_rate(self.history, money, at))
            return 0.0
        return rate

    def _add(self, name: str, column: str, amount: float) -> None:
        self.terms[name, column].append(amount)

    def _needs_rate(self, money: int, needed: NDArray[np.bool_]) -> None:
        missing = np.nonzero(needed & np.isnan(self.history.fx[:, money]))[0]
        if len(missing):
            self.unknown.append(no_rate(self.history, money, int(missing[0])))

    def _what(self, name: str) -> tuple[RowKind, str]:
        if name in self.symbol_column:
            return "security", self.history.currencies[int(self.history.symbol_currency[self.symbol_column[name]])]
        if name.startswith("cash:"):
            return "cash", name.removeprefix("cash:")
        if name in (EXCHANGE, UNPRICED):
            return "exchange" if name == EXCHANGE else "unpriced", self.history.base
        return "security", self.history.base  # paid a dividend and was never held
