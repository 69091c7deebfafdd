"""Booked rows × a market → the portfolio day by day.

Valuation days on which something held has no price or rate have no NAV; the intervals that
returns are measured over run from one valued day to the next, so nothing is invented for a gap.
Rows dated between two valued days belong to the later one. In each interval and security:

    begin    units held since the start of the interval, in the share basis of its end
    traded   units bought (+) or sold (−), likewise
    income   dividends accrued (ex-date), less tax withheld

and in each currency cash and receivables at the end, external flows, and other income less
expenses. What remains of the change of cash is what trades paid and received, fees included.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from itertools import groupby
from math import fsum
from operator import attrgetter, mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.bookings import BookingRow, currencies_of
from analytics.fx import CARRY_DAYS_MAX
from analytics.leftovers import left_over, priced, unpriced_symbols
from analytics.market import Market
from analytics.numbers import CONTEXT, ZERO

Floats = NDArray[np.float64]
# What is held of one currency: its column, units, and closes per day, of which some may be None.
_Block = tuple[int, list[Decimal], list[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Gap:
    """A valuation day without NAV, and why."""

    on: date
    reason: str


@dataclass(frozen=True, slots=True)
class Flow:
    """An external flow on its own day, deposits positive.

    Attributes:
        amount: base currency at the day's own rate (and close, if in kind without a price), carried like any other;
            None with a `reason`.
    """

    on: date
    amount: Decimal | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Trades of one interval without a price of their own: a merger, a spin-off, several lots sold for one amount.

    Attributes:
        at: row of the valued day they count on.
        symbols: traded so, ascending.
        amount: what they brought beyond the closes they count at, base currency: money received + value received −
            value given; known only together.
    """

    at: int
    symbols: tuple[str, ...]
    amount: float

    @property
    def symbol(self) -> str | None:
        """The one security the amount is of; None when it is of several together."""
        return self.symbols[0] if len(self.symbols) == 1 else None


@dataclass(frozen=True, slots=True)
class History:
    """The portfolio on its valued days.

    K valued days, N securities, C currencies; arrays are float64, amounts in local currency
    unless said otherwise. Row 0 is the first day anything is held; flows of that day are the
    opening value, not a return.

    Attributes:
        dates: valued days, ascending.
        nav: per valued day, base currency, exact.
        flow: per valued day, net external flow of its interval in base currency, exact.
        gaps: days between the first and last that could not be valued.
        flow_in_gap: valued days whose interval spans a gap and has flows on more than its last
            day, where a return is an approximation.
        flow_between: other days without a close of their own, after the first close, that have external flows; the next
            close counts them.
        flows: every external flow on its own day, ascending: what `flow` counts at the close that follows.
        flow_after: days with external flows after the last valued day: part of no `flow`.
        symbols, currencies: column names.
        symbol_currency: per security, the column of its price currency; without prices, of the one it was traded in.
        price: K×N, on the share basis of the day; 0 where nothing is held then or before.
        fx: K×C, base per 1; NaN where not needed and unknown.
        begin: K×N units at the start of the interval, in end-of-interval share basis.
        before: K×N the same units in the basis of the day before (what `price` row k−1 counts).
        traded: K×N.
        paid_base: K×N, trade price × units traded, base currency; a trade whose price is not
            known counts at the close.
        income_base: K×N, base currency at the end of the interval.
        money: K×C, cash plus receivables at the end of the day.
        external, earned, trade_cash: K×C, changes within the interval.
        unpriced: trades without a price, by interval, ascending.
        funded: base-currency value of the first day.
    """

    base: str
    dates: tuple[date, ...]
    nav: tuple[Decimal, ...]
    flow: tuple[Decimal, ...]
    gaps: tuple[Gap, ...]
    flow_in_gap: tuple[date, ...]
    flow_between: tuple[date, ...]
    flow_after: tuple[date, ...]
    flows: tuple[Flow, ...]
    symbols: tuple[str, ...]
    currencies: tuple[str, ...]
    symbol_currency: NDArray[np.intp]
    price: Floats
    fx: Floats
    begin: Floats
    before: Floats
    traded: Floats
    paid_base: Floats
    income_base: Floats
    money: Floats
    external: Floats
    earned: Floats
    trade_cash: Floats
    unpriced: tuple[Unpriced, ...]
    warnings: tuple[str, ...]


def day_before(rows: Floats, days: NDArray[np.intp]) -> Floats:
    """Return the row of the day before each day; zeros before the first."""
    found = rows[days - 1]
    found[days == 0] = 0.0
    return found


