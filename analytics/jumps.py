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
# Only ratios that splits really have, each with how near the value must be: a market moves on the day of a split as on
# any other, but where ratios lie close together anything would look like one of them. Pounds for pence look like 1:100.
_NEAR, _NEAR_RARE = 0.04, 0.02
_COMMON = ((2, 1), (3, 1), (4, 1), (5, 1), (100, 1))
_RARE = ((3, 2), (4, 3), (5, 2), (5, 3), *((many, 1) for many in (6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)))
_SPLITS = tuple(
    (new, old, near)
    for ratios, near in ((_COMMON, _NEAR), (_RARE, _NEAR_RARE))
    for ratio in ratios
    for new, old in (ratio, ratio[::-1])
)
# The smallest move that is told: a 4:3 split takes a quarter, in a market that rose a little less.
JUMP_AS_SPLIT = 1 - 3 / 4 * (1 + _NEAR_RARE)


@dataclass(frozen=True, slots=True)
class Jump:
    """What was held overnight moved by more than `JUMP_MAX` in its own currency, or as a split would make it move.

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
        if self.split in ("100:1", "1:100"):
            guess += ", or the price is in another unit"
        return (
            f"{self.symbol} lay {abs(self.change):.1%} {'lower' if self.change < 0 else 'higher'} on {self.on} than on"
            f" {self.before_on} ({self.before:f}, then {self.close:f}), which no split in the ledger explains{guess}"
        )


def unexplained_jumps(history: History) -> tuple[Jump, ...]:
    """Return the jumps between neighbouring valued days, by day and symbol. Cost: O(days × symbols), vectorised."""
    old, new = history.price[:-1] * history.before[1:], history.price[1:] * history.begin[1:]
    found: list[Jump] = []
    for at, column in np.argwhere(np.abs(new - old) > (JUMP_AS_SPLIT - _ROUNDING) * np.abs(old)):
        if not old[at, column]:
            continue
        ratio = float(new[at, column] / old[at, column])
        split = unbooked_split(ratio)
        if abs(ratio - 1) <= JUMP_MAX + _ROUNDING and split is None:
            continue
        found.append(
            Jump(
                symbol=history.symbols[column],
                on=history.dates[at + 1],
                before_on=history.dates[at],
                before=_exact(float(history.price[at, column])),
                close=_exact(float(history.price[at + 1, column])),
                change=ratio - 1,
                split=split,
            )
        )
    return tuple(sorted(found, key=lambda jump: (jump.on, jump.symbol)))


def _exact(price: float) -> Decimal:
    """Return a close as it was quoted: the shortest decimal that is this float."""
    return Decimal(repr(price))


def unbooked_split(ratio: float) -> str | None:
    """Return the split that would make the two values nearly equal."""
    fits = [(off, new, old) for new, old, near in _SPLITS if (off := abs(ratio * new / old - 1)) <= near]
    return "{1}:{2}".format(*min(fits)) if fits else None
