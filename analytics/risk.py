"""Risk of a return series, each figure with its convention named.

Per-day figures are annualised with 252 days a year. Volatility is the sample standard deviation (n − 1); Sharpe's
ratio divides the mean excess return by the deviation of excess returns; Sortino's divides by the downside deviation
√mean(min(r − MAR, 0)²) over *all* n days; drawdown is taken on the return index (Bacon, Practical Portfolio Risk).
Value at risk and expected shortfall are historical and given as returns, so a loss is negative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from analytics.statistics import covariance, deviation, mean, quantile

DAYS_PER_YEAR = 252
OBSERVATIONS_MIN = 20
_TINY = 1e-14

CONVENTIONS: Mapping[str, str] = {
    "volatility": "sd(r), n − 1, × √252",
    "downside_deviation": "√mean(min(r − MAR, 0)²) over all days × √252",
    "sharpe": "mean(r − rf) / sd(r − rf) × √252",
    "sortino": "mean(r − MAR) × 252 / downside deviation",
    "beta": "cov(r, b) / var(b), daily, n − 1",
    "tracking_error": "sd(r − b), n − 1, × √252",
    "information_ratio": "mean(r − b) / sd(r − b) × √252",
    "value_at_risk": "historical, one day, 5% quantile of r (linear interpolation); a return, losses negative",
    "expected_shortfall": "historical, one day, mean of the worst 5% of days; a return, losses negative",
}


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
    risk_free_reason: str = "no risk-free rate at hand",
    benchmark_reason: str = "no benchmark given",
) -> Risk:
    """Measure a daily return series.

    Args:
        returns: per day, no gaps.
        risk_free: per day, or None on days without one; None for no risk-free rate.
        benchmark: return per day, or None on days without one; None for no benchmark.
        mar: minimal acceptable return per day.
        tail: share of days value at risk looks at.
        risk_free_reason: why there is no risk-free rate.
        benchmark_reason: why there is no benchmark.
    """
    reasons: dict[str, str] = {}
    found: dict[str, float | None] = dict.fromkeys(CONVENTIONS)
    count = len(returns)
    scale = sqrt(DAYS_PER_YEAR)

    def refuse(why: str, *names: str) -> None:
        for name in names:
            reasons[name] = why

    few = f"{count} daily returns, {OBSERVATIONS_MIN} needed"
    if count < OBSERVATIONS_MIN:
        refuse(few, *CONVENTIONS)
        return Risk(**found, n_obs=count, n_benchmark=0, reasons=reasons)
    found["volatility"] = deviation(returns) * scale
    below = sqrt(fsum(min(each - mar, 0.0) ** 2 for each in returns) / count) * scale
    found["downside_deviation"] = below
    if below > _TINY:
        found["sortino"] = (mean(returns) - mar) * DAYS_PER_YEAR / below
    else:
        refuse("no day below the minimal acceptable return", "sortino")
    found["value_at_risk"] = quantile(returns, tail)
    # As many days as lie at or below the quantile's lower order statistic.
    worst = sorted(returns)[: int((count - 1) * tail) + 1]
    found["expected_shortfall"] = mean(worst)

    known = [] if risk_free is None else [each for each in risk_free if each is not None]
    if len(known) < count:
        missing = risk_free_reason if not known else f"no risk-free rate on {count - len(known)} of {count} days"
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
        refuse(f"{len(pairs)} days with a benchmark return, {OBSERVATIONS_MIN} needed", *compared)
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
