"""The workflow `pack_build`, in this process: on packs in memory and on Postgres."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from rich.console import Console

from agents.pack_builder import PackBuilder
from agents.pack_ports import MacroPoint, QuotedPrice, QuotedRate
from agents.runtime import AgentRuntime, catalogue_of
from cli.hints import hints_of
from cli.report.page import render
from cli.summary import print_summary
from db.memory_packs import MemoryPacks
from db.pack_writer import PackWriter
from db.postgres import open_pool
from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from services.local_artifacts import LocalArtifacts
from services.market_sources import NamedSources
from services.pipeline_pool import OwnerPool, postgres_desk
from services.runner import run_in_process
from tests.cli.test_report import Page
from tests.db.market import FRIDAY, MONDAY, POLICY, TUESDAY, open_market
from tests.services import Database
from tests.services_tests.desk import memory_desk
from topics.errors import Code, RetryableError
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus, PackStatus

PATTERN = Path(__file__).parents[2] / "patterns" / "workflow" / "pack_build.json"
NOW_MS = int(datetime(2024, 1, 9, tzinfo=UTC).timestamp() * 1000)


CLOSES = {"SYN-A": ("10.5", "USD"), "SYN-P": ("250", "GBX")}


@dataclass
class Source:
    """A source whose answers a test can change."""

    closes: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {"SYN-A": ("10.5", "USD"), "SYN-P": ("250", "GBX")}
    )
    rate: dict[str, str] = field(default_factory=lambda: {"USD": "1.1", "GBP": "0.86"})
    failures: list[Exception] = field(default_factory=list)
    asked: int = 0
    observed: date | None = None

    async def prices(self, asof: date) -> list[QuotedPrice]:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        on = self.observed or asof
        return [QuotedPrice(name, Decimal(close), ccy, on, "syn") for name, (close, ccy) in self.closes.items()]

    async def rates(self, asof: date) -> list[QuotedRate]:
        return [QuotedRate("EUR", name, Decimal(rate), asof, "ecb") for name, rate in self.rate.items()]

    async def macro(self, asof: date) -> list[MacroPoint]:
        return [MacroPoint("SYN-CPI", date(2023, 12, 1), asof, Decimal("3.1"), "syn")]


Packs = PackWriter | MemoryPacks


class World:
    def __init__(self, packs: Packs, desk: Any) -> None:
        self.packs, self.source = packs, Source()
        agent = PackBuilder(desk, NamedSources({"syn": self.source}), ("demo",))
        self.runtime = AgentRuntime([agent], LocalArtifacts(), None, None, lambda: NOW_MS)
        catalogue = Catalogue.from_json(catalogue_of([PackBuilder]))
        self.pattern = compile_pattern(PATTERN.read_bytes(), catalogue, PATTERN.name)

    async def run(self, asof: date = FRIDAY, tenant: str = "demo") -> ExecutionResult:
        names: dict[str, str] = dict.fromkeys(("prices_source", "rates_source", "macro_source"), "syn")
        request = ExecuteRequest(
            tenant=tenant,
            request_id=str(uuid4()),
            user_id=uuid4(),
            pattern_id="pack_build",
            inputs={"policy": POLICY, "asof": asof.isoformat(), **names},
            submitted_at=datetime.now(UTC),
        )
        return await run_in_process(request, self.pattern, self.runtime)

    async def statuses(self, asof: date = FRIDAY) -> list[tuple[int, str]]:
        return [(each.ref.revision, each.ref.status.value) for each in await self.packs.list(POLICY, asof, asof)]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def database_or_memory(request: pytest.FixtureRequest) -> Database | None:
    return request.getfixturevalue("pack_database") if request.param == "postgres" else None


@pytest.fixture
async def world(database_or_memory: Database | None) -> AsyncIterator[World]:
    if database_or_memory is None:
        memory = MemoryPacks()
        await open_market(memory)
        yield World(memory, memory_desk(memory))
        return
    pool = await open_pool(database_or_memory.admin_url, size_max=2)
    pipeline = OwnerPool(database_or_memory.admin_url)
    await open_market(PackWriter(pool))
    yield World(PackWriter(pool), postgres_desk(pipeline))
    await pipeline.close()
    await pool.close()


async def test_a_pack_is_built_checked_and_frozen(world: World) -> None:
    result = await world.run()
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    pack = result.data["pack"]
    assert (pack["revision"], pack["status"]) == (1, "fresh")
    assert pack["content_sha256"] == result.data["validation"]["content_sha256"]
    assert await world.packs.verify(UUID(pack["pack_id"])) == pack["content_sha256"]
    stored = await world.packs.content(UUID(pack["pack_id"]))
    assert {row.symbol: (row.close, row.currency) for row in stored.prices} == {
        "SYN-A": (Decimal("10.5"), "USD"),
        "SYN-P": (Decimal(250), "GBP"),  # pence: the security's price unit is 100
    }


async def test_building_again_changes_nothing(world: World) -> None:
    first, second = await world.run(), await world.run()
    assert second.status is ExecutionStatus.SUCCEEDED
    assert second.data["pack"] == first.data["pack"]
    assert second.trace is not None and first.trace is not None
    assert "nothing new: revision 1 of 2024-01-05 has the same rows" in str(second.trace)
    assert "nothing new" not in str(first.trace)
    assert await world.statuses() == [(1, "fresh")]


async def test_a_rebuild_that_fails_leaves_the_fresh_pack_alone(world: World) -> None:
    first = await world.run()
    world.source.rate.clear()
    world.source.closes.clear()
    assert (await world.run()).status is ExecutionStatus.FAILED
    assert await world.statuses() == [(1, "fresh")]
    # A killed attempt left the next revision behind: it is taken up.
    await world.packs.create(POLICY, FRIDAY, datetime.now(UTC), 2)
    world.source.rate["USD"] = "1.2"
    restated = await world.run()
    assert restated.data["pack"]["revision"] == 2 and restated.data["pack"] != first.data["pack"]
    assert "nothing new" not in str(restated.trace)
    assert await world.statuses() == [(2, "fresh"), (1, "superseded")]


async def test_a_source_without_rows_says_which(world: World) -> None:
    async def none(asof: date) -> list[MacroPoint]:
        return []

    world.source.macro = none
    assert "syn has no macro series for 2024-01-05" in str((await world.run()).trace)


async def test_a_restatement_is_the_next_revision_and_the_old_one_stays(world: World) -> None:
    first = await world.run()
    world.source.closes["SYN-A"] = ("10.75", "USD")
    second = await world.run()
    assert (second.data["pack"]["revision"], second.data["pack"]["status"]) == (2, "fresh")
    assert await world.statuses() == [(2, "fresh"), (1, "superseded")]
    old, new = (UUID(result.data["pack"]["pack_id"]) for result in (first, second))
    [change] = await world.packs.difference(old, new)
    assert str(change) == "price of SYN-A: 10.5 → 10.75"
    assert await world.packs.verify(old) == first.data["pack"]["content_sha256"]


async def test_a_source_that_recovers_costs_only_time(world: World) -> None:
    world.source.failures = [RetryableError(Code.UPSTREAM_FAILED, "503", retry_after_s=0.01)] * 2
    assert (await world.run()).status is ExecutionStatus.SUCCEEDED
    assert world.source.asked == 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda source: source.rate.clear() or source.closes.clear(), "no rows"),
        (lambda source: setattr(source, "observed", TUESDAY.replace(year=2023)), "stale SYN-A"),
        (lambda source: setattr(source, "observed", MONDAY), "after the pack's day"),
        (lambda source: source.closes.update({"SYN-A": ("-1", "USD")}), "expected a number of 0 or more"),
    ],
)
async def test_what_fails_the_checks_fails_the_pack(world: World, spoil: Any, said: str) -> None:
    spoil(world.source)
    result = await world.run()
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None and said in result.error.message
    assert await world.statuses() == [(1, "failed")]
    # The next try is a revision of its own.
    world.source = world.source.__class__()
    world.runtime.agents["pack_builder"]._sources = NamedSources({"syn": world.source})  # type: ignore[attr-defined]
    assert (await world.run()).data["pack"]["revision"] == 2
    assert await world.statuses() == [(2, "fresh"), (1, "failed")]


async def test_jumps_are_noted_and_do_not_stop_a_pack(world: World) -> None:
    await world.run(FRIDAY)
    world.source.closes["SYN-A"] = ("21", "USD")
    result = await world.run(MONDAY)
    findings = result.data["validation"]["findings"]
    assert [(row["kind"], row["fault"], row["subject"], row["on"]) for row in findings] == [
        ("jump", False, "SYN-A", MONDAY.isoformat())
    ]
    info = await world.packs.show(UUID(result.data["pack"]["pack_id"]))
    assert [row["kind"] for row in info.findings] == ["jump"]


async def test_a_pack_is_shown_by_coverage_findings_rows_hash_and_revision(world: World) -> None:
    first = await world.run(FRIDAY)
    assert first.data["validation"]["coverage"] is None and first.data["validation"]["reasons"]["coverage"]
    world.source.closes = {"SYN-A": ("21", "USD")}
    world.source.observed = FRIDAY
    result = await world.run(MONDAY)
    hints = hints_of(world.pattern, Catalogue.from_json(catalogue_of([PackBuilder])))
    report = " ".join(" ".join(Page(render(result, hints=hints)).texts).split()).partition("Provenance")[0]
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, result, hints=hints)
    terminal = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    sha256 = result.data["pack"]["content_sha256"]
    for text in (report, terminal):
        for part in (sha256, "Revision 1", "Coverage 50.00%", "Prices 1", "Exchange rates 2", "Findings 3"):
            assert part in text, part
        assert f"SYN-A {FRIDAY} stale no close of {FRIDAY}" in text
        assert f"SYN-A {FRIDAY} jump no moved from 10.5 to 21" in text
        assert f"SYN-P {MONDAY} coverage no the pack before has a price, this one has none" in text
        assert "{" not in text.partition("Policy")[2]


async def test_other_tenants_may_not_build(world: World) -> None:
    result = await world.run(tenant="acme")
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None and result.error.code == "FORBIDDEN"
    assert await world.statuses() == []


async def test_a_day_without_a_session_is_refused(world: World) -> None:
    result = await world.run(date(2024, 1, 6))
    assert result.error is not None and "is no session" in result.error.message


def test_the_pattern_is_one_of_the_shipped() -> None:
    document = json.loads(PATTERN.read_text())
    assert [step["capability"] for step in document["steps"] if step.get("parallel")] == [
        "packs.fetch_prices",
        "packs.fetch_rates",
        "packs.fetch_macro",
    ]
    assert document["steps"][0]["compensate"]["capability"] == "packs.fail"
    assert PackStatus.FAILED == "failed"
