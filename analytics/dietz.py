"""Modified Dietz return: what to use when days in between cannot be valued.

r = (V1 − V0 − ΣF) / (V0 + ΣF·w), w = (CD − D) / CD, with CD the calendar days of the period and D the days from its
start to the flow, flows at the end of their day (GIPS 2020, 2.A.24.d; Bacon, Practical Portfolio Performance, ch. 2).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from analytics.numbers import CONTEXT, ZERO


@dataclass(frozen=True, slots=True)
class DietzReturn:
    """A modified Dietz return.

    Attributes:
        value: return of the whole period, not annualised; None with a `reason`.
        average_capital: V0 + ΣF·w, the divisor; None when there is no period.
        gain: V1 − V0 − ΣF.
    """

    value: float | None
    average_capital: Decimal | None
    gain: Decimal | None
    reason: str = ""


def modified_dietz(
    start: date, end: date, opening: Decimal, closing: Decimal, flows: Iterable[tuple[date, Decimal]]
) -> DietzReturn:
    """Return the modified Dietz return from the close of `start` to the close of `end`.

    Args:
        start: day of the opening value; its own flows are part of that value.
        end: day of the closing value.
        opening: value at the close of `start`.
        closing: value at the close of `end`.
        flows: (day, external flow), deposits positive; those outside (start, end] do not count.
    """
    days = (end - start).days
    if days <= 0:
        return DietzReturn(None, None, None, "no days between the opening and the closing value")
    with localcontext(CONTEXT):
        total = weighted = ZERO
        for on, amount in flows:
            if start < on <= end:
                total += amount
                weighted += amount * (end - on).days / days
        capital = opening + weighted
        gain = closing - opening - total
        if capital <= 0:
            return DietzReturn(None, capital, gain, f"average capital is {capital:.2f}, not above zero")
        return DietzReturn(float(gain / capital), capital, gain)
