"""Prices and exchange rates aligned on valuation days.

Valuation days are the days of the pack series (the union of the sessions it covers). A day
without an observation carries the last one, at most five calendar days; beyond that the price is
None and the portfolio has no value on that day.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

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
    """All series a portfolio needs, aligned on `dates` (ascending, unique)."""

    dates: tuple[date, ...]
    base: str
    prices: Mapping[str, Series]
    fx: Mapping[str, Sequence[Decimal | None]]
    warnings: tuple[str, ...] = ()


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
    by_symbol: dict[str, dict[date, Decimal]] = {}
    currency_of: dict[str, str] = {}
    warnings: dict[str, None] = {}
    for on, symbol, close, quoted in prices:
        days = by_symbol.get(symbol)
        if days is None:
            days = by_symbol[symbol] = {}
            currency_of[symbol] = quoted
        elif currency_of[symbol] != quoted:
            warnings[f"{symbol} is quoted in {currency_of[symbol]} and {quoted}"] = None
            continue
        days[on] = close
    if dates is None:
        dates = sorted({on for days in by_symbol.values() for on in days})
    series = {symbol: _carried(currency_of[symbol], days, dates) for symbol, days in by_symbol.items()}
    history = FxHistory(fx)
    wanted = {item.currency for item in series.values()} | set(currencies) | {base}
    rates: dict[str, list[Decimal | None]] = {}
    for currency in sorted(wanted):
        found = [history.rate(currency, base, on) for on in dates]
        rates[currency] = [None if rate is None else rate.rate for rate in found]
    return Market(tuple(dates), base, series, rates, tuple(warnings))


def _carried(quoted: str, days: Mapping[date, Decimal], dates: Sequence[date]) -> Series:
    closes: list[Decimal | None] = []
    observed: list[int] = []
    currency, _ = from_minor_unit(quoted, Decimal(0))
    minor = currency != quoted
    last: Decimal | None = None
    last_at = 0
    for at, on in enumerate(dates):
        close = days.get(on)
        if close is not None:
            last, last_at = (close / 100 if minor else close), at
        elif last is not None and (on - dates[last_at]).days > CARRY_DAYS_MAX:
            last = None
        closes.append(last)
        observed.append(last_at)
    return Series(currency, closes, observed)
