"""The economic regime by rules: growth × inflation, with persistence. No fit: a fitted model finds volatility states.

Growth contracts when real GDP fell over two quarters, or unemployment stands at least half a percentage point above
its low of the last five quarters; else it expands. Inflation is high when the change of core consumer prices over a
year is above its median of the last five years. A regime counts once two releases in a row say the same; until then
the one before stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Literal

Growth = Literal["expansion", "contraction"]
Inflation = Literal["high", "low"]
UNEMPLOYMENT_RISE = 0.5
LOW_QUARTERS = 5
MEDIAN_QUARTERS = 20
PERSISTENCE = 2
_FLOAT_NOISE = 1e-9  # 5.1 − 4.6 must count as 0.5

NAMES = {
    ("expansion", "low"): "disinflationary expansion",
    ("expansion", "high"): "inflationary expansion",
    ("contraction", "high"): "stagflation",
    ("contraction", "low"): "disinflationary contraction",
}


@dataclass(frozen=True, slots=True)
class Signals:
    """What the rules read of one quarter; None where the series is too short.

    Attributes:
        quarter: its first day.
        gdp_two_quarters: real GDP over that of two quarters before − 1.
        unemployment_rise: percentage points above the low of the last five quarters, this one included.
        inflation: core consumer prices over those of a year before − 1.
        inflation_median: of that change over the last five years.
    """

    quarter: date
    gdp_two_quarters: float | None
    unemployment_rise: float | None
    inflation: float | None
    inflation_median: float | None

    @property
    def growth(self) -> Growth | None:
        """Contraction if either signal says so; None unless both are known."""
        if self.gdp_two_quarters is None or self.unemployment_rise is None:
            return None
        falls = self.gdp_two_quarters < 0.0
        rises = self.unemployment_rise >= UNEMPLOYMENT_RISE - _FLOAT_NOISE
        return "contraction" if falls or rises else "expansion"

    @property
    def price(self) -> Inflation | None:
        """High above the median; None when either is unknown."""
        if self.inflation is None or self.inflation_median is None:
            return None
        return "high" if self.inflation > self.inflation_median else "low"

    @property
    def raw(self) -> str | None:
        """The regime this quarter alone says; None when a rule cannot be applied."""
        if self.growth is None or self.price is None:
            return None
        return NAMES[self.growth, self.price]


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter with the regime that stands after it; None before any persisted.

    Attributes:
        signals: of the quarter itself; they may already say another regime.
        since: first quarter of those in a row that made the regime.
        made_by: signals of the newest quarter that said the regime.
    """

    signals: Signals
    regime: str | None
    since: date | None
    made_by: Signals | None


def signals(
    quarters: Sequence[date], gdp: Sequence[float], unemployment: Sequence[float], prices: Sequence[float]
) -> list[Signals]:
    """Return the rules' inputs per quarter.

    Args:
        quarters: first days, ascending, without gaps.
        gdp: real GDP per quarter.
        unemployment: percent.
        prices: index of core consumer prices.
    """
    changes: list[float | None] = [None if at < 4 else prices[at] / prices[at - 4] - 1.0 for at in range(len(quarters))]
    found: list[Signals] = []
    for at, on in enumerate(quarters):
        recent = [change for change in changes[max(at - MEDIAN_QUARTERS + 1, 0) : at + 1] if change is not None]
        found.append(
            Signals(
                quarter=on,
                gdp_two_quarters=gdp[at] / gdp[at - 2] - 1.0 if at >= 2 else None,
                unemployment_rise=(
                    unemployment[at] - min(unemployment[at - LOW_QUARTERS + 1 : at + 1])
                    if at >= LOW_QUARTERS - 1
                    else None
                ),
                inflation=changes[at],
                inflation_median=median(recent) if len(recent) >= MEDIAN_QUARTERS else None,
            )
        )
    return found


def persisted(rows: Sequence[Signals]) -> list[Quarter]:
    """Fold signals into the regime that stands after each quarter."""
    found: list[Quarter] = []
    regime: str | None = None
    since: date | None = None
    made_by: Signals | None = None
    streak: list[Signals] = []
    for row in rows:
        raw = row.raw
        if raw is None:
            streak = []
        else:
            streak = [*streak, row] if streak and streak[-1].raw == raw else [row]
        if raw is not None and raw != regime and len(streak) >= PERSISTENCE:
            regime, since = raw, streak[0].quarter
        if raw is not None and raw == regime:
            made_by = row
        found.append(Quarter(row, regime, since, made_by))
    return found
