"""portfolio_overview on real Postgres and Redis, without Kafka between engine and agents."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest

from agents.runtime import AgentRuntime
from db.breaker import RedisBreaker
from db.cache import RedisCache
from db.postgres import Pool
from db.redis_link import RedisLink
from orchestrator.pattern import CompiledPattern
from services import demo_data
from services.catalogue import load_catalogue
from services.composition import build_runtime_postgres
from services.patterns import load_patterns
from services.runner import run_in_process
from settings import Settings
from topics.errors import Code
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus

pytestmark = pytest.mark.integration
ALICE, BOB = demo_data.user_id_of("alice"), demo_data.user_id_of("bob")
GROWTH, INCOME, GLOBAL, SAVINGS = demo_data.PORTFOLIOS


@pytest.fixture(scope="module")
def overview() -> CompiledPattern:
    settings = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
    found = load_patterns(settings, load_catalogue(settings)).newest("portfolio_overview")
    assert found is not None
    return found


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    made = RedisLink(redis_url)
    yield made
    await made.close()


@pytest.fixture
def runtime(app: Pool, link: RedisLink, demo_settings: Settings) -> AgentRuntime:
    return make_runtime(app, link, demo_settings)


def make_runtime(app: Pool, link: RedisLink, settings: Settings) -> AgentRuntime:
    prefix = settings.topic_prefix
    return build_runtime_postgres(app, RedisCache(link, prefix), RedisBreaker(link, prefix), settings)


async def run(
    runtime: AgentRuntime,
    pattern: CompiledPattern,
    portfolio_id: UUID,
    user_id: UUID = ALICE,
    tenant: str = demo_data.TENANT,
    **fields: object,
) -> ExecutionResult:
    given: dict[str, object] = {
        "tenant": tenant,
        "request_id": str(uuid4()),
        "user_id": user_id,
        "pattern_id": pattern.id,
        "portfolio_id": portfolio_id,
        "submitted_at": datetime.now(UTC),
    }
    return await run_in_process(ExecuteRequest(**{**given, **fields}), pattern, runtime)  # type: ignore[arg-type]


def caches(result: ExecutionResult) -> set[str | None]:
    return {step.cache for step in result.trace.steps if step.step_id != "$resolve"}


@pytest.mark.parametrize("portfolio", demo_data.PORTFOLIOS, ids=lambda portfolio: portfolio.path)
async def test_every_demo_portfolio_is_valued_and_explained(
    runtime: AgentRuntime, overview: CompiledPattern, portfolio: demo_data.DemoPortfolio
) -> None:
    result = await run(runtime, overview, portfolio.id, portfolio.user_id)
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    metrics, attribution = result.data["perf_metrics"], result.data["currency_attr"]
    assert metrics["base_currency"] == portfolio.base_ccy and metrics["asof"] == "2005-12-30"
    assert metrics["twr"] is not None and metrics["reconciliation_bp"] < 1
    assert attribution["residual_bp"] < 0.1 and abs(attribution["total"] - metrics["twr"]) < 1e-5
    assert len(result.charts) == 4
    assert {f"ledger:{result.trace.ledger_commit_hash}", "prices:quandl-wiki", "rates:ecb"} <= set(result.trace.sources)
    assert all(step.success for step in result.trace.steps)
    assert metrics["warnings"] == [] or all("restart" not in text for text in metrics["warnings"])


async def test_names_of_securities_come_from_the_database(runtime: AgentRuntime, overview: CompiledPattern) -> None:
    result = await run(runtime, overview, GROWTH.id)
    bars = result.charts[2]["data"]["values"]
    assert "Apple Inc." in {bar["name"] for bar in bars}


async def test_a_second_run_is_cached_and_says_so(
    app: Pool, link: RedisLink, demo_settings: Settings, runtime: AgentRuntime, overview: CompiledPattern
) -> None:
    first = await run(runtime, overview, GROWTH.id)
    second = await run(make_runtime(app, link, demo_settings), overview, GROWTH.id)
    assert (caches(first), caches(second)) == ({"miss"}, {"hit"})
    assert (first.digest, first.data) == (second.digest, second.data)
    provenance = [(step.sources, step.asof, step.confidence) for step in first.trace.steps]
    assert [(step.sources, step.asof, step.confidence) for step in second.trace.steps] == provenance


async def test_without_redis_the_answer_is_the_same(
    app: Pool, demo_settings: Settings, runtime: AgentRuntime, overview: CompiledPattern
) -> None:
    nowhere = RedisLink("redis://127.0.0.1:1/0", timeout_s=0.05)
    try:
        alone = await run(make_runtime(app, nowhere, demo_settings), overview, GROWTH.id)
        again = await run(make_runtime(app, nowhere, demo_settings), overview, GROWTH.id)
    finally:
        await nowhere.close()
    assert alone.status is ExecutionStatus.SUCCEEDED
    assert caches(alone) == caches(again) == {"miss"}
    assert alone.digest == (await run(runtime, overview, GROWTH.id)).digest


async def test_the_commit_is_booked_once_and_read_by_others(
    app: Pool, link: RedisLink, demo_settings: Settings, runtime: AgentRuntime, overview: CompiledPattern
) -> None:
    first = await run(runtime, overview, BOB_GLOBAL := GLOBAL.id, BOB)
    async with app.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('app.tenant', $1, true)", demo_data.TENANT)
        await connection.execute("SELECT set_config('app.user_id', $1, true)", str(BOB))
        stored = await connection.fetch("SELECT commit_hash, row_count FROM ledger_snapshot")
    assert [row["commit_hash"] for row in stored] == [first.trace.ledger_commit_hash]
    # Another worker has no repository at hand for that commit any more: the snapshot is enough.
    lost = demo_settings.model_copy(update={"ledger_repository": demo_settings.data_dir / "gone.git"})
    other = build_runtime_postgres(app, None, None, lost)
    again = await run(other, overview, BOB_GLOBAL, BOB, ledger_commit=first.trace.ledger_commit_hash)
    assert again.digest == first.digest


@pytest.mark.parametrize(
    ("user_id", "tenant"), [(BOB, demo_data.TENANT), (uuid4(), demo_data.TENANT), (ALICE, "other")]
)
async def test_someone_elses_portfolio_is_an_unknown_one_even_when_cached(
    runtime: AgentRuntime, overview: CompiledPattern, user_id: UUID, tenant: str
) -> None:
    assert (await run(runtime, overview, GROWTH.id)).status is ExecutionStatus.SUCCEEDED
    theirs = await run(runtime, overview, GROWTH.id, user_id, tenant)
    unknown = uuid4()
    missing = await run(runtime, overview, unknown, user_id, tenant)
    assert theirs.error is not None and missing.error is not None
    assert theirs.error.code is Code.UNKNOWN_PORTFOLIO
    assert theirs.error.message.replace(str(GROWTH.id), "ID") == missing.error.message.replace(str(unknown), "ID")
    assert theirs.status is missing.status and theirs.data == missing.data


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"asof": date(2026, 1, 1)}, Code.NO_PACK),
        ({"asof": date(2007, 3, 1)}, Code.NO_PACK),
        ({"pack_id": uuid4()}, Code.UNKNOWN_PACK),
        ({"ledger_commit": "0" * 40}, Code.UNKNOWN_LEDGER_COMMIT),
    ],
)
async def test_data_that_is_not_there_is_named(
    runtime: AgentRuntime, overview: CompiledPattern, fields: dict[str, object], code: Code
) -> None:
    result = await run(runtime, overview, GROWTH.id, **fields)
    assert result.error is not None and result.error.code is code
    assert next(str(value) for value in fields.values()) in result.error.message


async def test_a_weekend_is_answered_from_the_last_session(runtime: AgentRuntime, overview: CompiledPattern) -> None:
    result = await run(runtime, overview, GROWTH.id, asof=date(2004, 9, 6))  # Labor Day
    assert result.trace.asof == date(2004, 9, 3)
    assert result.data["perf_metrics"]["asof"] == "2004-09-03"
