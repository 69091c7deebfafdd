"""Instant shocks on market values.

Shares: Δlocal = β·(market shock); bonds: Δlocal = −D·Δy + ½·C·Δy²; new value = value·(1 + Δlocal)·(1 + Δfx). Currency
shocks are moves against the dollar; a currency without one is assumed to keep its rate to it (`unnamed` says which), so
Δfx of currency c in base b is (1 + x_c)/(1 + x_b) − 1. Cash and dividends owed move with their currency only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_NUMERAIRE = "USD"


class InvalidScenario(ValueError):
    """A scenario's definition is not usable; the text says why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named shock.

    Attributes:
        equity: change of the share market, −0.5 = halved.
        currencies: change of each currency against the dollar; what is not in it is not known, see `unnamed`.
        yields: change of yields, 0.01 = one percentage point.
        citation: where the size of the shock comes from.
    """

    id: str
    name: str
    equity: float
    currencies: Mapping[str, float]
    yields: float
    citation: str


@dataclass(frozen=True, slots=True)
class Bond:
    """How a holding reacts to yields: modified duration and convexity, years and years²."""

    duration: float
    convexity: float = field(default=0.0)


def load_scenarios(document: Any) -> dict[str, Scenario]:
    """Return scenarios by id from a parsed YAML document, in its order.

    Raises:
        InvalidScenario: a value is missing, no number, or a loss of more than everything.
    """
    found: dict[str, Scenario] = {}
    for each in document["scenarios"]:
        name = each.get("id")
        moves = {"equity": each.get("equity"), **each.get("currencies", {})}
        for what, move in moves.items():
            if not isinstance(move, int | float) or not -1.0 < move < 10.0:
                raise InvalidScenario(f"scenario {name}: expected a change above -1 as {what}, got {move!r}")
        if not each.get("citation"):
            raise InvalidScenario(f"scenario {name}: expected a citation")
        if name in found:
            raise InvalidScenario(f"scenario {name} is there twice")
        found[name] = Scenario(
            id=name,
            name=each["name"],
            equity=float(each["equity"]),
            currencies={code: float(move) for code, move in each.get("currencies", {}).items()},
            yields=float(each.get("yields", 0.0)),
            citation=each["citation"],
        )
    return found


def fx_change(scenario: Scenario, currency: str, base: str) -> float:
    """Return the change of a currency in base currency."""
    if currency == base:
        return 0.0
    return (1.0 + scenario.currencies.get(currency, 0.0)) / (1.0 + scenario.currencies.get(base, 0.0)) - 1.0


def unnamed(scenario: Scenario, currency: str, base: str) -> tuple[str, ...]:
    """Return the currencies a change in base currency rests on that the scenario says nothing of, the base last.

    Empty when the change is known: all of its moves are named, or there is none to make.
    """
    if currency == base:
        return ()
    return tuple(code for code in (currency, base) if code != _NUMERAIRE and code not in scenario.currencies)


def local_change(scenario: Scenario, beta: float, bond: Bond | None = None) -> float:
    """Return the change of a holding in its own currency; nothing can lose more than everything."""
    return max(linear_change(scenario, beta, bond), -1.0)


def linear_change(scenario: Scenario, beta: float, bond: Bond | None = None) -> float:
    """Return the change by the formula alone; below −1 it says more than can happen."""
    if bond is not None:
        return -bond.duration * scenario.yields + 0.5 * bond.convexity * scenario.yields**2
    return beta * scenario.equity


def shocked(value: Decimal, local: float, fx: float) -> Decimal:
    """Return a value after the shock, rounded to a millionth."""
    return (value * Decimal(repr((1.0 + local) * (1.0 + fx)))).quantize(Decimal("0.000001"))
