"""Every analysis pattern on the demo's real data, in this process: figures and digests are recorded.

`UPDATE_GOLDEN=1` rewrites the records; read the diff.
"""

import html
import io
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from cli.hints import hints_of, value_at
from cli.report.evidence import warnings
from cli.report.page import render
from cli.summary import print_summary
from services.catalogue import load_catalogue
from settings import load_settings
from tests.services_tests.demo_runs import CASES, Demo
from topics.messages import ExecutionStatus

CENT = Decimal("0.01")
RECORDS = Path(__file__).parent / "golden" / "patterns"


@pytest.fixture(scope="module")
async def demo() -> AsyncIterator[Demo]:
    yield Demo()


def cut(node: Any) -> Any:
    """Return figures with long series cut to their ends."""
    if isinstance(node, dict):
        return {key: cut(item) for key, item in node.items()}
    if isinstance(node, list):
        kept = node if len(node) <= 10 else [*node[:2], f"… {len(node) - 4} more", *node[-2:]]
        return [cut(item) for item in kept]
    return node


def test_every_bundled_pattern_has_a_case(demo: Demo) -> None:
    assert {pattern.id for pattern in demo.patterns.patterns()} - {"portfolio_overview", "pack_build"} == set(CASES)


@pytest.mark.parametrize("pattern_id", CASES)
async def test_pattern_gives_the_recorded_figures(demo: Demo, pattern_id: str) -> None:
    inputs, asof = CASES[pattern_id]
    result = await demo.run(pattern_id, inputs, asof)
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    pattern = demo.patterns.newest(pattern_id)
    assert pattern is not None
    data = json.loads(json.dumps(result.data))
    jsonschema.validate(data, pattern.document["output_schema"])
    charts = [chart["name"] for chart in result.charts]
    data.pop("charts", None)
    found = {"digest": result.digest, "charts": charts, "data": cut(data)}
    record = RECORDS / f"{pattern_id}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        record.parent.mkdir(exist_ok=True)
        record.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(record.read_text(encoding="utf-8"))


def warnings_in(node: Any) -> set[str]:
    """Return every warning of the answers in a result."""
    if isinstance(node, list):
        return {text for item in node for text in warnings_in(item)}
    if not isinstance(node, dict):
        return set()
    return {*node.get("warnings", ()), *(text for item in node.values() for text in warnings_in(item))}


@pytest.mark.parametrize("pattern_id", CASES)
async def test_what_an_answer_warns_of_is_shown(demo: Demo, pattern_id: str) -> None:
    inputs, asof = CASES[pattern_id]
    result = await demo.run(pattern_id, inputs, asof)
    # The list of a rating's companies without reports may be cut; nothing here is that long.
    assert warnings_in(json.loads(json.dumps(result.data))) <= set(result.trace.warnings)
    assert len(set(result.trace.warnings)) == len(result.trace.warnings)


TOTALS = {
    "performance_review": {"Gain by holding and cause": 8},
    "contribution_and_brinson": {"Contribution": 1, "By sector": 4, "Allocation": 2},
    "currency_deep_dive": {"By currency": 5, "By position": 5, "Exposure today": 2},
    "tax_lots": {"By year": 6, "Disposals": 1, "Disposals in base currency": 5, "Lots": 3},
}


