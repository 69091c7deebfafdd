"""Drawdown at risk: how deep the fall from a high may get within a horizon, by resampling a portfolio's own days.

Paths are drawn by the circular block bootstrap (Politis and Romano 1992): blocks of consecutive days keep volatility
clusters together. The same returns, numbers and seed give the same figures. Drawdown at risk is a quantile of the
paths' maximum drawdowns (Chekhlov, Uryasev and Zabarankin 2005, for the idea), not of a handful of scenarios.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.statistics import mean, quantile

OBSERVATIONS_MIN = 120
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class DrawdownAtRisk:
    """Maximum drawdowns over the horizon, ≤ 0.

    Attributes:
        at_risk: only a share 1 − confidence of paths falls deeper.
        expected_beyond: mean of those deeper ones.
        depths: per path, ascending (deepest first).
    """

    at_risk: float
    expected_beyond: float
    median: float
    mean: float
    depths: tuple[float, ...]


def drawdown_at_risk(
    returns: Sequence[float], *, horizon: int, paths: int, block: int, seed: int, confidence: float
) -> DrawdownAtRisk:
    """Resample.

    Args:
        returns: per day (or other period), at least `OBSERVATIONS_MIN`.
        horizon: periods per path.
        paths: number of paths.
        block: periods per block.
        seed: of the generator (PCG64).
        confidence: 0.95 looks at the worst 5% of paths.

    Cost: O(paths × horizon).
    """
    own = np.array(returns, dtype=np.float64)
    dice = np.random.Generator(np.random.PCG64(seed))
    blocks = -(-horizon // block)
    depths: list[float] = []
    for first in range(0, paths, _CHUNK):
        count = min(_CHUNK, paths - first)
        starts = dice.integers(0, len(own), size=(count, blocks))
        days = (starts[:, :, np.newaxis] + np.arange(block)) % len(own)
        drawn = own[days.reshape(count, blocks * block)[:, :horizon]]
        index = np.concatenate((np.ones((count, 1)), np.cumprod(1.0 + drawn, axis=1)), axis=1)
        depths += (index / np.maximum.accumulate(index, axis=1) - 1.0).min(axis=1).tolist()
    depths.sort()
    at = quantile(depths, 1.0 - confidence)
    beyond = [depth for depth in depths if depth <= at]
    return DrawdownAtRisk(at, mean(beyond), quantile(depths, 0.5), mean(depths), tuple(depths))
