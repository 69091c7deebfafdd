"""Ratings of companies by a rubric, and of a portfolio by its long equity.

A missing input lowers `coverage` and never scores as 0: the weights of the inputs that are there
are renormalised. Too little coverage gives None with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import fsum
from typing import Any

from analytics.fundamentals import Filing, Ratio, aged, known_on, pays_dividends, ratios
from analytics.numbers import ratio
from analytics.rubric import Rubric, Score

NOT_APPLICABLE = "n/a"
_ROUNDING = 1e-9  # sums of weights such as 0.25 + 0.15 must meet 0.4


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """One score of one company.

    Attributes:
        value: 0–10, None with `reason`.
        coverage: weight of the inputs at hand over all inputs' weight.
        inputs: per component its figure and, if there is one, its score.
        applies: False when the score makes no sense for the company (no dividend paid).
    """

    name: str
    value: float | None
    coverage: float
    reason: str
    inputs: Mapping[str, tuple[Ratio, float | None]]
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Rating:
    """All scores of one company as known on a day; `accession` of the newest filing used.

    Attributes:
        overall_coverage: weight of the inputs at hand over all inputs' weight, of the scores that apply.
        warning: that the newest filing is old; "" when it is not, or nothing is rated on it.
    """

    symbol: str
    asof: date
    scores: Mapping[str, ScoreResult]
    overall: float | None
    overall_coverage: float
    accession: str | None
    reason: str
    warning: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return JSON with every input, its score and why it is missing."""
        return {
            "symbol": self.symbol,
            "overall": ratio(self.overall),
            "coverage": ratio(self.overall_coverage),
            "accession": self.accession,
            "reason": self.reason or None,
            "scores": {
                name: {
                    "value": ratio(score.value),
                    "coverage": ratio(score.coverage),
                    "applies": score.applies,
                    "reason": score.reason or None,
                    "inputs": {
                        component: {
                            "value": ratio(figure.value),
                            "score": ratio(points),
                            "reason": figure.reason or None,
                        }
                        for component, (figure, points) in score.inputs.items()
                    },
                }
                for name, score in self.scores.items()
            },
        }


