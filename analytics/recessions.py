"""How well a signal finds recessions: hits, false alarms and delay, printed rather than tuned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Score:
    """A signal against dated recessions.

    Attributes:
        recessions: those within the signal's time.
        hits: recessions with a signal in at least one of their quarters.
        precision: share of signal quarters that lie in a recession; None without a signal.
        recall: share of recession quarters with a signal.
    """

    recessions: int
    hits: int
    precision: float | None
    recall: float | None


def score(quarters: Sequence[date], signal: Sequence[bool | None], recessions: Sequence[tuple[date, date]]) -> Score:
    """Compare quarter by quarter.

    Args:
        quarters: first days.
        signal: per quarter; None where it cannot be formed.
        recessions: first and last quarter of each, by first day.
    """
    known = {on: bool(value) for on, value in zip(quarters, signal, strict=True) if value is not None}
    inside = {on for on in known for first, last in recessions if first <= on <= last}
    seen = [(first, last) for first, last in recessions if any(first <= on <= last for on in known)]
    hits = sum(any(known[on] for on in known if first <= on <= last) for first, last in seen)
    given = [on for on, value in known.items() if value]
    found = [on for on in given if on in inside]
    return Score(
        recessions=len(seen),
        hits=hits,
        precision=len(found) / len(given) if given else None,
        recall=len(found) / len(inside) if inside else None,
    )
