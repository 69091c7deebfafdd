"""A rating rubric: which figures make a score, how much each weighs, what value earns what."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml


class BadRubric(ValueError):
    """The rubric text does not have the expected form; the message says where."""


@dataclass(frozen=True, slots=True)
class Component:
    """One figure of a score; `points` are (value, score 0–10) pairs, ascending in value."""

    name: str
    title: str
    weight: float
    points: tuple[tuple[float, float], ...]

    def score(self, value: float) -> float:
        """Interpolate linearly between points; beyond them the nearest end counts."""
        points = self.points
        if value <= points[0][0]:
            return points[0][1]
        for (left, low), (right, high) in pairwise(points):
            if value <= right:
                return low + (high - low) * (value - left) / (right - left)
        return points[-1][1]


@dataclass(frozen=True, slots=True)
class Score:
    """A named score; `payers_only` scores do not apply to companies that pay no dividend."""

    name: str
    title: str
    payers_only: bool
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Rubric:
    """A versioned rubric; `overall` weighs scores by name."""

    id: str
    version: int
    component_coverage_min: float
    portfolio_coverage_min: float
    overall: Mapping[str, float]
    scores: tuple[Score, ...]


def load_rubric(text: str) -> Rubric:
    """Read a rubric from YAML text.

    Raises:
        BadRubric: a field is missing, a weight is not above zero or points do not ascend.
    """
    try:
        value: Any = yaml.safe_load(text)
        rubric = Rubric(
            id=str(value["id"]),
            version=int(value["version"]),
            component_coverage_min=float(value["component_coverage_min"]),
            portfolio_coverage_min=float(value["portfolio_coverage_min"]),
            overall={str(name): float(weight) for name, weight in value["overall"].items()},
            scores=tuple(_score(str(name), body) for name, body in value["scores"].items()),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRubric(f"expected a rubric with id, version, overall and scores: {error}") from None
    unknown = set(rubric.overall) - {score.name for score in rubric.scores}
    if unknown:
        raise BadRubric(f"overall weighs unknown scores: {', '.join(sorted(unknown))}")
    return rubric


def _score(name: str, body: Any) -> Score:
    return Score(
        name=name,
        title=str(body["title"]),
        payers_only=bool(body["payers_only"]),
        components=tuple(_component(str(component), inner) for component, inner in body["components"].items()),
    )


def _component(name: str, body: Any) -> Component:
    points = tuple((float(value), float(score)) for value, score in body["points"])
    values = [value for value, _ in points]
    if len(points) < 2 or values != sorted(set(values)):
        raise ValueError(f"{name}: points need at least two ascending values")
    if any(not 0 <= score <= 10 for _, score in points):
        raise ValueError(f"{name}: scores lie between 0 and 10")
    weight = float(body["weight"])
    if weight <= 0:
        raise ValueError(f"{name}: a weight must be above zero")
    return Component(name, str(body["title"]), weight, points)
