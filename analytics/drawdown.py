"""Drawdown of a return index that starts at 1, so that a loss on the first day counts.

Drawdown is taken on the return index, never on portfolio values: deposits would hide losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.numbers import ratio


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall below an earlier high.

    Attributes:
        depth: trough over peak − 1, ≤ 0; 0 when the index never fell; None when there is no return.
        peak, trough: their days; None when the index never fell.
        recovery: first day at or above the peak again; None while not recovered.
        current: last value over the running high − 1; None when there is no return.
    """

    depth: float | None
    peak: date | None
    trough: date | None
    recovery: date | None
    current: float | None

    def as_json(self) -> dict[str, Any]:
        """Return JSON: ratios and ISO days."""
        return {
            "depth": ratio(self.depth),
            "peak": self.peak.isoformat() if self.peak else None,
            "trough": self.trough.isoformat() if self.trough else None,
            "recovery": self.recovery.isoformat() if self.recovery else None,
            "current": ratio(self.current),
        }


NO_DRAWDOWN = Drawdown(None, None, None, None, None)


def underwater(index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return index over its running maximum − 1, per value; the index started at 1, even if that is not in it."""
    return index / np.maximum(np.maximum.accumulate(index), 1.0) - 1.0


def max_drawdown(dates: Sequence[date], index: NDArray[np.float64]) -> Drawdown:
    """Return the deepest drawdown; `index` includes its starting value on `dates[0]`."""
    if len(index) == 0:
        return NO_DRAWDOWN
    below = underwater(index)
    trough = int(np.argmin(below))
    depth = float(below[trough])
    if depth >= 0.0:
        return Drawdown(0.0, None, None, None, float(below[-1]))
    peak = int(np.argmax(index[: trough + 1]))
    recovered = np.nonzero(index[trough:] >= index[peak])[0]
    recovery = dates[trough + int(recovered[0])] if len(recovered) else None
    return Drawdown(depth, dates[peak], dates[trough], recovery, float(below[-1]))
