"""Sample statistics of return series, summed so that the order and the number of threads do not matter."""

from collections.abc import Sequence
from math import fsum, sqrt


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean of at least one value."""
    return fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n − 1) of at least two values."""
    return sqrt(covariance(values, values))


def covariance(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the sample covariance (n − 1) of at least two pairs."""
    at_left, at_right = mean(left), mean(right)
    total = fsum((a - at_left) * (b - at_right) for a, b in zip(left, right, strict=True))
    return total / (len(left) - 1)


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile, linearly interpolated between order statistics (Hyndman and Fan 1996, type 7)."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