def no_rate(history: History, money: int, at: int) -> str:
    """Say that a currency (its column) has no rate on a valued day on which it was moved."""
    currency = history.currencies[money]
    return f"no {currency}/{history.base} rate on {history.dates[at]}, when {currency} were moved"


class _Interval:
    """What happened since the last valued day; sparse, keyed by column."""

    __slots__ = (
        "cash",
        "days_with_flow",
        "earned",
        "external",
        "in_kind",
        "income",
        "paid",
        "scale",
        "traded",
        "unpriced",
    )

    def __init__(self) -> None:
        self.scale: dict[int, Decimal] = {}
        self.traded: dict[int, Decimal] = {}
        self.paid: dict[tuple[int, int], Decimal] = {}
        self.unpriced: dict[int, Decimal] = {}
        self.income: dict[tuple[int, int], Decimal] = {}
        self.external: dict[int, Decimal] = {}
        self.in_kind: dict[int, Decimal] = {}  # units brought in (+) or taken out (−) without a price
        self.earned: dict[int, Decimal] = {}
        self.cash: dict[int, Decimal] = {}
        self.days_with_flow: set[date] = set()


def build(rows: Iterable[BookingRow], market: Market, *, asof: date | None = None) -> History:
    """Fold rows over a market.

    Args:
        rows: ordered by date.
        market: must cover the valuation days wanted; days before the first row are left out.
        asof: last day that counts; default the market's last.

    Returns: a history with K ≥ 0 valued days (0 when nothing is ever held or nothing valued).
    Cost: O(rows + K × securities held).
    """
    with localcontext(CONTEXT):
        folder = _Folder(tuple(rows), market, asof)
        folder.run()
        return folder.history()


