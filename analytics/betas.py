"""Market betas of single holdings: what each of today's holdings does when the share market moves.

A shock on today's holdings needs the betas of those holdings: the beta of the portfolio's own past is that of what it
held then. Each holding's whole-month price returns in its own currency (dividends left out: they hardly move with the
market), less the risk-free rate, are regressed on the factors, the market first, by ordinary least squares; its beta is
the market's slope (Fama and French 1993). A slope is a fixed linear combination of the returns, row `market` of
(X'X)⁻¹X': the weights are found once per set of months and serve every holding that has those months.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from math import fsum

import numpy as np

from analytics.factors import MONTHS_MIN
from analytics.jumps import JUMP_AS_SPLIT, unbooked_split
from analytics.market import PriceRow
from analytics.months import Key, is_whole
from analytics.regression import Singular, row_weights

_MARKET = 1  # column of the regressors; 0 is the constant


@dataclass(frozen=True, slots=True)
class Beta:
    """A holding's market beta.

    Attributes:
        value: None with a `reason`.
        months: (year, month) the regression rests on, ascending.
    """

    value: float | None
    months: tuple[Key, ...]
    reason: str = ""


def market_betas(
    returns: Mapping[str, Mapping[Key, float]],
    factors: Mapping[Key, Sequence[float]],
    risk_free: Mapping[Key, float],
) -> dict[str, Beta]:
    """Regress every holding's monthly returns on the factors.

    Args:
        returns: symbol → month → return, in the holding's currency.
        factors: month → excess return of each factor, the market first.
        risk_free: month → return of the bill.

    Cost: O(months·k²) exact per distinct set of months, O(months) floats per holding.
    """
    weights: dict[tuple[Key, ...], tuple[float, ...] | str] = {}
    found: dict[str, Beta] = {}
    for symbol, own in returns.items():
        months = tuple(key for key in sorted(own) if key in factors and key in risk_free)
        if len(months) < MONTHS_MIN:
            found[symbol] = Beta(None, months, f"{len(months)} whole months at hand, {MONTHS_MIN} needed")
            continue
        if months not in weights:
            try:
                weights[months] = row_weights([[1.0, *factors[key]] for key in months], _MARKET)
            except Singular as error:
                weights[months] = str(error)
        row = weights[months]
        if isinstance(row, str):
            found[symbol] = Beta(None, months, row)
            continue
        excess = [own[key] - risk_free[key] for key in months]
        found[symbol] = Beta(fsum(w * r for w, r in zip(row, excess, strict=True)), months)
    return found


def monthly_price_returns(
    prices: Sequence[PriceRow], splits: Mapping[str, Sequence[tuple[date, Decimal]]]
) -> dict[str, dict[Key, float]]:
    """Return each security's returns over whole calendar months, in the currency it is quoted in.

    Args:
        prices: (day, symbol, close, currency) on the share basis of their day, ordered by day.
        splits: symbol → (day, new units per old), as booked.

    A month with a move that looks like a split nobody booked (none is booked while nothing is held), or with a change
    of the currency of quotation, is left out. Cost: O(prices).
    """
    days: dict[str, list[date]] = {}
    closes: dict[str, list[Decimal]] = {}
    units: dict[str, list[str]] = {}
    for on, symbol, close, quoted in prices:
        if symbol not in days:
            days[symbol], closes[symbol], units[symbol] = [], [], []
        days[symbol].append(on)
        closes[symbol].append(close)
        units[symbol].append(quoted)
    return {symbol: _by_month(days[symbol], closes[symbol], units[symbol], splits.get(symbol, ())) for symbol in days}


def _by_month(
    days: list[date], closes: list[Decimal], units: list[str], splits: Sequence[tuple[date, Decimal]]
) -> dict[Key, float]:
    price = np.array(closes, dtype=np.float64)
    if len(price) < 2 or not (price > 0.0).all():
        return {}
    ratio = np.concatenate(([1.0], price[1:] / price[:-1]))
    for on, new_per_old in splits:
        at = bisect_left(days, on)
        if 0 < at < len(days):
            ratio[at] *= float(new_per_old)
    unsound = {at for at in np.nonzero(np.abs(ratio - 1.0) > JUMP_AS_SPLIT)[0].tolist() if unbooked_split(ratio[at])}
    if len(set(units)) > 1:
        unsound |= {at for at in range(1, len(units)) if units[at] != units[at - 1]}
    index = np.cumprod(ratio)
    months = np.array(days, dtype="datetime64[M]")
    ends = [*np.nonzero(months[1:] != months[:-1])[0].tolist(), len(days) - 1]
    broken = {(days[at].year, days[at].month) for at in unsound}
    found: dict[Key, float] = {}
    for before, end in pairwise(ends):
        key = (days[end].year, days[end].month)
        if key not in broken and is_whole(key, days[before], days[end]):
            found[key] = float(index[end] / index[before]) - 1.0
    return found
