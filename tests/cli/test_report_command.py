"""`dawsos report`: the page of any pattern, by its presentation hints."""

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.hints import Hints, hints_of
from cli.report.page import render
from orchestrator.pattern import CompiledPattern
from services.catalogue import load_catalogue
from services.composition import build_runtime_local
from services.local_data import TENANT, USER_ID, example_data
from services.patterns import load_patterns
from services.runner import run_in_process
from settings import load_settings
from tests.cli.test_report import HOSTILE, Page
from topics.messages import ExecuteRequest, ExecutionResult

INPUTS: dict[str, dict[str, Any]] = {"holding_deep_dive": {"symbol": "IBM"}, "drawdown_at_risk": {"paths": 200}}


async def run(pattern: CompiledPattern, **inputs: Any) -> ExecutionResult:
    data = example_data()
    request = ExecuteRequest(
        tenant=TENANT,
        request_id=f"report-{pattern.id}",
        user_id=USER_ID,
        pattern_id=pattern.id,
        portfolio_id=data.portfolio.id,
        inputs=inputs or INPUTS.get(pattern.id, {}),
        submitted_at=datetime.now(UTC),
    )
    return await run_in_process(request, pattern, build_runtime_local(data))


@pytest.fixture(scope="module")
def settings() -> Any:
    return load_settings(_env_file=None)


