"""Returns of an index between given days, in another currency."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from analytics.fx import CARRY_DAYS_MAX


def level_returns(
    levels: Sequence[tuple[date, float]],
    intervals: Sequence[tuple[date, date]],
    rate_on: Callable[[date], Decimal | None],
) -> list[float | None]:
    """Return one return per interval; None where either end has no level or no rate.

    Args:
        levels: (day, close), ascending; a close is carried a few days over holidays.
        intervals: (start, end) days.
        rate_on: units of the wanted currency per 1 of the index's.
    """
    days = [on for on, _ in levels]
    known: dict[date, float | None] = {}

    def value(on: date) -> float | None:
        if on not in known:
            at = bisect_right(days, on) - 1
            rate = rate_on(on)
            fresh = at >= 0 and (on - days[at]).days <= CARRY_DAYS_MAX and rate is not None
            known[on] = levels[at][1] * float(rate) if fresh and rate is not None else None
        return known[on]

    found: list[float | None] = []
    for start, end in intervals:
        then, now = value(start), value(end)
        found.append(now / then - 1.0 if then and now is not None else None)
    return found
