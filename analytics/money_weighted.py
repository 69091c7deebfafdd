"""Money-weighted return: the rate at which all money put in grew to what is there now.

Σ CF_i / (1 + r)^(d_i / 365) = 0, opening value as a first payment (GIPS 2020, 2.A.29). Such an equation can have no
solution or several; then there is no money-weighted return, whatever a solver prints. A solution is the only one when
the balance owed to the investor, grown at that rate, never changes its sign between the first payment and the last
(Teichroew, Robichek and Montalbano 1965); every other solution is refused.

The unknown solved for is x = ln(1 + return of the whole period), with time u from 0 to 1: Σ CF_i·e^(−x·u_i) = 0. The
annual rate of a few days is astronomic or within a rounding of −100%, and raised back to the period loses its digits;
x does not. Both rates follow from it: period e^x − 1, annual e^(x·365/days) − 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import exp, expm1, fsum

DAYS_PER_YEAR = 365
# Growth from e^−600 to e^600, looked at in steps that widen with the distance from 0.
_FIRST_STEP, _WIDENING, _X_MAX = 0.01, 1.25, 600.0
_BISECTIONS_MAX = 200


@dataclass(frozen=True, slots=True)
class MoneyWeighted:
    """A money-weighted return.

    Attributes:
        period: over the whole time, (1 + annual)^(days / 365) − 1; None with a `reason`.
        annual: per year of 365 days; None below one year (GIPS 2020, 5.A.1.b) and without `period`.
        flows: payments the equation has, opening and closing value included.
    """

    period: float | None
    annual: float | None
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
        return MoneyWeighted(None, None, len(days), "fewer than two days with payments")
    if not (min(amounts) < 0.0 < max(amounts)):
        return MoneyWeighted(None, None, len(days), "all payments have one sign: no rate solves the equation")
    whole = (days[-1] - days[0]).days
    times = [(on - days[0]).days / whole for on in days]
    growth = _solved(times, amounts)
    if growth is None:
        # Where the equation has one sign at both ends, solutions come in pairs.
        return MoneyWeighted(None, None, len(days), "no rate above −100% solves the equation, or more than one does")
    if not _balance_keeps_sign(growth, times, amounts):
        why = "more than one rate may solve the equation: the balance changes its sign"
        return MoneyWeighted(None, None, len(days), why)
    period = expm1(growth)
    if whole < DAYS_PER_YEAR:
        return MoneyWeighted(period, None, len(days), "less than one year: not annualised")
    return MoneyWeighted(period, expm1(growth * DAYS_PER_YEAR / whole), len(days))


def _solved(times: Sequence[float], amounts: Sequence[float]) -> float | None:
    """Return the x nearest to 0 at which Σ amount·e^(−x·time) changes its sign; None if nowhere.

    Sums do not depend on their order (`fsum`). Cost: O(payments × 100).
    """
    largest = max(map(abs, amounts))
    scaled = [amount / largest for amount in amounts]

    def worth(x: float) -> float:
        return fsum(amount * exp(-x * at) for at, amount in zip(times, scaled, strict=True))

    middle = worth(0.0)
    if not middle:
        return 0.0
    reached, step = 0.0, _FIRST_STEP
    values = {+1.0: middle, -1.0: middle}
    while reached + step <= _X_MAX:
        for side, before in values.items():
            value = worth(side * (reached + step))
            if (value > 0.0) != (before > 0.0):
                return _bisected(worth, side * reached, side * (reached + step), before)
            values[side] = value
        reached += step
        step *= _WIDENING
    return None


def _bisected(worth: Callable[[float], float], low: float, high: float, at_low: float) -> float:
    """Return the root between two points of different sign, to the last digit."""
    for _ in range(_BISECTIONS_MAX):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        value = worth(middle)
        if not value:
            return middle
        if (value > 0.0) == (at_low > 0.0):
            low = middle
        else:
            high = middle
    return low if abs(worth(low)) <= abs(worth(high)) else high


def _balance_keeps_sign(growth: float, times: Sequence[float], amounts: Sequence[float]) -> bool:
    """Whether the balance after each payment but the last stays on one side of zero. Cost: O(payments)."""
    tolerance = fsum(abs(amount) for amount in amounts) * 1e-9
    side = balance = 0.0
    before = times[0]
    for at, amount in zip(times[:-1], amounts[:-1], strict=True):
        balance = balance * exp(growth * (at - before)) + amount
        before = at
        if abs(balance) <= tolerance:
            continue
        if side and (balance > 0.0) != (side > 0.0):
            return False
        side = balance
    return True
