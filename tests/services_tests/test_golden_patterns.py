"""Every analysis pattern on the demo's real data, in this process: figures and digests are recorded.

`UPDATE_GOLDEN=1` rewrites the records; read the diff.
"""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from agents.runtime import AgentRuntime
from ledger.sources import from_disk
from orchestrator.registry import PatternRegistry
from services import packs_build
from services.catalogue import load_catalogue
from services.composition import build_runtime_local
from services.demo_data import LEDGERS, PORTFOLIOS, START
from services.ledgers import TextLedger
from services.local_data import TENANT, USER_ID, LocalData, LocalPortfolio
from services.local_packs import LocalPacks
from services.patterns import load_patterns
from services.runner import run_in_process
from settings import load_settings
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus

RECORDS = Path(__file__).parent / "golden" / "patterns"
SECTORS = {"AAPL": "Technology", "GOOG": "Technology", "IBM": "Technology", "MSFT": "Technology"}
BENCHMARK = {
    "name": "Made-up benchmark of the test",
    "sectors": [
        {"sector": "Technology", "weight": 0.9, "return": 1.0},
        {"sector": "Cash", "weight": 0.1, "return": 0.2},
    ],
}
# Pattern → inputs and day; the demo's newest day unless said.
CASES: dict[str, tuple[dict[str, Any], date | None]] = {
    "performance_review": ({}, None),
    "currency_deep_dive": ({}, None),
    "contribution_and_brinson": ({"benchmark": BENCHMARK, "sectors": SECTORS}, None),
    "holding_deep_dive": ({"symbol": "AAPL"}, None),
    "buffett_checklist": ({}, None),
    "macro_regime": ({"years": 10}, date(2009, 6, 30)),
    "scenario_stress": ({}, None),
    "drawdown_at_risk": ({"paths": 500}, None),
    "tax_lots": ({}, None),
    "data_quality": ({}, None),
}


class Demo:
    """Alice's growth portfolio over the whole time of the demo."""

    def __init__(self) -> None:
        end = date(2012, 12, 31)
        prices = sorted(
            (row.observed_on, row.symbol, row.close, row.currency) for row in packs_build.bundled_closes(START, end)
        )
        rates = sorted((row.observed_on, row.base, row.quote, row.rate) for row in packs_build.bundled_rates(end))
        demo = PORTFOLIOS[0]
        portfolio = LocalPortfolio(UUID(int=1), demo.name, demo.base_ccy, "growth.beancount", demo.booking)
        ledger = TextLedger(from_disk(LEDGERS / demo.path), demo.booking)
        self.portfolio = portfolio
        self.runtime: AgentRuntime = build_runtime_local(LocalData(portfolio, ledger, LocalPacks(prices, rates, START)))
        settings = load_settings(_env_file=None)
        self.patterns: PatternRegistry = load_patterns(settings, load_catalogue(settings))

    async def run(self, pattern_id: str, inputs: dict[str, Any], asof: date | None = None) -> ExecutionResult:
        pattern = self.patterns.newest(pattern_id)
        assert pattern is not None
        request = ExecuteRequest(
            tenant=TENANT,
            request_id=f"golden-{pattern_id}",
            user_id=USER_ID,
            pattern_id=pattern_id,
            portfolio_id=self.portfolio.id,
            inputs=inputs,
            asof=asof,
            submitted_at=datetime.now(UTC),
        )
        return await run_in_process(request, pattern, self.runtime)


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


async def test_figures_of_different_patterns_agree(demo: Demo) -> None:
    async def data(pattern_id: str) -> Any:
        inputs, asof = CASES[pattern_id]
        return (await demo.run(pattern_id, inputs, asof)).data

    review, overview = await data("performance_review"), (await demo.run("portfolio_overview", {})).data
    assert review["twr"] == overview["perf_metrics"]
    assert review["mwr"]["value"] == overview["perf_metrics"]["total_value"]
    assert float(review["history"]["nav"][-1]) == pytest.approx(float(review["mwr"]["value"]), abs=1e-4)
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
    lots = (await data("tax_lots"))["lots"]
    assert float(lots["unrealized_pl"]) == pytest.approx(float(overview["perf_metrics"]["unrealized_pl"]), abs=0.01)
