"""Reported figures of companies, and the scores a rubric makes of them, as patterns see them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated

from pydantic import Field

from agents.fields import Part, Ratio
from agents.ports import CompanyFacts
from agents.ratings import InputRow, RubricName
from analytics import fundamentals
from analytics.ratings import score_company
from analytics.rubric import Rubric

Symbols = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=10_000)]


class FilingRow(Part):
    """One annual report as filed; `facts` in whole units of the reporting currency."""

    accession: str
    fiscal_year: int
    period_end: date
    filed: date
    facts: dict[str, float] = Field(description="as filed, in whole units of the reporting currency")


class RatioRow(Part):
    """A ratio of the rubric; null with the reason when the filings do not have what it needs."""

    value: Ratio | None
    reason: str | None


class CompanyRow(Part):
    """What is known of a company: filings oldest first, ratios by name; `pays` null without filings."""

    symbol: str
    filings: tuple[FilingRow, ...] = Field(strict=False)
    ratios: dict[str, RatioRow]
    pays: bool | None
    reason: str | None


class Fundamentals(Part):
    """Companies by symbol; those without a filing public on the day say so."""

    asof: date
    companies: tuple[CompanyRow, ...] = Field(strict=False)
    n_obs: int
    method: str
    warnings: tuple[str, ...] = Field(strict=False)


class CompanyScore(Part):
    """One company's score from 0 to 10 with the figures behind it; `applies` false where it makes no sense."""

    symbol: str
    value: Ratio | None = Field(description="Σ w·points / Σ w over the inputs at hand, 0 to 10")
    coverage: Ratio = Field(description="weight of the inputs at hand / weight of all")
    applies: bool
    accession: str | None
    reason: str | None
    inputs: dict[str, InputRow]


class Scores(Part):
    """One score of several companies by one rubric; an editorial heuristic, not advice."""

    score: str
    title: str
    asof: date
    companies: tuple[CompanyScore, ...] = Field(strict=False)
    rubric: RubricName
    method: str
    n_obs: int
    warnings: tuple[str, ...] = Field(strict=False)


def fundamentals_of(symbols: Sequence[str], companies: Mapping[str, CompanyFacts], asof: date) -> Fundamentals:
    """Return the filings and ratios of companies as known on a day."""
    rows = [_company(symbol, companies.get(symbol), asof) for symbol in symbols]
    return Fundamentals(
        asof=asof,
        companies=tuple(rows),
        n_obs=sum(len(row.filings) for row in rows),
        method="annual reports filed by the day; a fact that is not in them is unknown, never zero",
        warnings=tuple(f"{row.symbol}: {row.reason}" for row in rows if row.reason),
    )


def _company(symbol: str, facts: CompanyFacts | None, asof: date) -> CompanyRow:
    known = fundamentals.known_on(facts.filings, asof) if facts else []
    if not facts or not known:
        reason = f"no annual report of {symbol} filed by {asof} at hand"
        return CompanyRow(symbol=symbol, filings=(), ratios={}, pays=None, reason=reason)
    ratios = fundamentals.ratios(known, facts.dividends, asof)
    return CompanyRow(
        symbol=symbol,
        filings=tuple(
            FilingRow(
                accession=filing.accession,
                fiscal_year=filing.fiscal_year,
                period_end=filing.period_end,
                filed=filing.filed,
                facts=dict(sorted(filing.facts.items())),
            )
            for filing in known
        ),
        ratios={name: RatioRow(value=each.value, reason=each.reason or None) for name, each in sorted(ratios.items())},
        pays=fundamentals.pays_dividends(known, facts.dividends, asof),
        reason=None,
    )


def scores_of(facts: Fundamentals, rubric: Rubric, name: str) -> Scores:
    """Score companies by one of the rubric's scores."""
    score = next(each for each in rubric.scores if each.name == name)
    rows: list[CompanyScore] = []
    old: list[str] = []
    for company in facts.companies:
        accession = company.filings[-1].accession if company.filings else None
        if company.pays is None:
            rows.append(
                CompanyScore(
                    symbol=company.symbol,
                    value=None,
                    coverage=0.0,
                    applies=True,
                    accession=None,
                    reason=company.reason,
                    inputs={},
                )
            )
            continue
        figures = {key: fundamentals.Ratio(each.value, each.reason or "") for key, each in company.ratios.items()}
        found = score_company(score, figures, rubric, pays=company.pays)
        if found.value is not None:
            last = company.filings[-1]
            old.append(fundamentals.aged(company.symbol, last.period_end, last.accession, facts.asof))
        rows.append(
            CompanyScore(
                symbol=company.symbol,
                value=found.value,
                coverage=found.coverage,
                applies=found.applies,
                accession=accession,
                reason=found.reason or None,
                inputs={
                    key: InputRow(value=figure.value, score=points, reason=figure.reason or None)
                    for key, (figure, points) in found.inputs.items()
                },
            )
        )
    return Scores(
        score=name,
        title=score.title,
        asof=facts.asof,
        companies=tuple(rows),
        rubric=RubricName(id=rubric.id, version=rubric.version),
        method="rubric points interpolated linearly, weights of missing inputs renormalised",
        n_obs=sum(row.value is not None for row in rows),
        warnings=("ratings are editorial heuristics, not investment advice", *filter(None, old)),
    )
