"""Where money came from, security by security: price, currency, income and trading in base currency.

Per interval, with units q held since its start (on the share basis of its end), price p and rate S:

    price q·(p₁ − p₀)·S₀     currency q·p₀·(S₁ − S₀)     joint q·(p₁ − p₀)·(S₁ − S₀)
    trading (value at the close of units traded) − (what was paid for them)     income: dividends less tax withheld

Their sum over all intervals is value at the end − money put in + money taken out, to the cent: percentages and money
reconcile, and capital, dividend and currency gains stay apart.
"""

from dataclasses import dataclass
from math import fsum

import numpy as np

from analytics.history import History


@dataclass(frozen=True, slots=True)
class Gain:
    """Gains of one security in base currency since the history began.

    Attributes:
        invested: net amount paid for units (buys less sells), fees not included.
        value: at the end.
        total: price + currency + joint + trading + income = value − invested + income.
    """

    symbol: str
    price: float
    currency: float
    joint: float
    trading: float
    income: float
    invested: float
    value: float

    @property
    def total(self) -> float:
        """Sum of the five."""
        return fsum((self.price, self.currency, self.joint, self.trading, self.income))


def gain_of(history: History, symbol: str) -> Gain | None:
    """Return the gains of one security; None when the history never held it or has no valued day."""
    if symbol not in history.symbols or not history.dates:
        return None
    at = history.symbols.index(symbol)
    money = int(history.symbol_currency[at])
    rate = np.nan_to_num(history.fx[:, money])
    price = history.price[:, at]
    # Units and price of the day before, both on its own share basis.
    before = history.before[:, at]
    opening = np.concatenate(([0.0], price[:-1])) * before
    closing = history.begin[:, at] * price
    then = np.concatenate(([0.0], rate[:-1]))
    moved, changed = closing - opening, rate - then
    # Nothing is held before the first day, so its rate change moves nothing.
    bought = history.traded[:, at] * price * rate
    paid = history.paid_base[:, at].copy()
    for trades in history.unpriced:
        # Counted at the close; what they brought beyond it is this security's where no other was traded so.
        if trades.symbol == symbol:
            paid[trades.at] -= trades.amount
    held = float(history.begin[-1, at] + history.traded[-1, at])
    return Gain(
        symbol=symbol,
        price=fsum((moved * then).tolist()),
        currency=fsum((opening * changed).tolist()),
        joint=fsum((moved * changed).tolist()),
        trading=fsum((bought - paid).tolist()),
        income=fsum(history.income_base[:, at].tolist()),
        invested=fsum(paid.tolist()),
        value=held * float(price[-1]) * float(rate[-1]),
    )
