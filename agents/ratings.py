"""Ratings of a portfolio's companies as patterns see them."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from pydantic import Field

from agents.answers import ValuedRow
from agents.fields import Part, Ratio
from agents.ports import CompanyFacts
from agents.positions import total, unvalued
from analytics.numbers import ZERO
from analytics.ratings import aggregate, rate
from analytics.rubric import Rubric


class InputRow(Part):
    """One figure of a score and what it earned; null with a reason when the filings do not have it."""

    value: Ratio | None
    score: Ratio | None
    reason: str | None


class ScoreRow(Part):
    """One score from 0 to 10; `applies` is false where it makes no sense (no dividend is paid)."""

    value: Ratio | None
    coverage: Ratio
    applies: bool
    reason: str | None
    inputs: dict[str, InputRow]


class HoldingRating(Part):
    """All scores of one company; `accession` names the newest filing used."""

    symbol: str
    weight: Ratio | None = Field(description="value / Σ value of long equity")
    overall: Ratio | None = Field(description="Σ w·s / Σ w over the three scores at hand, weights of the rubric")
    coverage: Ratio = Field(
        description="Σ w·coverage of the scores that apply / Σ w: the share of the rubric's weight that has figures"
    )
    accession: str | None
    reason: str | None
    scores: dict[str, ScoreRow]


class RubricName(Part):
    """The rubric the ratings were made with."""

    id: str
    version: int


class RatingBadges(Part):
    """Scores from 0 to 10, weighted by value over rated long equity.

    Attributes:
        coverage: per score; below 60% the score is null. Unknown, as are scores and weights, when a long security has
            no value.
        reasons: score → why it, or its coverage, is null; `weight` → why holdings have none.
    """

    avg_dividend_safety: Ratio | None = Field(description="Σ w·s / Σ w over rated long equity")
    avg_moat_strength: Ratio | None = Field(description="Σ w·s / Σ w over rated long equity")
    avg_resilience: Ratio | None = Field(description="Σ w·s / Σ w over rated long equity")
    overall: Ratio | None = Field(description="Σ w·s / Σ w over rated long equity")
    coverage: dict[str, Ratio | None] = Field(description="rated long equity / all long equity the score applies to")
    reasons: dict[str, str]
    holdings: tuple[HoldingRating, ...] = Field(strict=False)
    rubric: RubricName
    asof: date
    method: str
    n_obs: int
    warnings: tuple[str, ...] = Field(strict=False)


def badges(
    positions: Sequence[ValuedRow], companies: Mapping[str, CompanyFacts], rubric: Rubric, asof: date
) -> RatingBadges:
    """Rate every long security and weigh the scores by value.

    Args:
        positions: valued; when a long security has no value, companies are rated and the portfolio is not.
        companies: figures public on `asof`, by symbol.
        rubric: how companies are scored.
        asof: the day.
    """
    long = [row for row in positions if row.kind == "security" and row.qty_open > 0]
    ratings = {
        symbol: rate(symbol, companies[symbol].filings, companies[symbol].dividends, rubric, asof)
        for symbol in sorted({row.symbol for row in long} & companies.keys())
    }
    values: dict[str, Decimal | None] = {}
    for row in long:
        values[row.symbol] = total((values.get(row.symbol, ZERO), row.value_base))
    found = aggregate(values, ratings, rubric, asof, unvalued=unvalued(long)).as_json()
    return RatingBadges(**{**found, "asof": asof})
