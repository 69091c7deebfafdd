"""How a portfolio's value is spread, and how concentrated it is.

Shares are of NAV with cash, receivables and shorts, so they sum to 1 and shorts are negative. Gross exposure is Σ|w|
over securities, net exposure Σw. Concentration is the Herfindahl–Hirschman index Σ(w/Σw)² over long securities; its
inverse is the number of equal holdings with the same concentration.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import fsum

from analytics.numbers import ZERO


@dataclass(frozen=True, slots=True)
class Share:
    """One group's value and weight."""

    name: str
    value: Decimal
    weight: float
    holdings: int


@dataclass(frozen=True, slots=True)
class Concentration:
    """Exposure and concentration of the securities; None where there are none."""

    gross: float
    net: float
    hhi: float | None
    effective_holdings: float | None
    largest: float | None
    top_five: float | None


def grouped(parts: Iterable[tuple[str, Decimal]], nav: Decimal) -> tuple[Share, ...]:
    """Sum (group, value) into shares of a NAV above zero, largest first."""
    values: dict[str, Decimal] = {}
    counts: dict[Hashable, int] = {}
    for name, value in parts:
        values[name] = values.get(name, ZERO) + value
        counts[name] = counts.get(name, 0) + 1
    shares = [Share(name, value, float(value / nav), counts[name]) for name, value in values.items()]
    return tuple(sorted(shares, key=lambda share: (-share.value, share.name)))


def concentration(weights: Sequence[float]) -> Concentration:
    """Measure securities' weights."""
    longs = sorted((weight for weight in weights if weight > 0), reverse=True)
    whole = fsum(longs)
    hhi = fsum((weight / whole) ** 2 for weight in longs) if whole else None
    return Concentration(
        gross=fsum(abs(weight) for weight in weights),
        net=fsum(weights),
        hhi=hhi,
        effective_holdings=1.0 / hhi if hhi else None,
        largest=longs[0] if longs else None,
        top_five=fsum(longs[:5]) if longs else None,
    )
