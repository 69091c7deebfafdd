"""Macroeconomic series as they were known on a day, and the transforms indicators are read in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import fsum
from typing import Literal

Transform = Literal["level", "yoy", "diff", "annualised"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One figure of a series.

    Attributes:
        on: first day of the period it describes.
        end: last day of that period.
        released: when it became public; figures are never used before.
        vintage: as of which day this version of the figure stands.
    """

    on: date
    end: date
    value: float
    released: date
    vintage: date


def known_on(observations: Sequence[Observation], asof: date) -> list[Observation]:
    """Return per period the newest version public on a day, oldest period first."""
    newest: dict[date, Observation] = {}
    for each in observations:
        if each.released <= asof:
            seen = newest.get(each.on)
            if seen is None or each.vintage >= seen.vintage:
                newest[each.on] = each
    return [newest[on] for on in sorted(newest)]


def quarterly(observations: Sequence[Observation]) -> list[Observation]:
    """Return the mean of each whole quarter of a monthly series; one that is quarterly already stays as it is.

    A quarter is public when its last month is, and as old as its newest version.
    """
    months: dict[date, list[Observation]] = {}
    for each in observations:
        months.setdefault(date(each.on.year, each.on.month - (each.on.month - 1) % 3, 1), []).append(each)
    found: list[Observation] = []
    for start, parts in sorted(months.items()):
        if len(parts) == 1 and (parts[0].end - start).days > 80:
            found += parts
        elif len(parts) == 3:
            released, vintage = (max(getattr(part, name) for part in parts) for name in ("released", "vintage"))
            mean = fsum(part.value for part in parts) / 3
            found.append(Observation(start, max(part.end for part in parts), mean, released, vintage))
    return found


def transformed(values: Sequence[float], transform: Transform, per_year: int) -> float | None:
    """Return the newest value in a transform; None when the series is too short for it.

    `yoy` is the change over a year and `annualised` over one period, compounded to a year (both decimals); `diff` the
    change over a year in the series' own unit.
    """
    if not values:
        return None
    if transform == "level":
        return values[-1]
    back = 1 if transform == "annualised" else per_year
    if len(values) <= back:
        return None
    then, now = values[-1 - back], values[-1]
    if transform == "diff":
        return now - then
    if then <= 0.0:
        return None
    growth = now / then
    return growth ** (per_year if transform == "annualised" else 1) - 1.0


def percentile_rank(values: Sequence[float], value: float) -> float:
    """Return the share of values below, ties counting half, from 0 to 1."""
    below = sum(each < value for each in values)
    ties = sum(each == value for each in values)
    return (below + 0.5 * ties) / len(values)
