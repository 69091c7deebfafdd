"""Values of a holding that jump overnight beyond any booked split: real, wrong, or a split nobody booked.

Prices are on the share basis of their own day, so a split that is missing in the ledger turns into a loss, and a
reverse split into a gain, that nobody had; one booked on another day, or with another ratio, jumps too.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from analytics.history import History

JUMP_MAX = 0.25
# A quarter itself is none, whatever floats make of it.
_ROUNDING = 1e-9
# What is declared, new shares for old ones, and how near the close must be: a market moves on such a day as on any
# other, and between the ratios that are rare anything would look like one of them.
_COMMON = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50)
_RARE = ((3, 2), (4, 3), (5, 2), (5, 3))
_LIKENESS = {
    **{ratio: 0.04 for new in _COMMON for ratio in ((new, 1), (1, new))},
    **{ratio: 0.02 for new, old in _RARE for ratio in ((new, old), (old, new))},
}


@dataclass(frozen=True, slots=True)
class Jump:
    """What was held overnight is worth more than `JUMP_MAX` more or less, in its own currency.

    Attributes:
        before: close of the valued day before, on that day's share basis.
        close: on the day's own share basis.
        change: value of the units held at the close before, now / then − 1; booked splits do not change it.
        split: the split it looks like, new for old ("2:1"); None for none.
    """

    symbol: str
    on: date
    before_on: date
    before: Decimal
    close: Decimal
    change: float
    split: str | None

    def said(self) -> str:
        """Return the jump in one sentence."""
        guess = f": a {self.split} split looks forgotten" if self.split else ""
        return (
            f"{self.symbol} lay {abs(self.change):.1%} {'lower' if self.change < 0 else 'higher'} on {self.on} than on"
            f" {self.before_on} ({self.before:f}, then {self.close:f}), which no split in the ledger explains{guess}"
        )


def unexplained_jumps(history: History) -> tuple[Jump, ...]:
    """Return the jumps between neighbouring valued days, by day and symbol. Cost: O(days × symbols), vectorised."""
    old, new = history.price[:-1] * history.before[1:], history.price[1:] * history.begin[1:]
    found: list[Jump] = []
    for at, column in np.argwhere(np.abs(new - old) > (JUMP_MAX + _ROUNDING) * np.abs(old)):
        if not old[at, column]:
            continue
        ratio = float(new[at, column] / old[at, column])
        found.append(
            Jump(
                symbol=history.symbols[column],
                on=history.dates[at + 1],
                before_on=history.dates[at],
                before=_exact(float(history.price[at, column])),
                close=_exact(float(history.price[at + 1, column])),
                change=ratio - 1,
                split=_likely_split(ratio),
            )
        )
    return tuple(sorted(found, key=lambda jump: (jump.on, jump.symbol)))


def _exact(price: float) -> Decimal:
    """Return a close as it was quoted: the shortest decimal that is this float."""
    return Decimal(repr(price))


def _likely_split(ratio: float) -> str | None:
    """Return the split that would make the two values nearly equal."""
    off, new, old = min((abs(ratio * new / old - 1), new, old) for new, old in _LIKENESS)
    return f"{new}:{old}" if off <= _LIKENESS[new, old] else None