async def test_every_pattern_with_hints_has_a_page_of_figures_that_explain_themselves(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    patterns = [each for each in load_patterns(settings, catalogue).patterns() if "presentation" in each.document]
    assert len(patterns) >= 10
    for pattern in patterns:
        if not pattern.needs_pins or pattern.id == "pack_build":
            continue
        result = await run(pattern)
        assert result.error is None, (pattern.id, result.error)
        page = Page(render(result, pattern_name=pattern.name, hints=hints_of(pattern, catalogue)))
        text = " ".join(page.texts)
        for each in pattern.document["presentation"]["panels"]:
            assert each["kind"] == "none" or each["title"] in text, (pattern.id, each)
        cards = [dict(attributes) for name, attributes in page.tags if attributes.get("class") == "card"]
        assert cards, pattern.id
        for card in cards:
            assert re.search(r"v\d", str(card["title"])), (pattern.id, card)
            assert "pack" in str(card["title"]), (pattern.id, card)


async def test_a_figure_names_formula_pins_and_sources_and_a_null_its_reason(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("drawdown_at_risk")
    assert pattern is not None
    result = await run(pattern)
    hints = hints_of(pattern, catalogue)
    titles = [str(attributes.get("title")) for _, attributes in Page(render(result, hints=hints)).tags]
    loss = next(title for title in titles if title.startswith("historical, one day, 5% quantile"))
    trace = result.trace
    assert trace.pricing_pack_id is not None and trace.ledger_commit_hash is not None
    for part in ("metrics.risk v1", f"pack {trace.pricing_pack_id[:8]}", f"ledger {trace.ledger_commit_hash[:8]}"):
        assert part in loss
    assert f"exactly {result.data['risk']['value_at_risk']}" in loss and "us_factors:" in loss
    data = json.loads(json.dumps(result.data))
    data["drawdown"] |= {"at_risk": None, "reasons": {"at_risk": "only 3 daily returns"}}
    nulled = result.model_copy(update={"data": data})
    assert "only 3 daily returns" in " ".join(Page(render(nulled, hints=hints)).texts)


async def test_a_figure_names_who_published_the_prices_it_rests_on(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("tax_lots")
    assert pattern is not None
    result = await run(pattern)
    published = (*result.trace.sources, "prices:stooq", "rates:ecb")
    told = result.model_copy(update={"trace": result.trace.model_copy(update={"sources": published})})
    page = Page(render(told, hints=hints_of(pattern, catalogue)))
    cards = [str(attributes["title"]) for _, attributes in page.tags if attributes.get("class") == "card"]
    assert len(cards) > 5
    assert all("sources prices:stooq, rates:ecb" in card for card in cards)


def test_only_a_loss_beyond_the_stated_tolerance_stands_out(example: ExecutionResult) -> None:
    values = {"loss": "-5.00", "rounds_to_nothing": "-0.0000001", "within": "-0.009", "beyond": "-0.01", "gain": "5.00"}
    within = {"tolerance": 0.01}
    fields = [
        {"path": name, "label": name, "format": "money", **(within if name in ("within", "beyond") else {})}
        for name in values
    ]
    hints = Hints(
        [
            {"output": "gains", "kind": "figures", "fields": fields},
            {"output": "gains", "kind": "table", "rows": "rows", "columns": fields},
        ]
    )
    told = example.model_copy(update={"data": {"gains": {**values, "rows": [values]}}, "charts": []})
    page = Page(render(told, hints=hints))
    red = [attributes["class"] for name, attributes in page.tags if "down" in str(attributes.get("class")).split()]
    assert red == ["figure down", "figure down", "down", "down"]


async def test_a_holding_is_shown_as_an_investor_reads_it(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("holding_deep_dive")
    assert pattern is not None
    hints = hints_of(pattern, catalogue)
    texts = {
        symbol: " ".join(" ".join(Page(render(await run(pattern, symbol=symbol), hints=hints)).texts).split())
        for symbol in ("AAPL", "IBM")
    }
    unknown = "Debt / equity – debt not in the filings at hand"
    for part in ("Price 71.89 USD", "Fiscal year 2005", unknown, "Income, flows", "Operating income", "89,000,000"):
        assert part in texts["AAPL"], part
    # All of its figures are null for one reason, which is said once, below them.
    assert "Gross margin –" in texts["IBM"] and "– no annual report of IBM filed by 2005-12-30 at hand" in texts["IBM"]
    assert "Annual reports fresh · 2005-12-30 no annual report of IBM" in texts["IBM"]
    for jargon in ('"accession"', "n_obs", "N obs", "Asof"):
        assert jargon not in texts["AAPL"].partition("Provenance")[0], jargon


async def test_a_score_that_is_missing_says_why(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("buffett_checklist")
    assert pattern is not None
    result = await run(pattern)
    page = Page(render(result, hints=hints_of(pattern, catalogue)))
    text = " ".join(" ".join(page.texts).split())
    for name in ("Resilience", "Dividend safety"):
        assert f"{name} – rated holdings are 0% of long equity, 60% needed" in text
    assert "Please note" in text and "ratings are editorial heuristics, not investment advice" in text
    assert "Overall, coverage 75.04% Moat, coverage 75.04% Resilience, coverage 0.00%" in text
    titles = [str(attributes.get("title")) for _, attributes in page.tags]
    assert any(title.startswith("rated long equity / all long equity") for title in titles), titles


async def test_macro_figures_have_units_and_the_page_no_portfolio(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("macro_regime")
    assert pattern is not None
    result = await run(pattern)
    hints = hints_of(pattern, catalogue)
    page = Page(render(result, hints=hints, portfolio_name="Mine", pattern_name=pattern.name))
    text = " ".join(" ".join(page.texts).split())
    assert "Mine" not in text
    for row in (
        "Real gross domestic product 3.07% change, annualised 1.72%",
        "Unemployment rate 5% level 5.1%",
        "Consumer prices 4.40% change over a year 2.96%",
    ):
        assert row in text, row
    later = result.model_copy(update={"trace": result.trace.model_copy(update={"asof": date(2012, 12, 31)})})
    text = " ".join(Page(render(later, hints=hints)).texts)
    # Three charts, and the regime, its shifts and its history; indicators end in November.
    assert text.count("ends 2005-07-01") == 6


async def test_the_worst_scenario_is_named(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("scenario_stress")
    assert pattern is not None
    result = await run(pattern)
    worst = result.data["ranking"]["rows"][0]
    assert worst["id"] == result.data["ranking"]["worst"]
    text = " ".join(" ".join(Page(render(result, hints=hints_of(pattern, catalogue))).texts).split())
    assert f"Scenario {worst['name']} Change of value" in text


async def test_a_page_of_a_pattern_without_a_portfolio_is_headed_by_the_pattern(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    known = load_patterns(settings, catalogue)
    found = {each.id: hints_of(each, catalogue).portfolio for each in known.patterns()}
    assert not found["macro_regime"] and not found["pack_build"]
    assert found["portfolio_overview"] and found["tax_lots"] and found["scenario_stress"] and found["data_quality"]


async def test_hostile_texts_stay_texts(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("tax_lots")
    assert pattern is not None
    result = await run(pattern)
    data = json.loads(json.dumps(result.data).replace('"AAPL"', json.dumps(HOSTILE)))
    hints = hints_of(pattern, catalogue)
    panels = [{**each, "title": HOSTILE} for each in hints.panels]
    page = Page(render(result.model_copy(update={"data": data}), hints=Hints(panels, hints.capability, hints.schemas)))
    assert not any(name == "img" for name, _ in page.tags)
    assert sum(name == "script" for name, _ in page.tags) == sum(
        name == "script" for name, _ in Page(render(result, hints=hints)).tags
    )


def test_a_pattern_without_hints_is_shown_by_its_shape(example: ExecutionResult, tmp_path: Path) -> None:
    assert render(example) == render(example, hints=Hints())


async def test_the_overview_explains_its_figures_too(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("portfolio_overview")
    assert pattern is not None
    result = await run(pattern)
    page = Page(render(result, hints=hints_of(pattern, catalogue)))
    titles = [str(attributes.get("title")) for _, attributes in page.tags]
    assert any(title.startswith("Π(1 + r_t) − 1, r_t") and "metrics.compute_twr v1" in title for title in titles)
    assert sum("metrics.currency_attribution v1" in title for title in titles) > 20


async def test_holdings_and_ratings_explain_their_figures(settings: Any) -> None:
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("portfolio_overview")
    assert pattern is not None
    result = await run(pattern)
    held = [{"kind": "security", "symbol": "AAPL", "qty_open": "10", "value_base": "7", "weight": 0.5, "gain": 0.1}]
    page = Page(render(result, hints=hints_of(pattern, catalogue), holdings=held))
    titles = [str(attributes.get("title")) for _, attributes in page.tags]
    for said in ("q·P·S\nexactly 7\npricing.apply_pack v1", "value / NAV\nexactly 0.5\npricing.apply_pack v1"):
        assert any(title.startswith(said) for title in titles), said
    for said in ("sum of all rows\nq·P·S\nexactly 7", "sum of all rows\nvalue / NAV\nexactly 0.5"):
        assert any(title.startswith(said) and "pricing.apply_pack v1" in title for title in titles), said
    assert any("rated long equity" in title and "ratings.aggregate v1" in title for title in titles)
    assert sum("ratings.aggregate v1" in title and "pack " in title for title in titles) >= 4 + 6 * 3
