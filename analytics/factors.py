"""Exposure of a return series to market factors.

y = α + Σ β_f·f + ε, monthly excess returns, errors by Newey and West. Betas measure exposure, not shares: they do not
sum to one.
"""

from collections.abc import Sequence

from analytics.regression import Fit, Singular, fit

MONTHS_MIN = 24


def exposures(excess: Sequence[float], factors: Sequence[Sequence[float]]) -> tuple[Fit | None, str]:
    """Regress monthly excess returns on factors.

    Args:
        excess: r − rf per month.
        factors: per month, one return per factor.

    Returns: the fit, alpha first, and why there is none.
    """
    if len(excess) < MONTHS_MIN:
        return None, f"{len(excess)} whole months at hand, {MONTHS_MIN} needed"
    try:
        return fit(excess, [[1.0, *row] for row in factors]), ""
    except Singular as error:
        return None, str(error)
