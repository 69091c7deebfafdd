"""How often a return series was observed: what annualises its figures.

Monthly returns annualised as daily ones overstate volatility by √(252/12). The frequency is read off the spans of the
returns (calendar days from close to close): their median decides, and nine in ten must fit it, else the series is
irregular and nothing per year can be said of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Frequency:
    """One way of observing.

    Attributes:
        name: of the frequency; `unit`: of one period.
        per_year: periods a year, the factor figures are annualised with.
        median_days: range the median span lies in; `span_days`: range single spans lie in (weekends, holidays, short
            months).
    """

    name: str
    unit: str
    per_year: int
    median_days: tuple[float, float]
    span_days: tuple[int, int]

    @property
    def months(self) -> float:
        """Months in one period."""
        return 12.0 / self.per_year


DAILY = Frequency("daily", "day", 252, (1, 1), (1, 5))
FREQUENCIES = (
    DAILY,
    Frequency("weekly", "week", 52, (6, 8), (4, 10)),
    Frequency("monthly", "month", 12, (28, 33), (26, 36)),
    Frequency("quarterly", "quarter", 4, (88, 94), (85, 98)),
)
_FITTING_MIN = 0.9


def observed(spans: Sequence[int]) -> tuple[Frequency | None, str]:
    """Return the frequency of returns over these spans, and why there is none.

    Args:
        spans: calendar days from the close each return begins with to the one it ends with.
    """
    if not spans:
        return None, "no returns"
    middle = median(spans)
    for each in FREQUENCIES:
        low, high = each.median_days
        if low <= middle <= high:
            fitting = sum(each.span_days[0] <= span <= each.span_days[1] for span in spans) / len(spans)
            if fitting >= _FITTING_MIN:
                return each, ""
            return None, f"closes are irregular: {each.name} in the middle, but only {fitting:.0%} of the spans fit"
    return None, (
        f"closes are {middle:g} days apart in the middle, which is neither daily, weekly, monthly nor quarterly: no"
        " factor to annualise with"
    )
