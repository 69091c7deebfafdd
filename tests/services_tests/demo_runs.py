"""The demo's data in this process, and a case of every bundled analysis pattern.

`python -m tests.services_tests.demo_runs` prints what each makes, as JSON lines without moments of time.
"""

import asyncio
import json
import sys
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from agents.pack_builder import PackBuilder
from agents.runtime import AgentRuntime
from db.memory_packs import MemoryPacks
from ledger.sources import from_disk
from orchestrator.registry import PatternRegistry
from services import packs_build
from services.catalogue import load_catalogue
from services.clock import SystemClock
from services.composition import build_runtime_local
from services.demo_data import LEDGERS, PORTFOLIOS, START
from services.ledgers import TextLedger
from services.local_artifacts import LocalArtifacts
from services.local_data import TENANT, USER_ID, LocalData, LocalPortfolio
from services.local_packs import LocalPacks
from services.market_sources import BundledSource, NamedSources
from services.patterns import load_patterns
from services.runner import run_in_process
from settings import load_settings
from tests.services_tests.desk import memory_desk
from topics.messages import ExecuteRequest, ExecutionResult

BUILD_DAY = date(2012, 12, 31)
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


class Stage:
    """A portfolio's data with the agents and patterns of `dawsos try`."""

    def __init__(self, data: LocalData) -> None:
        self.portfolio = data.portfolio
        self.runtime: AgentRuntime = build_runtime_local(data)
        settings = load_settings(_env_file=None)
        self.patterns: PatternRegistry = load_patterns(settings, load_catalogue(settings))

    async def run(
        self, pattern_id: str, inputs: dict[str, Any], asof: date | None = None, runtime: AgentRuntime | None = None
    ) -> ExecutionResult:
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
        return await run_in_process(request, pattern, runtime or self.runtime)


class Demo(Stage):
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
        super().__init__(LocalData(portfolio, ledger, LocalPacks(prices, rates, START)))


async def builder() -> AgentRuntime:
    """Return a runtime that builds packs in memory, of the bundled data."""
    packs = MemoryPacks()
    await packs.set_calendar("one day", BUILD_DAY, BUILD_DAY, [BUILD_DAY])
    await packs.set_policy("demo", "one day")
    agent = PackBuilder(memory_desk(packs), NamedSources({"bundled": BundledSource()}), (TENANT,))
    return AgentRuntime([agent], LocalArtifacts(), None, None, SystemClock().now_ms)


async def main() -> None:
    """Run every pattern once."""
    demo = Demo()
    results = [await demo.run("portfolio_overview", {})]
    results += [await demo.run(pattern_id, inputs, asof) for pattern_id, (inputs, asof) in CASES.items()]
    build = {"policy": "demo", "asof": BUILD_DAY.isoformat()}
    results.append(await demo.run("pack_build", build, runtime=await builder()))
    for result in results:
        made = {
            "pattern_id": result.pattern_id,
            "status": result.status.value,
            "error": result.error and result.error.message,
            "digest": result.digest,
            "data": result.data,
            "charts": result.charts,
        }
        sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
