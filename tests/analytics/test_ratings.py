"""Ratings: by hand from a rubric, what is missing, what was not yet public, portfolio weights."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.fundamentals import Filing, load_filings
from analytics.ratings import aggregate, rate
from analytics.rubric import BadRubric, load_rubric

ROOT = Path(__file__).parents[2]
RUBRIC = load_rubric((ROOT / "analytics/rubrics/equity-quality-1.yaml").read_text())
FILINGS = load_filings(json.loads((ROOT / "data/fundamentals.json").read_text()))
APPLE_DIVIDENDS = [(date(2012, 8, 9), 2.65), (date(2012, 11, 7), 2.65)]


def test_apple_in_2012_by_hand() -> None:
    found = rate("AAPL", FILINGS["AAPL"], APPLE_DIVIDENDS, RUBRIC, date(2012, 12, 31))
    assert found.accession == "0001193125-12-444068"
    resilience = found.scores["resilience"]
    figure, score = resilience.inputs["current_ratio"]
    assert figure.value == pytest.approx(57653 / 38542)
    # Between 1.0 → 4 and 1.5 → 7.
    assert score == pytest.approx(4 + 3 * (57653 / 38542 - 1) / 0.5)
    assert resilience.coverage == pytest.approx(0.4)
    payout, points = found.scores["dividend_safety"].inputs["payout_ratio"]
    assert (payout.value, points) == (pytest.approx(2.65 / 44.15), 10.0)
    debt, none = resilience.inputs["debt_to_equity"]
    assert (debt.value, none, debt.reason) == (None, None, "debt not in the filings at hand")


def test_only_filings_public_on_the_day_count() -> None:
    day_before = rate("AAPL", FILINGS["AAPL"], [], RUBRIC, date(2012, 10, 30))
    assert day_before.accession == "0001193125-11-282113"
    on_the_day = rate("AAPL", FILINGS["AAPL"], [], RUBRIC, date(2012, 10, 31))
    assert on_the_day.accession == "0001193125-12-444068"
    too_early = rate("GOOG", FILINGS["GOOG"], [], RUBRIC, date(2012, 12, 31))
    assert (too_early.overall, too_early.scores) == (None, {})
    assert too_early.reason == "no annual report of GOOG filed by 2012-12-31 at hand"


def test_a_non_payer_is_not_rated_for_its_dividend() -> None:
    found = rate("AAPL", FILINGS["AAPL"], [], RUBRIC, date(2010, 12, 31))
    dividend = found.scores["dividend_safety"]
    assert (dividend.applies, dividend.value, dividend.reason) == (
        False,
        None,
        "n/a: pays no dividend",
    )


def test_negative_equity_breaks_what_divides_by_it() -> None:
    filings = [
        Filing(
            f"x-{year}",
            year,
            date(year, 12, 31),
            date(year + 1, 2, 1),
            {"net_income": 5.0, "equity": -1.0, "total_debt": 3.0, "revenue": 10.0},
        )
        for year in range(2001, 2006)
    ]
    found = rate("SYN-A", filings, [], RUBRIC, date(2010, 1, 1))
    assert found.scores["moat"].inputs["roe_5y"][0].value is None
    assert found.scores["resilience"].inputs["debt_to_equity"][0].reason == "equity is not above zero"
    assert found.overall is None


def test_overall_coverage_counts_inputs_not_scores() -> None:
    found = rate("AAPL", FILINGS["AAPL"], APPLE_DIVIDENDS, RUBRIC, date(2012, 12, 31))
    by_hand = sum(weight * found.scores[name].coverage for name, weight in RUBRIC.overall.items())
    assert all(score.value is not None for score in found.scores.values())
    assert found.overall_coverage == pytest.approx(by_hand / sum(RUBRIC.overall.values()))
    assert 0.4 < found.overall_coverage < 0.6
    # A dividend that is not paid takes no part; what is left has the weight of all.
    free = rate("AAPL", FILINGS["AAPL"], [], RUBRIC, date(2010, 12, 31))
    weights = {name: weight for name, weight in RUBRIC.overall.items() if name != "dividend_safety"}
    by_hand = sum(weight * free.scores[name].coverage for name, weight in weights.items())
    assert free.overall_coverage == pytest.approx(by_hand / sum(weights.values()))


def test_a_rating_that_rests_on_an_old_report_says_so() -> None:
    last = FILINGS["AAPL"][-1]
    ends = last.period_end
    assert ends == date(2012, 9, 29)
    for asof, warned in ((date(2013, 12, 29), False), (date(2013, 12, 30), True)):
        found = rate("AAPL", FILINGS["AAPL"], APPLE_DIVIDENDS, RUBRIC, asof)
        told = [
            text for text in aggregate({"AAPL": Decimal(1)}, {"AAPL": found}, RUBRIC, asof).warnings if "AAPL" in text
        ]
        assert len(told) == warned
        if warned:
            assert "2012-09-29" in told[0] and last.accession in told[0] and "15 months before 2013-12-30" in told[0]
    nothing = [Filing("x-1", 2005, date(2005, 12, 31), date(2006, 2, 1), {"revenue": 10.0})]
    assert rate("SYN-A", nothing, [], RUBRIC, date(2010, 1, 1)).warning == ""


def test_a_portfolio_is_weighted_over_rated_long_equity() -> None:
    day = date(2012, 12, 31)
    apple = rate("AAPL", FILINGS["AAPL"], APPLE_DIVIDENDS, RUBRIC, day)
    values: dict[str, Decimal | None] = {"AAPL": Decimal(70), "IBM": Decimal(30), "GOOG": Decimal(-50)}
    found = aggregate(values, {"AAPL": apple}, RUBRIC, day).as_json()
    assert found["coverage"]["moat"] == pytest.approx(0.7)
    assert found["avg_moat_strength"] == pytest.approx(apple.scores["moat"].value)
    assert [row["symbol"] for row in found["holdings"]] == ["AAPL", "IBM"]
    assert found["rubric"] == {"id": "equity-quality", "version": 1}
    thin = aggregate(values | {"IBM": Decimal(60)}, {"AAPL": apple}, RUBRIC, day).as_json()
    assert thin["avg_moat_strength"] is thin["overall"] is None
    assert thin["reasons"]["moat"] == "rated holdings are 54% of long equity, 60% needed"
    # Without a value of one the shares of all are unknown; what the company's reports say is not.
    lacking = aggregate(values | {"IBM": None}, {"AAPL": apple}, RUBRIC, day, unvalued="IBM: no price").as_json()
    names = ("moat", "resilience", "dividend_safety", "overall")
    assert lacking["coverage"] == dict.fromkeys(names)
    assert lacking["avg_moat_strength"] is lacking["overall"] is None
    assert lacking["reasons"] == dict.fromkeys((*names, "weight"), "IBM: no price")
    assert [(row["symbol"], row["weight"]) for row in lacking["holdings"]] == [("AAPL", None), ("IBM", None)]
    assert lacking["holdings"][0]["overall"] == pytest.approx(apple.overall)
    empty = aggregate({}, {}, RUBRIC, day).as_json()
    assert empty["reasons"]["overall"] == "no long equity it applies to"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("points: [[0.5, 0], [1.0, 4]", "points: [[1.5, 0], [1.0, 4]"), "ascending"),
        (("weight: 0.35", "weight: 0"), "above zero"),
        (("overall: {moat", "overall: {luck"), "unknown scores: luck"),
        (("version: 1", "version: one"), "expected a rubric"),
        (("scores:", "other:"), "expected a rubric"),
    ],
)
def test_a_bad_rubric_is_refused(change: tuple[str, str], message: str) -> None:
    text = (ROOT / "analytics/rubrics/equity-quality-1.yaml").read_text()
    with pytest.raises(BadRubric, match=message):
        load_rubric(text.replace(*change))
