"""Daily returns linked into calendar months."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import isnan, prod

Key = tuple[int, int]
"""(year, month)."""


@dataclass(frozen=True, slots=True)
class Month:
    """One month's return.

    Attributes:
        value: None with a `reason` when the index restarted inside the month.
        whole: measured from a close of the month before to a close in its last days, so comparable with an index.
        start: valued day it is measured from.
        end: its last valued day.
    """

    year: int
    month: int
    value: float | None
    whole: bool
    start: date
    end: date
    reason: str = ""


_EDGE_DAYS = 5


def restart_within(restarts: Sequence[date], first: date, last: date) -> str:
    """Say which restart of the index keeps the days after `first` to `last` from being linked; "" for none."""
    inside = [on for on in restarts if first < on <= last]
    return f"the return index restarts on {inside[0]}: nothing links the days before and after" if inside else ""


def is_whole(key: Key, start: date, end: date) -> bool:
    """Whether a month is measured from a close of the month before to a close in its last days."""
    following = date(key[0] + key[1] // 12, key[1] % 12 + 1, 1)
    return (date(*key, 1) - start).days <= _EDGE_DAYS and (following - end).days <= _EDGE_DAYS


def monthly(dates: Sequence[date], returns: Sequence[float], restarts: Sequence[date] = ()) -> tuple[Month, ...]:
    """Link daily returns by month of the day they end on.

    Args:
        dates: valued days, ascending.
        returns: per day; NaN where there is none (the first day, a restart).
        restarts: days the index started again; never linked over.
    """
    found: list[Month] = []
    at = 0
    while at < len(dates):
        first = at
        key = (dates[at].year, dates[at].month)
        while at < len(dates) and (dates[at].year, dates[at].month) == key:
            at += 1
        days = [value for value in returns[first:at] if not isnan(value)]
        if not days:
            continue
        start = dates[first - 1] if first else dates[first]
        reason = restart_within(restarts, dates[first], dates[at - 1])
        complete = len(days) == at - first and first > 0 and not reason
        complete = complete and is_whole(key, start, dates[at - 1])
        value = None if reason else prod(1.0 + value for value in days) - 1.0
        found.append(Month(*key, value, complete, start, dates[at - 1], reason))
    return tuple(found)
