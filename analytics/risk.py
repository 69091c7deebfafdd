"""Risk of a return series, each figure with its convention named.

Figures are annualised with the periods a year of the series (252 days, 52 weeks, 12 months, 4 quarters). Volatility is
the sample standard deviation (n − 1); Sharpe's ratio divides the mean excess return by the deviation of excess returns;
Sortino's divides by the downside deviation √mean(min(r − MAR, 0)²) over *all* n periods; drawdown is taken on the
return index (Bacon, Practical Portfolio Risk). Value at risk and expected shortfall are historical and given as
returns, so a loss is negative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from analytics.frequency import DAILY, Frequency
from analytics.statistics import covariance, deviation, mean, quantile

OBSERVATIONS_MIN = 20
_TINY = 1e-14

_FORMULAS: Mapping[str, str] = {
    "volatility": "sd(r), n − 1, × √{n}",
    "downside_deviation": "√mean(min(r − MAR, 0)²) over all periods × √{n}",
    "sharpe": "mean(r − rf) / sd(r − rf) × √{n}",
    "sortino": "mean(r − MAR) × {n} / downside deviation",
    "beta": "cov(r, b) / var(b), per {unit}, n − 1",
    "tracking_error": "sd(r − b), n − 1, × √{n}",
    "information_ratio": "mean(r − b) / sd(r − b) × √{n}",
    "value_at_risk": "historical, one {unit}, 5% quantile of r (linear interpolation); a return, losses negative",
    "expected_shortfall": "historical, one {unit}, mean of the worst 5% of r; a return, losses negative",
}


def conventions(frequency: Frequency | None = None) -> dict[str, str]:
    """Return how each figure is computed: with the factor of a frequency, or with N for it."""
    n, unit = ("N", "period") if frequency is None else (str(frequency.per_year), frequency.unit)
    return {name: formula.format(n=n, unit=unit) for name, formula in _FORMULAS.items()}


FIGURES = tuple(_FORMULAS)


@dataclass(frozen=True, slots=True)
class Risk:
    """Risk figures; each None has its reason in `reasons` under its own name."""

    volatility: float | None
    downside_deviation: float | None
    sharpe: float | None
    sortino: float | None
    beta: float | None
    tracking_error: float | None
    information_ratio: float | None
    value_at_risk: float | None
    expected_shortfall: float | None
    n_obs: int
    n_benchmark: int
    reasons: Mapping[str, str]


def measure(
    returns: Sequence[float],
    *,
    risk_free: Sequence[float | None] | None = None,
    benchmark: Sequence[float | None] | None = None,
    mar: float = 0.0,
    tail: float = 0.05,
    frequency: Frequency = DAILY,
    risk_free_reason: str = "no risk-free rate at hand",
    benchmark_reason: str = "no benchmark given",
) -> Risk:
    """Measure a return series of one frequency.

    Args:
        returns: per period, no gaps.
        risk_free: per period, or None where there is none; None for no risk-free rate.
        benchmark: return per period, or None where there is none; None for no benchmark.
        mar: minimal acceptable return per period.
        tail: share of periods value at risk looks at.
        frequency: of the returns.
        risk_free_reason: why there is no risk-free rate.
        benchmark_reason: why there is no benchmark.
    """
    reasons: dict[str, str] = {}
    found: dict[str, float | None] = dict.fromkeys(FIGURES)
    count = len(returns)
    scale = sqrt(frequency.per_year)

    def refuse(why: str, *names: str) -> None:
        for name in names:
            reasons[name] = why

    if count < OBSERVATIONS_MIN:
        return refused(f"{count} returns, {OBSERVATIONS_MIN} needed", count)
    found["volatility"] = deviation(returns) * scale
    below = sqrt(fsum(min(each - mar, 0.0) ** 2 for each in returns) / count) * scale
    found["downside_deviation"] = below
    if below > _TINY:
        found["sortino"] = (mean(returns) - mar) * frequency.per_year / below
    else:
        refuse("no return below the minimal acceptable return", "sortino")
    found["value_at_risk"] = quantile(returns, tail)
    # As many days as lie at or below the quantile's lower order statistic.
    worst = sorted(returns)[: int((count - 1) * tail) + 1]
    found["expected_shortfall"] = mean(worst)

    known = [] if risk_free is None else [each for each in risk_free if each is not None]
    if len(known) < count:
        missing = (
            risk_free_reason if not known else f"no risk-free rate on {count - len(known)} of {count} {frequency.unit}s"
        )
        refuse(missing, "sharpe")
    else:
        excess = [each - rate for each, rate in zip(returns, known, strict=True)]
        spread = deviation(excess)
        if spread > _TINY:
            found["sharpe"] = mean(excess) / spread * scale
        else:
            refuse("excess returns do not vary", "sharpe")

    pairs = [] if benchmark is None else [(r, b) for r, b in zip(returns, benchmark, strict=True) if b is not None]
    compared = ("beta", "tracking_error", "information_ratio")
    if benchmark is None:
        refuse(benchmark_reason, *compared)
    elif len(pairs) < OBSERVATIONS_MIN:
        refuse(f"{len(pairs)} {frequency.unit}s with a benchmark return, {OBSERVATIONS_MIN} needed", *compared)
    else:
        own, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        variance = covariance(other, other)
        if variance > _TINY:
            found["beta"] = covariance(own, other) / variance
        else:
            refuse("the benchmark does not vary", "beta")
        active = [r - b for r, b in pairs]
        spread = deviation(active)
        found["tracking_error"] = spread * scale
        if spread > _TINY:
            found["information_ratio"] = mean(active) / spread * scale
        else:
            refuse("the portfolio never departs from the benchmark", "information_ratio")
    return Risk(**found, n_obs=count, n_benchmark=len(pairs), reasons=reasons)


def refused(why: str, count: int) -> Risk:
    """Return no figure at all, each for the same reason."""
    return Risk(**dict.fromkeys(FIGURES), n_obs=count, n_benchmark=0, reasons=dict.fromkeys(FIGURES, why))