@dataclass(frozen=True, slots=True)
class PortfolioRating:
    """Scores weighted over rated long equity.

    Attributes:
        averages: per score name and `overall`: Σw·s / Σw over rated holdings it applies to.
        coverage: per score, rated over all long equity it applies to; None without any, or when a value is missing.
        weights: share of long equity per symbol; none when a value is missing.
    """

    asof: date
    averages: Mapping[str, float | None]
    coverage: Mapping[str, float | None]
    reasons: Mapping[str, str]
    holdings: tuple[Rating, ...]
    weights: Mapping[str, float]
    rubric_id: str
    rubric_version: int
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON under the keys patterns use."""
        return {
            "asof": self.asof.isoformat(),
            "avg_dividend_safety": ratio(self.averages.get("dividend_safety")),
            "avg_moat_strength": ratio(self.averages.get("moat")),
            "avg_resilience": ratio(self.averages.get("resilience")),
            "overall": ratio(self.averages.get("overall")),
            "coverage": {name: ratio(value) for name, value in self.coverage.items()},
            "reasons": {name: text for name, text in self.reasons.items() if text},
            "holdings": [
                rating.as_json() | {"weight": ratio(self.weights.get(rating.symbol))} for rating in self.holdings
            ],
            "rubric": {"id": self.rubric_id, "version": self.rubric_version},
            "method": "editorial rubric over annual reports; weighted over rated long equity",
            "n_obs": sum(1 for rating in self.holdings if rating.overall is not None),
            "warnings": list(self.warnings),
        }


def rate(
    symbol: str,
    filings: Sequence[Filing],
    dividends: Sequence[tuple[date, float]],
    rubric: Rubric,
    asof: date,
) -> Rating:
    """Rate one company from filings public on `asof` and its dividends (ex-date, per share)."""
    known = known_on(filings, asof)
    if not known:
        reason = f"no annual report of {symbol} filed by {asof} at hand"
        return Rating(symbol, asof, {}, None, 0.0, None, reason)
    figures = ratios(known, dividends, asof)
    pays = pays_dividends(known, dividends, asof)
    scores = {score.name: score_company(score, figures, rubric, pays=pays) for score in rubric.scores}
    applicable = {name: weight for name, weight in rubric.overall.items() if scores[name].applies}
    have = {name: weight for name, weight in applicable.items() if scores[name].value is not None}
    wanted = fsum(applicable.values())
    coverage = fsum(weight * scores[name].coverage for name, weight in applicable.items()) / wanted if wanted else 0.0
    scored = fsum(have.values()) / wanted if wanted else 0.0
    overall = None
    reason = ""
    if scored >= rubric.component_coverage_min - _ROUNDING:
        overall = fsum(
            weight * value for name, weight in have.items() if (value := scores[name].value) is not None
        ) / fsum(have.values())
    else:
        reason = f"scores at hand weigh {scored:.0%} of the overall rating"
    last = known[-1]
    rated = any(score.value is not None for score in scores.values())
    old = aged(symbol, last.period_end, last.accession, asof) if rated else ""
    return Rating(symbol, asof, scores, overall, coverage, last.accession, reason, old)


def aggregate(
    values: Mapping[str, Decimal | None],
    ratings: Mapping[str, Rating],
    rubric: Rubric,
    asof: date,
    *,
    unvalued: str = "",
) -> PortfolioRating:
    """Weigh ratings over long equity.

    Args:
        values: value per security in one currency; shorts (negative) do not take part; None of a long one without.
        ratings: by symbol; a held symbol may be missing.
        rubric: the one the ratings were made with.
        asof: the day of the values.
        unvalued: which long securities have no value, and why: then nothing that weighs by value is known.
    """
    long = {symbol: value for symbol, value in sorted(values.items()) if value is None or value > 0}
    held = {symbol: float(value) for symbol, value in long.items() if value is not None}
    total = fsum(held.values())
    names = (*(score.name for score in rubric.scores), "overall")
    averages: dict[str, float | None] = dict.fromkeys(names)
    coverage: dict[str, float | None] = dict.fromkeys(names)
    reasons = dict.fromkeys((*names, "weight"), unvalued)
    for name in () if unvalued else names:
        rated = applicable = points = 0.0
        for symbol, value in held.items():
            score, applies = _of(ratings.get(symbol), name)
            if applies:
                applicable += value
            if score is not None:
                rated += value
                points += value * score
        share = rated / applicable if applicable else None
        coverage[name] = share
        enough = share is not None and share >= rubric.portfolio_coverage_min - _ROUNDING
        averages[name] = points / rated if enough and rated else None
        if not enough:
            reasons[name] = (
                f"rated holdings are {share:.0%} of long equity, {rubric.portfolio_coverage_min:.0%} needed"
                if share is not None
                else "no long equity it applies to"
            )
        else:
            reasons[name] = ""
    return PortfolioRating(
        asof=asof,
        averages=averages,
        coverage=coverage,
        reasons=reasons,
        holdings=tuple(
            ratings.get(symbol) or Rating(symbol, asof, {}, None, 0.0, None, f"no fundamentals of {symbol} at hand")
            for symbol in long
        ),
        weights={} if unvalued else {symbol: value / total for symbol, value in held.items()},
        rubric_id=rubric.id,
        rubric_version=rubric.version,
        warnings=(
            "ratings are editorial heuristics, not investment advice",
            *(ratings[symbol].warning for symbol in long if symbol in ratings and ratings[symbol].warning),
        ),
    )


def score_company(score: Score, figures: Mapping[str, Ratio], rubric: Rubric, *, pays: bool) -> ScoreResult:
    """Return one score of one company from its ratios; `pays` says whether it pays dividends."""
    if score.payers_only and not pays:
        return ScoreResult(score.name, None, 0.0, f"{NOT_APPLICABLE}: pays no dividend", {}, applies=False)
    inputs: dict[str, tuple[Ratio, float | None]] = {}
    weight_at_hand = weight_all = points = 0.0
    for component in score.components:
        figure = figures.get(component.name, Ratio(None, "not computed"))
        earned = None if figure.value is None else component.score(figure.value)
        inputs[component.name] = (figure, earned)
        weight_all += component.weight
        if earned is not None:
            weight_at_hand += component.weight
            points += component.weight * earned
    coverage = weight_at_hand / weight_all
    if coverage < rubric.component_coverage_min - _ROUNDING:
        reason = f"inputs at hand weigh {coverage:.0%}, {rubric.component_coverage_min:.0%} needed"
        return ScoreResult(score.name, None, coverage, reason, inputs)
    return ScoreResult(score.name, points / weight_at_hand, coverage, "", inputs)


def _of(rating: Rating | None, name: str) -> tuple[float | None, bool]:
    """Return a rating's score by name and whether the score applies to the company."""
    if rating is None:
        return None, True
    if name == "overall":
        return rating.overall, True
    score = rating.scores.get(name)
    return (None, True) if score is None else (score.value, score.applies)