class _Folder:
    """The running state over valuation days and the columns it leaves behind."""

    def __init__(self, rows: Sequence[BookingRow], market: Market, asof: date | None):
        last = asof or (market.dates[-1] if market.dates else date.min)
        self.rows = [row for row in rows if row.on <= last]
        self.market = market
        self.days = [on for on in market.dates if on <= last]
        self.symbols = tuple(sorted({row.symbol for row in self.rows if row.kind == "lot"}))
        currencies = currencies_of(self.rows)
        currencies |= {series.currency for name, series in market.prices.items() if name in self.symbols}
        self.currencies = tuple(sorted(currencies | {market.base}))
        self.column = {name: at for at, name in enumerate(self.symbols)}
        self.money_column = {name: at for at, name in enumerate(self.currencies)}
        count = len(self.currencies)
        self.qty = [ZERO] * len(self.symbols)
        self.cash = [ZERO] * count
        self.held: dict[int, None] = {}
        # Per day, on the share basis of the day: a split changes what is carried over it.
        nothing = [None] * len(self.days)
        self.closes: list[Sequence[Decimal | None]] = [
            market.prices[name].closes if name in market.prices else nothing for name in self.symbols
        ]
        # Without a price the currency a security was first traded in has to do.
        quoted = {row.symbol: row.currency for row in reversed(self.rows) if row.kind == "lot"}
        quoted |= {name: series.currency for name, series in market.prices.items()}
        self.price_money = [self.money_column[quoted[name]] for name in self.symbols]
        self.rates = [market.fx.get(name) for name in self.currencies]
        self.splits: dict[int, list[tuple[date, Decimal]]] = {}
        # What is held, by currency; None when that has to be put together anew.
        self.blocks: list[_Block] | None = None
        # Columns, one entry per valued day (or sparse: (row, column, value)).
        self.kept: list[int] = []
        self.nav: list[Decimal] = []
        self.flow: list[Decimal] = []
        self.gaps: list[Gap] = []
        self.flow_in_gap: list[date] = []
        self.flow_between: list[date] = []
        self.flow_after: list[date] = []
        self.flows: list[Flow] = []
        self.qty_changes: list[list[tuple[int, Decimal]]] = [[] for _ in self.symbols]
        self.money_rows: list[list[Decimal]] = []
        # Per row with trades without a price: their symbols, and what all else moved beyond units × price.
        self.unpriced: dict[int, tuple[tuple[str, ...], Decimal]] = {}
        self.sparse: dict[str, list[tuple[int, int, Decimal]]] = {
            name: [] for name in ("scale", "traded", "paid", "income", "external", "earned", "trade_cash")
        }

    def run(self) -> None:
        interval = _Interval()
        at_row = begun = 0
        changed: set[int] = set()
        pending_gaps: list[Gap] = []
        for at, on in enumerate(self.days):
            while at_row < len(self.rows) and self.rows[at_row].on <= on:
                self._apply(self.rows[at_row], interval, changed)
                at_row += 1
            if at_row == 0:
                continue
            nav, reason = self._value(at, interval)
            if nav is None:
                pending_gaps.append(Gap(on, reason))
                continue
            if not self.kept and nav == 0 and not self.held:
                continue  # nothing there yet; the first funded day opens the history
            self.gaps.extend(pending_gaps)
            early = sorted(interval.days_with_flow - {on}) if self.kept else []
            if early and pending_gaps:
                self.flow_in_gap.append(on)
            else:
                self.flow_between.extend(early)
            pending_gaps = []
            if begun == at_row:
                self._keep_day(at, nav, ZERO)
                continue
            if interval.unpriced:
                self._set_apart(at, self.rows[begun:at_row])
            self._keep(at, nav, interval, changed)
            interval = _Interval()
            changed = set()
            begun = at_row
        self.gaps.extend(pending_gaps)
        if pending_gaps:
            self.flow_after = sorted(interval.days_with_flow)

    def _apply(self, row: BookingRow, interval: _Interval, changed: set[int]) -> None:
        kind = row.kind
        if kind == "lot":
            at = self.column[row.symbol]
            self._move(at, row.qty, changed)
            interval.traded[at] = interval.traded.get(at, ZERO) + row.qty
            if row.price is None:
                interval.unpriced[at] = interval.unpriced.get(at, ZERO) + row.qty
            else:
                key = (at, self.money_column[row.price_currency or row.currency])
                interval.paid[key] = interval.paid.get(key, ZERO) + row.qty * row.price
            return
        if kind == "split":
            self._split(row, interval, changed)
            return
        money = self.money_column[row.currency]
        if kind == "cash" or kind == "receivable":
            self.cash[money] += row.amount
            interval.cash[money] = interval.cash.get(money, ZERO) + row.amount
        elif kind == "external":
            interval.days_with_flow.add(row.on)
            self.flows.append(self._flow(row))
            if row.symbol in self.column and row.price is None:
                at = self.column[row.symbol]
                interval.in_kind[at] = interval.in_kind.get(at, ZERO) + row.qty
            else:
                interval.external[money] = interval.external.get(money, ZERO) + row.amount
        elif kind in ("dividend", "tax") and row.symbol in self.column:
            key = (self.column[row.symbol], money)
            interval.income[key] = interval.income.get(key, ZERO) + row.amount
        elif kind != "commission":  # fees of a trade stay with the trade
            interval.earned[money] = interval.earned.get(money, ZERO) + row.amount

    def _move(self, at: int, change: Decimal, changed: set[int]) -> None:
        self.qty[at] += change
        changed.add(at)
        if self.qty[at]:
            self.held[at] = None
        else:
            self.held.pop(at, None)
        self.blocks = None

    def _split(self, row: BookingRow, interval: _Interval, changed: set[int]) -> None:
        """Scale what was held and what was traded before the split to the new share basis."""
        at = self.column[row.symbol]
        before = self.qty[at]
        self._move(at, row.qty, changed)
        if before:
            factor = self.qty[at] / before
            interval.scale[at] = interval.scale.get(at, Decimal(1)) * factor
            for units in (interval.traded, interval.unpriced, interval.in_kind):
                if at in units:
                    units[at] *= factor
        seen = self.splits.setdefault(at, [])
        if row.ratio and (not seen or seen[-1] != (row.on, row.ratio)):
            seen.append((row.on, row.ratio))
            if row.symbol in self.market.prices:
                self.closes[at] = [self._close_on(at, day, on) for day, on in enumerate(self.days)]

    def _flow(self, row: BookingRow) -> Flow:
        """Return an external flow at the rate, and if need be the close, of its own day."""
        currency, amount = row.currency, row.amount
        if row.symbol in self.column and row.price is None:
            at = self.column[row.symbol]
            day = bisect_right(self.days, row.on) - 1
            close = self._close_on(at, day, row.on) if day >= 0 else None
            if close is None or (row.on - self.days[day]).days > CARRY_DAYS_MAX:
                return Flow(row.on, None, f"no price on {row.on} for {row.symbol}, which was brought in or taken out")
            currency, amount = self.currencies[self.price_money[at]], row.qty * close
        rate = self.market.rates.rate(currency, self.market.base, row.on)
        if rate is None:
            return Flow(row.on, None, f"no {currency}/{self.market.base} rate on {row.on} for a flow")
        return Flow(row.on, amount * rate.rate)

    def _close_on(self, at: int, day: int, on: date) -> Decimal | None:
        """Return the close of a day as seen on it or on a later one: what was observed before a split is scaled."""
        series = self.market.prices.get(self.symbols[at])
        close = None if series is None else series.closes[day]
        if series is not None and close is not None:
            observed = self.days[series.observed[day]]
            for split_on, ratio in self.splits.get(at, ()):
                if observed < split_on <= on:
                    close = close / ratio
        return close

    def _blocks(self) -> list[_Block]:
        blocks: dict[int, tuple[list[Decimal], list[Sequence[Any]]]] = {}
        for at in self.held:
            units, columns = blocks.setdefault(self.price_money[at], ([], []))
            units.append(self.qty[at])
            columns.append(self.closes[at])
        return [(money, *block) for money, block in blocks.items()]

    def _value(self, day: int, interval: _Interval) -> tuple[Decimal | None, str]:
        for at, units in interval.in_kind.items():
            if units and self.closes[at][day] is None:
                return None, f"no price for {self.symbols[at]}, which was brought in or taken out"
            if units and self._rate(self.price_money[at], day) is None:
                return None, f"no {self.currencies[self.price_money[at]]}/{self.market.base} rate for a flow"
        for money, amount in interval.external.items():
            if amount and self._rate(money, day) is None:
                return None, f"no {self.currencies[money]}/{self.market.base} rate for a flow"
        for _, money in (*interval.income, *interval.paid):
            if self._rate(money, day) is None:
                name = self.currencies[money]
                return None, f"no {name}/{self.market.base} rate for income or a trade"
        by_money = list(self.cash)
        if self.blocks is None:
            self.blocks = self._blocks()
        try:
            # Once per day and security, so without a line of Python for each.
            for money, held, columns in self.blocks:
                by_money[money] = sum(map(mul, held, [column[day] for column in columns]), by_money[money])
        except TypeError:
            missing = next(at for at in self.held if self.closes[at][day] is None)
            return None, f"no price for {self.symbols[missing]}"
        total = ZERO
        for money, amount in enumerate(by_money):
            if amount:
                rate = self._rate(money, day)
                if rate is None:
                    return None, f"no {self.currencies[money]}/{self.market.base} rate"
                total += amount * rate
        return total, ""

    def _rate(self, money: int, day: int) -> Decimal | None:
        rates = self.rates[money]
        return None if rates is None else rates[day]

    def _set_apart(self, day: int, rows: Sequence[BookingRow]) -> None:
        """Note what an interval trades without a price; the rest of what its trades moved is theirs."""
        symbols: set[str] = set()
        known = ZERO
        for _, group in groupby(rows, attrgetter("on", "source")):
            transaction = list(group)
            symbols |= unpriced_symbols(transaction)
            moved = left_over(transaction) if priced(transaction) else {}
            known += sum((amount * self._known(money, day) for money, amount in moved.items()), ZERO)
            fees = (row for row in transaction if row.kind == "commission")
            known += sum((row.amount * self._known(row.currency, day) for row in fees), ZERO)
        if symbols:
            self.unpriced[len(self.kept)] = tuple(sorted(symbols)), known

    def _known(self, currency: str, day: int) -> Decimal:
        """Return a rate where a missing one is noticed by whoever uses the figure."""
        return self._rate(self.money_column[currency], day) or ZERO

    def _keep_day(self, day: int, nav: Decimal, flow: Decimal) -> None:
        """Keep what every day has, also one on which nothing was booked since the one before."""
        self.kept.append(day)
        self.nav.append(nav)
        self.flow.append(flow)
        self.money_rows.append(list(self.cash))

    def _keep(self, day: int, nav: Decimal, interval: _Interval, changed: set[int]) -> None:
        row = len(self.kept)
        flow = ZERO
        for at, units in interval.in_kind.items():
            # What comes or goes in kind without a price counts at the close, like a deposit of its value.
            money = self.price_money[at]
            value = units * (self.closes[at][day] or ZERO)
            interval.external[money] = interval.external.get(money, ZERO) + value
        for money, amount in interval.external.items():
            flow += amount * (self._rate(money, day) or ZERO)
            self.sparse["external"].append((row, money, amount))
        self._keep_day(day, nav, flow)
        for at in changed:
            self.qty_changes[at].append((row, self.qty[at]))
        for at, factor in interval.scale.items():
            self.sparse["scale"].append((row, at, factor))
        for at, units in interval.traded.items():
            self.sparse["traded"].append((row, at, units))
        for (at, money), amount in interval.paid.items():
            self.sparse["paid"].append((row, at, amount * (self._rate(money, day) or ZERO)))
        for at, units in interval.unpriced.items():
            rate = self._rate(self.price_money[at], day) or ZERO
            close = self.closes[at][day] or ZERO
            self.sparse["paid"].append((row, at, units * close * rate))
        income_money: dict[int, Decimal] = {}
        for (at, money), amount in interval.income.items():
            income_money[money] = income_money.get(money, ZERO) + amount
            self.sparse["income"].append((row, at, amount * (self._rate(money, day) or ZERO)))
        for money, amount in interval.earned.items():
            self.sparse["earned"].append((row, money, amount))
        for money in {*interval.cash, *interval.external, *interval.earned, *income_money}:
            left = (
                interval.cash.get(money, ZERO)
                - interval.external.get(money, ZERO)
                - interval.earned.get(money, ZERO)
                - income_money.get(money, ZERO)
            )
            if left:
                self.sparse["trade_cash"].append((row, money, left))

    def history(self) -> History:
        """Return the columns as arrays."""
        rows, names, monies = len(self.kept), len(self.symbols), len(self.currencies)
        end = np.zeros((rows, names))
        for at, changes in enumerate(self.qty_changes):
            for row, qty in changes:
                end[row:, at] = float(qty)
        before = np.zeros_like(end)
        before[1:] = end[:-1]
        scale = self._dense("scale", rows, names, fill=1.0)
        days = np.asarray(self.kept, dtype=np.intp)
        price = np.zeros((rows, names))
        for at, closes in enumerate(self.closes):
            if rows and self.symbols[at] in self.market.prices:
                price[:, at] = np.nan_to_num(_floats(closes)[days])
        fx = np.full((rows, monies), np.nan)
        for money, rates in enumerate(self.rates):
            if rates is not None and rows:
                fx[:, money] = _floats(rates)[days]
        money = np.array(self.money_rows, dtype=np.float64).reshape(rows, monies)
        paid = self._dense("paid", rows, names)
        trade_cash = self._dense("trade_cash", rows, monies)
        unpriced: list[Unpriced] = []
        for row, (symbols, known) in self.unpriced.items():
            moved = (*(trade_cash[row] * np.nan_to_num(fx[row])).tolist(), *paid[row].tolist())
            unpriced.append(Unpriced(row, symbols, fsum((*moved, -float(known)))))
        return History(
            base=self.market.base,
            dates=tuple(self.days[day] for day in self.kept),
            nav=tuple(self.nav),
            flow=tuple(self.flow),
            gaps=tuple(self.gaps),
            flow_in_gap=tuple(self.flow_in_gap),
            flow_between=tuple(self.flow_between),
            flow_after=tuple(self.flow_after),
            flows=tuple(self.flows),
            symbols=self.symbols,
            currencies=self.currencies,
            symbol_currency=np.asarray(self.price_money, dtype=np.intp),
            price=price,
            fx=fx,
            begin=before * scale,
            before=before,
            traded=self._dense("traded", rows, names),
            paid_base=paid,
            income_base=self._dense("income", rows, names),
            money=money,
            external=self._dense("external", rows, monies),
            earned=self._dense("earned", rows, monies),
            trade_cash=trade_cash,
            unpriced=tuple(unpriced),
            warnings=self.market.warnings,
        )

    def _dense(self, name: str, rows: int, columns: int, fill: float = 0.0) -> Floats:
        dense = np.full((rows, columns), fill)
        for row, column, amount in self.sparse[name]:
            if name in ("income", "paid"):  # one entry per currency
                dense[row, column] += float(amount)
            else:
                dense[row, column] = float(amount)
        return dense


def _floats(numbers: Sequence[Decimal | None]) -> Floats:
    """Return numbers as floats, NaN for None."""
    try:
        # Half the time of `np.array`, which asks each for its type first.
        return np.fromiter(map(float, numbers), np.float64, len(numbers))  # pyright: ignore[reportArgumentType]
    except TypeError:
        return np.array(numbers, dtype=np.float64)
