"""Brinson–Fachler attribution: what over- and underweighting sectors and choosing within them added.

Per sector, with portfolio weight w and return r, benchmark weight W and return b, and B = ΣW·b:

    allocation (w − W)(b − B)        selection W(r − b)        interaction (w − W)(r − b)

which sum to R − B over sectors (Brinson and Fachler 1985; Bacon ch. 5). A sector absent from one side has no return
there, and none is invented for it. Without holdings nothing was selected: r counts as b, and all is allocation. A
sector the benchmark does not have (cash, mostly) has nothing to be selected against either: what it added, w(r − B), is
the decision to hold it and all of it allocation; the formulas alone would call it interaction (Spaulding, "Dealing with
zero weights", 2011, moves the interaction of a zero weight to allocation; Laker, "Performance Attribution with
Zero-Weighted Sectors").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum

WEIGHTS_SUM_ERROR_MAX = 1e-6


class InvalidBenchmark(ValueError):
    """Benchmark weights do not sum to one."""


@dataclass(frozen=True, slots=True)
class Sector:
    """One sector's figures and effects; `own_return` and `benchmark_return` None where the side has none."""

    name: str
    weight: float
    own_return: float | None
    benchmark_weight: float
    benchmark_return: float | None
    allocation: float
    selection: float
    interaction: float

    @property
    def total(self) -> float:
        """Sum of the three effects."""
        return self.allocation + self.selection + self.interaction


@dataclass(frozen=True, slots=True)
class Brinson:
    """Effects over all sectors; `other` is what no sector holds (costs), so that all sum to `active`."""

    sectors: tuple[Sector, ...]
    portfolio_return: float
    benchmark_return: float
    active: float
    allocation: float
    selection: float
    interaction: float
    other: float


def attribute(
    portfolio: Mapping[str, tuple[float, float]],
    benchmark: Mapping[str, tuple[float, float]],
    portfolio_return: float | None = None,
) -> Brinson:
    """Attribute one period.

    Args:
        portfolio: sector → (weight, contribution to the return = weight × return).
        benchmark: sector → (weight, return); weights sum to one.
        portfolio_return: the whole return, when something outside the sectors (costs) is part of it; None for the
            sum of the contributions.

    Raises:
        InvalidBenchmark: the benchmark's weights do not sum to one within 1e-6.
    """
    weight_sum = fsum(weight for weight, _ in benchmark.values())
    if abs(weight_sum - 1.0) > WEIGHTS_SUM_ERROR_MAX:
        raise InvalidBenchmark(f"expected benchmark weights that sum to 1, got {weight_sum:.9f}")
    whole = fsum(weight * value for weight, value in benchmark.values())
    sectors: list[Sector] = []
    for name in sorted({*portfolio, *benchmark}):
        weight, contribution = portfolio.get(name, (0.0, 0.0))
        other_weight, other_return = benchmark.get(name, (0.0, None))
        own = contribution / weight if weight else None
        if other_return is None:
            held = contribution - weight * whole
            sectors.append(Sector(name, weight, own, 0.0, None, held, 0.0, 0.0))
            continue
        if own is None and contribution:
            # Held within the period with an average weight that rounds to nothing: all of it was selection.
            allocation = -other_weight * (other_return - whole)
            sectors.append(Sector(name, weight, None, other_weight, other_return, allocation, contribution, 0.0))
            continue
        gained = other_return if own is None else own
        sectors.append(
            Sector(
                name=name,
                weight=weight,
                own_return=own,
                benchmark_weight=other_weight,
                benchmark_return=other_return,
                allocation=(weight - other_weight) * (other_return - whole),
                selection=other_weight * (gained - other_return),
                interaction=(weight - other_weight) * (gained - other_return),
            )
        )
    held = fsum(contribution for _, contribution in portfolio.values())
    own_total = held if portfolio_return is None else portfolio_return
    effects = [fsum(getattr(sector, kind) for sector in sectors) for kind in ("allocation", "selection", "interaction")]
    active = own_total - whole
    return Brinson(
        sectors=tuple(sectors),
        portfolio_return=own_total,
        benchmark_return=whole,
        active=active,
        allocation=effects[0],
        selection=effects[1],
        interaction=effects[2],
        other=active - fsum(effects),
    )