@pytest.mark.parametrize("pattern_id", CASES)
async def test_total_rows_are_the_sums_of_their_columns_and_shown(demo: Demo, pattern_id: str) -> None:
    inputs, asof = CASES[pattern_id]
    result = await demo.run(pattern_id, inputs, asof)
    pattern = demo.patterns.newest(pattern_id)
    assert pattern is not None
    hints = hints_of(pattern, load_catalogue(load_settings(_env_file=None)))
    data = json.loads(json.dumps(result.data))
    found: dict[str, int] = {}
    for panel in hints.panels:
        for column in panel.get("columns", ()):
            if "total" not in column:
                continue
            found[panel["title"]] = found.get(panel["title"], 0) + 1
            value = data[panel["output"]]
            rows, whole = (
                [row[column["path"]] for row in value_at(value, panel["rows"])],
                value_at(value, column["total"]),
            )
            parts = rows if isinstance(whole, dict) else [{"": row} for row in rows]
            sums: dict[str, Decimal] = {}
            for name, amount in (item for part in parts for item in part.items()):
                sums[name] = sums.get(name, Decimal(0)) + Decimal(str(amount))
            expected = whole if isinstance(whole, dict) else {"": whole}
            assert {name: float(amount) for name, amount in sums.items()} == pytest.approx(
                {name: float(amount) for name, amount in expected.items()},
                abs=1e-4 if column["format"] == "money" else 1e-9,
            ), (panel["title"], column)
    assert found == TOTALS.get(pattern_id, {})
    console = Console(file=io.StringIO(), width=300)
    print_summary(console, result, hints=hints)
    assert len(re.findall(r"^ Total ", console.file.getvalue(), re.MULTILINE)) == len(found)  # type: ignore[attr-defined]
    assert str(render(result, hints=hints)).count('<tr class="sum">') == len(found)


async def test_the_stress_test_says_on_which_assumptions_it_rests(demo: Demo) -> None:
    # A year and a half of months is too little for betas of their own.
    result = await demo.run("scenario_stress", {}, date(2005, 6, 30))
    assert result.data is not None
    assert {row["reason"] for row in result.data["betas"]["betas"]} >= {"16 whole months at hand, 24 needed"}
    [assumed] = [text for text in result.trace.warnings if "market beta" in text]
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, result)
    assert f"note: {assumed}" in console.file.getvalue()  # type: ignore[attr-defined]
    assert assumed in html.unescape(str(warnings(result)))


async def test_figures_of_different_patterns_agree(demo: Demo) -> None:
    async def data(pattern_id: str) -> Any:
        inputs, asof = CASES[pattern_id]
        return (await demo.run(pattern_id, inputs, asof)).data

    review, overview = await data("performance_review"), (await demo.run("portfolio_overview", {})).data
    assert review["twr"] == overview["perf_metrics"]
    assert review["mwr"]["value"] == overview["perf_metrics"]["total_value"]
    assert float(review["history"]["nav"][-1]) == pytest.approx(float(review["mwr"]["value"]), abs=1e-4)
    split = review["gains"]
    whole = Decimal(review["mwr"]["value"]) - Decimal(review["mwr"]["net_flows"])
    assert Decimal(split["total"]) == whole
    assert abs(sum(Decimal(row["total"]) for row in split["rows"]) + Decimal(split["residual"]) - whole) < CENT
    assert abs(Decimal(split["residual"])) < CENT
    assert Decimal(review["mwr"]["gain"]) + Decimal(split["before_first_close"]) == whole
    contribution = await data("contribution_and_brinson")
    assert contribution["contribution"]["twr"] == pytest.approx(review["twr"]["twr"], abs=1e-11)
    brinson = contribution["brinson"]
    effects = [brinson[name] for name in ("allocation", "selection", "interaction", "other")]
    assert sum(effects) == pytest.approx(brinson["active"], abs=1e-10)
    dive = (await data("holding_deep_dive"))["position"]
    gains = dive["gains"]
    assert float(gains["total"]) == pytest.approx(
        float(dive["value"]) - float(gains["invested"]) + float(gains["income"]), abs=0.01
    )
    own = next(row for row in split["rows"] if row["name"] == "AAPL")
    # The deep dive knows no commissions, and has the joint effect apart.
    assert Decimal(own["total"]) - Decimal(own["costs"]) == pytest.approx(Decimal(dive["gains"]["total"]), abs=CENT)
    taxed = await data("tax_lots")
    lots, sold = taxed["lots"], taxed["realised"]
    assert Decimal(split["realised"]) == pytest.approx(Decimal(sold["gain_price_base"]), abs=CENT)
    both = Decimal(sold["gain_currency_base"]) + Decimal(lots["unrealized_pl"])
    assert Decimal(split["unrealised"]) + Decimal(split["fx_securities"]) == pytest.approx(both, abs=CENT)
    assert float(lots["unrealized_pl"]) == pytest.approx(float(overview["perf_metrics"]["unrealized_pl"]), abs=0.01)
