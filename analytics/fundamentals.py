"""Figures of annual reports, and the ratios a rubric asks for, as known on a day.

Only filings filed on or before that day count, so no result looks into the future. A ratio that
cannot be formed is None with the reason; an unknown fact is never taken as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import fmean, stdev
from typing import Any

AGE_MONTHS_MAX = 15  # a year, and three months to file the next report
YEARS_LOOKED_AT = 5
YEARS_MIN = 3


@dataclass(frozen=True, slots=True)
class Filing:
    """One annual report; `facts` by name, in whole units of its currency."""

    accession: str
    fiscal_year: int
    period_end: date
    filed: date
    facts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure for the rubric, or why there is none."""

    value: float | None
    reason: str = ""


def load_filings(document: Mapping[str, Any]) -> dict[str, tuple[Filing, ...]]:
    """Return filings per symbol, oldest first, from the bundled JSON document."""
    return {
        symbol: tuple(
            sorted(
                (
                    Filing(
                        accession=filing["accession"],
                        fiscal_year=int(filing["fiscal_year"]),
                        period_end=date.fromisoformat(filing["period_end"]),
                        filed=date.fromisoformat(filing["filed"]),
                        facts={name: float(value) for name, value in filing["facts"].items()},
                    )
                    for filing in company["filings"]
                ),
                key=lambda filing: filing.period_end,
            )
        )
        for symbol, company in document["companies"].items()
    }


def aged(symbol: str, period_end: date, accession: str, asof: date) -> str:
    """Say that a company's newest report is more than 15 months older than the day; "" when it is not."""
    months = (asof.year - period_end.year) * 12 + asof.month - period_end.month
    if months < AGE_MONTHS_MAX or (months == AGE_MONTHS_MAX and asof.day <= period_end.day):
        return ""
    return (
        f"{symbol}: rated on the annual report for the year to {period_end} ({accession}), which ended more than"
        f" {AGE_MONTHS_MAX} months before {asof}"
    )


def known_on(filings: Sequence[Filing], asof: date) -> list[Filing]:
    """Return the filings public on a day, oldest first."""
    return [filing for filing in filings if filing.filed <= asof]


def ratios(known: Sequence[Filing], dividends: Sequence[tuple[date, float]], asof: date) -> dict[str, Ratio]:
    """Return every ratio a rubric may name.

    Args:
        known: filings public on `asof`, oldest first, not empty.
        dividends: (ex-date, per share on today's share basis), any order; later ones are ignored.
        asof: the day.
    """
    last = known[-1]
    recent = list(known[-YEARS_LOOKED_AT:])
    facts = last.facts
    fcf = _minus(facts, "operating_cash_flow", "capital_expenditure")
    net_cash = _minus(facts, "cash", "total_debt")
    found = {
        "fcf_cover": _over(fcf, facts.get("dividends_paid"), "free cash flow or dividends paid"),
        "payout_ratio": _payout(facts),
        "growth_streak_years": _streak(dividends, asof),
        "net_cash_to_ebitda": _over(net_cash, facts.get("ebitda"), "debt or EBITDA"),
        "roe_5y": _roe(recent),
        "gross_margin": _mean(_margins(recent, "gross_profit"), 1, "gross profit"),
        "intangibles": _over(facts.get("research_and_development"), facts.get("revenue"), "research spending"),
        "debt_to_equity": _debt_to_equity(facts),
        "current_ratio": _over(facts.get("current_assets"), facts.get("current_liabilities"), "current balance sheet"),
        "interest_cover": _over(facts.get("operating_income"), facts.get("interest_expense"), "interest expense"),
        "operating_margin_sd": _spread(_margins(recent, "operating_income")),
    }
    return found


def pays_dividends(known: Sequence[Filing], dividends: Sequence[tuple[date, float]], asof: date) -> bool:
    """Return whether the company paid in the year to `asof`, or its last report says it does."""
    if any(0 <= (asof - on).days <= 366 for on, _ in dividends):
        return True
    return bool(known) and known[-1].facts.get("dividends_per_share", 0.0) > 0


def _minus(facts: Mapping[str, float], left: str, right: str) -> float | None:
    if left in facts and right in facts:
        return facts[left] - facts[right]
    return None


def _over(top: float | None, bottom: float | None, what: str) -> Ratio:
    if top is None or bottom is None:
        return Ratio(None, f"{what} not in the filings at hand")
    if bottom <= 0:
        return Ratio(None, f"{what}: the divisor is not above zero")
    return Ratio(top / bottom)


def _payout(facts: Mapping[str, float]) -> Ratio:
    paid, earned = facts.get("dividends_per_share"), facts.get("eps_diluted")
    if paid is None or earned is None:
        return Ratio(None, "dividends or earnings per share not in the filings at hand")
    if earned <= 0:
        return Ratio(1.0 if paid > 0 else 0.0)  # paid out of no earnings: the worst payout
    return Ratio(paid / earned)


def _streak(dividends: Sequence[tuple[date, float]], asof: date) -> Ratio:
    """Count whole calendar years in a row whose dividend exceeds the year before."""
    by_year: dict[int, float] = {}
    for on, amount in dividends:
        if on <= asof:
            by_year[on.year] = by_year.get(on.year, 0.0) + amount
    if not by_year:
        return Ratio(None, "no dividend history")
    whole = asof.year if (asof.month, asof.day) == (12, 31) else asof.year - 1
    years = 0
    while by_year.get(whole - years, 0.0) > by_year.get(whole - years - 1, 0.0) > 0.0:
        years += 1
    return Ratio(float(years))


def _margins(filings: Sequence[Filing], fact: str) -> list[float]:
    return [
        filing.facts[fact] / filing.facts["revenue"]
        for filing in filings
        if fact in filing.facts and filing.facts.get("revenue", 0.0) > 0
    ]


def _mean(values: list[float], at_least: int, what: str) -> Ratio:
    if len(values) < at_least:
        return Ratio(None, f"{what}: {len(values)} year(s) at hand, {at_least} needed")
    return Ratio(fmean(values))


def _roe(filings: Sequence[Filing]) -> Ratio:
    values: list[float] = []
    for filing in filings:
        equity = filing.facts.get("equity")
        if equity is not None and "net_income" in filing.facts:
            if equity <= 0:
                return Ratio(None, f"equity of {filing.fiscal_year} is not above zero")
            values.append(filing.facts["net_income"] / equity)
    return _mean(values, YEARS_MIN, "return on equity")


def _debt_to_equity(facts: Mapping[str, float]) -> Ratio:
    if facts.get("equity", 1.0) <= 0:
        return Ratio(None, "equity is not above zero")
    return _over(facts.get("total_debt"), facts.get("equity"), "debt")


def _spread(values: list[float]) -> Ratio:
    if len(values) < YEARS_MIN:
        return Ratio(None, f"operating margin: {len(values)} year(s) at hand, {YEARS_MIN} needed")
    return Ratio(stdev(values))
