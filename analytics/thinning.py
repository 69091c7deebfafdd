"""Fewer points with the same look: per bucket, keep where each series is lowest and highest."""

from collections.abc import Sequence


def thin(series: Sequence[Sequence[float | None]], points_max: int) -> list[int]:
    """Return the ascending indices to keep, at most about `points_max`.

    Args:
        series: columns of equal length; None never counts as an extreme.
        points_max: wanted number of points, at least 4.

    The first and last point and every column's overall extremes are always kept, so no high or
    low disappears. The same input gives the same indices.
    """
    count = len(series[0]) if series else 0
    if count <= points_max:
        return list(range(count))
    buckets = max(1, (points_max - 2) // (2 * len(series)))
    kept = {0, count - 1}
    for bucket in range(buckets):
        start = 1 + bucket * (count - 2) // buckets
        end = 1 + (bucket + 1) * (count - 2) // buckets
        for column in series:
            known = [(value, at) for at in range(start, end) if (value := column[at]) is not None]
            if known:
                kept.add(min(known)[1])
                kept.add(max(known)[1])
    return sorted(kept)
