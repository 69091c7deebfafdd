"""Prices and exchange rates aligned on valuation days.

Valuation days are the days of the pack series (the union of the sessions it covers). A day
without an observation carries the last one, at most five calendar days; beyond that the price is
None and the portfolio has no value on that day.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import repeat
from operator import is_

from analytics.fx import CARRY_DAYS_MAX, FxHistory, from_minor_unit

# (on, symbol, close, currency): raw closes on the share basis of their own day.
PriceRow = tuple[date, str, Decimal, str]
# (on, base, quote, rate): quote units for 1 base.
FxRow = tuple[date, str, str, Decimal]


@dataclass(frozen=True, slots=True)
class Series:
    """One security's closes on the valuation days.

    Attributes:
        currency: of the closes; minor units are already converted.
        closes: per valuation day; None where there is nothing to carry.
        observed: per valuation day the index of the day the close was observed on.
    """

    currency: str
    closes: Sequence[Decimal | None]
    observed: Sequence[int]


@dataclass(frozen=True, slots=True)
class Market:
    """All series a portfolio needs, aligned on `dates` (ascending, unique); `rates` are those of every day."""

    dates: tuple[date, ...]
    base: str
    prices: Mapping[str, Series]
    fx: Mapping[str, Sequence[Decimal | None]]
    warnings: tuple[str, ...] = ()
    rates: FxHistory = field(default_factory=lambda: FxHistory(()))


def align(
    base: str,
    prices: Iterable[PriceRow],
    fx: Iterable[FxRow],
    *,
    dates: Sequence[date] | None = None,
    currencies: Iterable[str] = (),
) -> Market:
    """Align observations on valuation days.

    Args:
        base: currency everything is valued in.
        prices: rows in any order; rows after the last valuation day are left out.
        fx: rows in any order.
        dates: valuation days, ascending; default every day that has a price.
        currencies: wanted besides those of the prices (cash, dividends).

    Returns: `fx` holds a series for each currency of prices and `currencies`, base included.

    Raises:
        InconsistentRates: a rate is not positive or contradicts its inverse.
    Cost: O(rows + days × symbols).
    """
    if dates is None:
        prices = list(prices)
        dates = sorted({row[0] for row in prices})
    place = {on: at for at, on in enumerate(dates)}
    columns: dict[str, list[Decimal | None]] = {}
    currency_of: dict[str, str] = {}
    warnings: dict[str, None] = {}
    count = len(dates)
    for on, symbol, close, quoted in prices:
        column = columns.get(symbol)
        if column is None:
            column = columns[symbol] = [None] * count
            currency_of[symbol] = quoted
        elif currency_of[symbol] != quoted:
            warnings[f"{symbol} is quoted in {currency_of[symbol]} and {quoted}"] = None
            continue
        at = place.get(on)
        if at is not None:
            column[at] = close
    series = {symbol: _carried(currency_of[symbol], column, dates) for symbol, column in columns.items()}
    history = FxHistory(fx)
    wanted = {item.currency for item in series.values()} | set(currencies) | {base}
    rates = {currency: history.column(currency, base, dates) for currency in sorted(wanted)}
    return Market(tuple(dates), base, series, rates, tuple(warnings), history)


def _carried(quoted: str, closes: list[Decimal | None], dates: Sequence[date]) -> Series:
    """Fill gaps with the last close, in place."""
    currency, _ = from_minor_unit(quoted, Decimal(0))
    if currency != quoted:
        closes = [None if close is None else close / 100 for close in closes]
    # Not `None in closes`, which asks every Decimal whether it equals None: a tenth of the time of a valuation.
    if not any(map(is_, closes, repeat(None))):
        return Series(currency, closes, range(len(closes)))
    observed: list[int] = []
    last: Decimal | None = None
    last_at = 0
    for at, close in enumerate(closes):
        if close is not None:
            last, last_at = close, at
        else:
            if last is not None and (dates[at] - dates[last_at]).days > CARRY_DAYS_MAX:
                last = None
            closes[at] = last
        observed.append(last_at)
    return Series(currency, closes, observed)
