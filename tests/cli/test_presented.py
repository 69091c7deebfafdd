"""What a pattern's panels say beside their figures: how old, why none, resting on what, in which unit."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli.hinted import hinted
from cli.hints import Hints, hints_of, text_of
from cli.report.page import render
from services.catalogue import load_catalogue
from services.patterns import load_patterns
from settings import load_settings
from tests.cli.test_report import Page
from tests.cli.test_report_command import run
from topics.messages import ExecutionResult

AGES: list[dict[str, Any]] = [
    {"output": "regime", "title": "Regime", "kind": "figures", "ends": "regime.latest.quarter", "fields": []},
    {"output": "shifts", "title": "Shifts", "kind": "table", "ends": "history.quarters.quarter", "columns": []},
]


def answer(example: ExecutionResult, data: dict[str, Any], **trace: Any) -> ExecutionResult:
    told = example.trace.model_copy(update={"per_panel_staleness": (), **trace})
    return example.model_copy(update={"data": data, "charts": [], "trace": told})


def printed(result: ExecutionResult, hints: Hints) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    for part in hinted(result, hints, 120):
        console.print(part)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("96.8", "96.80"),
        ("527", "527.00"),
        ("9", "9.00"),
        ("732.9399", "732.9399"),
        ("1234.5", "1,234.50"),
        ("1.23456789", "1.234568"),
        ("-0.5", "−0.50"),
        (None, "–"),
        ("none yet", "none yet"),
    ],
)
def test_a_price_has_two_to_six_decimals(value: Any, shown: str) -> None:
    assert text_of(value, "price") == shown


def test_ratios_have_three_decimals() -> None:
    assert [text_of(each, "ratio") for each in (0.95, -1, 0.95264, None)] == ["0.950", "−1.000", "0.953", "–"]


@pytest.mark.parametrize(("newest", "days"), [("2005-01-01", 363), ("2005-06-13", 200)])
def test_figures_that_ended_long_ago_say_so(example: ExecutionResult, newest: str, days: int) -> None:
    assert str(example.trace.asof) == "2005-12-30"
    quarters = [{"quarter": "2004-10-01"}, {"quarter": newest}]
    data = {"regime": {"latest": {"quarter": newest}}, "shifts": {"rows": []}, "history": {"quarters": quarters}}
    result = answer(example, data)
    page, lines = Page(render(result, hints=Hints(AGES))), printed(result, Hints(AGES))
    ended = [a["title"] for _, a in page.tags if a.get("class") == "badge warn"]
    # 200 days are allowed.
    assert ended == ([f"its newest figure is {days} days old"] * 2 if days > 200 else [])
    assert page.texts.count(f"ends {newest}") == len(ended)
    titles = {"Regime", "Shifts"} if days <= 200 else {f"{each} (ends {newest})" for each in ("Regime", "Shifts")}
    assert titles <= set(lines)


@pytest.mark.parametrize(("nulls", "said"), [(1, 1), (2, 2), (3, 1), (6, 1)])
def test_a_reason_of_many_figures_is_said_once(example: ExecutionResult, nulls: int, said: int) -> None:
    fields = [{"path": f"f{at}", "label": f"F{at}", "format": "money"} for at in range(6)]
    found: dict[str, Any] = {f"f{at}": None if at < nulls else "1" for at in range(6)}
    found["reasons"] = {f"f{at}": "the newest quarter is old" for at in range(nulls)}
    hints = Hints([{"output": "regime", "title": "Regime", "kind": "figures", "fields": fields}])
    result = answer(example, {"regime": found})
    page = Page(render(result, hints=hints))
    assert sum("the newest quarter is old" in text for text in page.texts) == said
    assert sum("the newest quarter is old" in line for line in printed(result, hints)) == said
    hovers = [str(a.get("title")) for _, a in page.tags if a.get("class") == "card"]
    assert sum("the newest quarter is old" in hover for hover in hovers) == nulls


def test_units_and_scales_stand_behind_figures(example: ExecutionResult) -> None:
    rows = [{"v": 5, "u": "percent"}, {"v": 1.01, "u": "percentage points"}, {"v": 26, "u": "USD"}]
    hints = Hints(
        [
            {"output": "a", "kind": "figures", "fields": [{"path": "score", "format": "score"}]},
            {"output": "a", "kind": "table", "columns": [{"path": "v", "format": "number", "unit": "u"}]},
        ]
    )
    result = answer(example, {"a": {"score": 6.08, "rows": rows}})
    texts = Page(render(result, hints=hints)).texts
    # A long unit wraps in a line of its own; the figure does not.
    for part in ("6.1", "/ 10", "5%", "1.01", "percentage points", "26 USD"):
        assert part in texts, part
    assert {"score 6.1 / 10", "5%", "1.01 percentage points", "26 USD"} <= set(printed(result, hints))


def test_inputs_stand_in_the_provenance_and_short_ones_in_the_masthead(example: ExecutionResult) -> None:
    asked = {"portfolio_id": "p-1", "symbol": "SYN-A", "tax_year": 2005, "prefix": "", "start": None}
    masthead, _, rest = render(answer(example, {}, inputs=asked)).partition("<main>")
    for part in ("Symbol", "SYN-A", "Tax year", "2005"):
        assert part in Page(masthead).texts or f"{part} " in Page(masthead).texts, part
        assert part in Page(rest).texts or f"{part} " in Page(rest).texts, part
    assert "Prefix" not in masthead + rest and "p-1" not in masthead
    long = "deleveraging_" * 8
    masthead, _, rest = render(answer(example, {}, inputs={"prefix": long})).partition("<main>")
    assert long not in masthead and long in Page(rest).texts


async def test_a_rearranged_figure_names_the_sources_of_what_it_was_made_from() -> None:
    settings = load_settings(_env_file=None)
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest("scenario_stress")
    assert pattern is not None
    hints = hints_of(pattern, catalogue)
    result = await run(pattern)
    assert next(step for step in result.trace.steps if step.as_ == "ranking").sources == ()
    assert {"results", "scenarios", "valued_positions", "positions"} <= set(hints.reads["ranking"])
    titles = [str(a.get("title")) for _, a in Page(render(result, hints=hints)).tags]
    ranked = [title for title in titles if "scenarios.rank v" in title]
    assert ranked and all("\nsources " in title for title in ranked)
    # The tornado is in the order of the table below it: worst first.
    [tornado] = [chart for chart in result.charts if chart["name"] == "tornado"]
    drawn = [bar["value"] for bar in tornado["data"]["values"]]
    assert drawn == sorted(drawn) and tornado["data"]["values"][0]["label"] == result.data["ranking"]["rows"][0]["name"]
