"""Money-weighted return: the rate at which all money put in grew to what is there now.

Σ CF_i / (1 + r)^(d_i / 365) = 0, opening value as a first payment (GIPS 2020, 2.A.29). Such an equation can have no
solution or several; then there is no money-weighted return, whatever a solver prints. A solution is the only one when
the balance owed to the investor, grown at that rate, never changes its sign between the first payment and the last
(Teichroew, Robichek and Montalbano 1965); every other solution is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import fsum, isfinite

import pyxirr

DAYS_PER_YEAR = 365
_POLISH_STEPS = 8


@dataclass(frozen=True, slots=True)
class MoneyWeighted:
    """A money-weighted return.

    Attributes:
        period: over the whole time, (1 + annual)^(days / 365) − 1; None with a `reason`.
        annual: per year of 365 days; None below one year (GIPS 2020, 5.A.1.b) and without `period`.
        rate: the solution itself, also below one year; for checks, not for reports.
        flows: payments the equation has, opening and closing value included.
    """

    period: float | None
    annual: float | None
    rate: float | None
    flows: int
    reason: str = ""


def money_weighted(payments: Sequence[tuple[date, Decimal]]) -> MoneyWeighted:
    """Return the money-weighted return of payments, refusing what has no or several solutions.

    Args:
        payments: (day, amount) as the investor feels it: deposits negative, withdrawals and the closing value
            positive; any order.
    """
    by_day: dict[date, float] = {}
    for on, amount in sorted(payments, key=lambda payment: payment[0]):
        by_day[on] = by_day.get(on, 0.0) + float(amount)
    days = [on for on, amount in by_day.items() if amount]
    amounts = [by_day[on] for on in days]
    if len(days) < 2:
        return MoneyWeighted(None, None, None, len(days), "fewer than two days with payments")
    if not (min(amounts) < 0.0 < max(amounts)):
        return MoneyWeighted(None, None, None, len(days), "all payments have one sign: no rate solves the equation")
    years = [(on - days[0]).days / DAYS_PER_YEAR for on in days]
    solved = pyxirr.xirr(days, amounts, silent=True)
    if solved is None or not isfinite(solved) or solved <= -1.0:
        return MoneyWeighted(None, None, None, len(days), "no rate above −100% solves the equation")
    rate = _polished(solved, years, amounts)
    if not _balance_keeps_sign(rate, years, amounts):
        return MoneyWeighted(
            None, None, None, len(days), "more than one rate may solve the equation: the balance changes its sign"
        )
    whole = (days[-1] - days[0]).days
    period = (1.0 + rate) ** (whole / DAYS_PER_YEAR) - 1.0
    if whole < DAYS_PER_YEAR:
        return MoneyWeighted(period, None, rate, len(days), "less than one year: not annualised")
    return MoneyWeighted(period, rate, rate, len(days))


def _polished(rate: float, years: Sequence[float], amounts: Sequence[float]) -> float:
    """Bring a root to the last digits by Newton's method, with sums that do not depend on their order."""
    for _ in range(_POLISH_STEPS):
        growth = 1.0 + rate
        value = fsum(amount * growth**-at for at, amount in zip(years, amounts, strict=True))
        slope = fsum(-at * amount * growth ** (-at - 1.0) for at, amount in zip(years, amounts, strict=True))
        if not slope:
            break
        after = rate - value / slope
        if not isfinite(after) or after <= -1.0 or after == rate:
            break
        rate = after
    return rate


def _balance_keeps_sign(rate: float, years: Sequence[float], amounts: Sequence[float]) -> bool:
    """Whether the balance after each payment but the last stays on one side of zero. Cost: O(payments)."""
    tolerance = fsum(abs(amount) for amount in amounts) * 1e-9
    side = balance = 0.0
    before = years[0]
    for at, amount in zip(years[:-1], amounts[:-1], strict=True):
        balance = balance * (1.0 + rate) ** (at - before) + amount
        before = at
        if abs(balance) <= tolerance:
            continue
        if side and (balance > 0.0) != (side > 0.0):
            return False
        side = balance
    return True
