"""Daily returns of one holding in base currency, on the days it was held."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from analytics.history import History


@dataclass(frozen=True, slots=True)
class HoldingReturns:
    """Columns of equal length: the interval's end, its start, and the return, dividends included."""

    dates: tuple[date, ...]
    before: tuple[date, ...]
    returns: tuple[float, ...]


def holding_returns(history: History, symbol: str) -> HoldingReturns | None:
    """Return a holding's returns; None when the history never held it.

    r = (q·p₁·S₁ + income − q·p₀·S₀) / |q·p₀·S₀| over intervals that begin with units held or owed (q < 0): a short
    gains what the security loses. Trades within an interval do not count: what was held from its start is measured.
    """
    if symbol not in history.symbols:
        return None
    at = history.symbols.index(symbol)
    rate = np.nan_to_num(history.fx[:, int(history.symbol_currency[at])])
    closes = history.price[:, at]
    found: list[tuple[date, date, float]] = []
    for day in range(1, len(history.dates)):
        opening = history.before[day, at] * closes[day - 1] * rate[day - 1]
        if opening:
            closing = history.begin[day, at] * closes[day] * rate[day] + history.income_base[day, at]
            change = float(closing / opening) - 1.0
            found.append((history.dates[day], history.dates[day - 1], change if opening > 0 else -change))
    return HoldingReturns(
        tuple(on for on, _, _ in found), tuple(on for _, on, _ in found), tuple(value for _, _, value in found)
    )
