"""Replay and diff of results that were stored like the projector stores them, on real Postgres and a git repository."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import orjson
import pytest
from dulwich.repo import Repo

from db.artifacts import ArtifactRepository
from db.executions import ExecutionRepository, store_result
from db.ledgers import SnapshotRepository
from db.pack_content import PackContent
from db.pack_writer import PackWriter
from db.packs import PackRepository
from db.pattern_texts import PatternTextRepository
from db.postgres import Pool, transaction
from ledger.committing import commit_files
from ledger.sources import KEPT_REFS, from_git
from orchestrator.pattern import CompiledPattern
from provenance.diff import Difference, diff
from services import demo_data
from services.catalogue import load_catalogue
from services.composition import build_runtime_postgres, ledger_repository
from services.evidence import gather_evidence
from services.packs_build import POLICY
from services.patterns import load_patterns
from services.replay import OverlayArtifacts, PatternText, Replay, replay
from services.runner import run_in_process
from settings import Settings
from tests.services_tests.conftest import END
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus

pytestmark = pytest.mark.integration
ALICE = demo_data.user_id_of("alice")
GROWTH = demo_data.PORTFOLIOS[0]


@pytest.fixture(scope="module")
def overview() -> CompiledPattern:
    settings = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
    found = load_patterns(settings, load_catalogue(settings)).newest("portfolio_overview")
    assert found is not None
    return found


async def stored_run(app: Pool, settings: Settings, pattern: CompiledPattern, **fields: object) -> ExecutionResult:
    """Run an execution and store its result and its pattern."""
    runtime = build_runtime_postgres(app, None, None, settings)
    given: dict[str, object] = {
        "tenant": demo_data.TENANT,
        "request_id": str(uuid4()),
        "user_id": ALICE,
        "pattern_id": pattern.id,
        "portfolio_id": GROWTH.id,
        "submitted_at": datetime.now(UTC),
    }
    result = await run_in_process(ExecuteRequest(**{**given, **fields}), pattern, runtime)  # type: ignore[arg-type]
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    async with transaction(app) as connection:
        await store_result(connection, result)
    texts = PatternTextRepository(app)
    await texts.put(pattern.digest, pattern.id, pattern.source.decode(), pattern.capabilities)
    return result


async def replayed(app: Pool, settings: Settings, result: ExecutionResult) -> Replay:
    kept = await ExecutionRepository(app).show(result.tenant, result.user_id, UUID(result.execution_id))
    assert kept is not None and kept.trace.pattern_digest is not None
    text = await PatternTextRepository(app).get(kept.trace.pattern_digest)
    assert text is not None
    artifacts = OverlayArtifacts(ArtifactRepository(app))
    runtime = build_runtime_postgres(app, None, None, settings, artifacts=artifacts)
    return await replay(kept, PatternText(text.source, text.capabilities), load_catalogue(settings), runtime, artifacts)


async def compared(app: Pool, settings: Settings, a: ExecutionResult, b: ExecutionResult) -> Difference:
    left, right = (orjson.loads(each.model_dump_json(by_alias=True)) for each in (a, b))

    class Texts:
        async def get(self, digest: str) -> PatternText | None:
            found = await PatternTextRepository(app).get(digest)
            return None if found is None else PatternText(found.source, found.capabilities)

    catalogue = load_catalogue(settings)
    evidence = await gather_evidence(left, right, catalogue, Texts(), PackRepository(app), SnapshotRepository(app))
    return diff(left, right, evidence)


async def test_a_stored_execution_is_recomputed_after_its_pack_was_superseded_and_its_branch_rewritten(
    app: Pool, owner: Pool, demo_settings: Settings, overview: CompiledPattern
) -> None:
    first = await stored_run(app, demo_settings, overview)
    assert (await replayed(app, demo_settings, first)).outcome == "same"
    await restate(owner, END, "AAPL", Decimal("1.01"))
    repository = ledger_repository(demo_settings)
    commit = first.trace.ledger_commit_hash
    assert commit is not None
    with Repo(str(repository)) as repo:
        assert f"{KEPT_REFS}{commit}".encode() in repo.refs
        # Somebody throws the branch away; the ref keeps the commit.
        del repo.refs[b"refs/heads/main"]  # type: ignore[misc]
    assert from_git(repository, commit, GROWTH.path).commit == commit
    again = await replayed(app, demo_settings, first)
    assert again.outcome == "same" and again.recomputed_digest == first.digest
    assert {step.verdict for step in again.comparison.steps} == {"same"}


async def test_a_restated_price_is_named_and_explains_the_figures(
    app: Pool, owner: Pool, demo_settings: Settings, overview: CompiledPattern
) -> None:
    before = await stored_run(app, demo_settings, overview)
    await restate(owner, END, "AAPL", Decimal("1.01"))
    after = await stored_run(app, demo_settings, overview)
    found = await compared(app, demo_settings, before, after)
    assert not found.same and {change.name for change in found.pins} == {"pricing_pack_id", "pack_sha256"}
    (cause,) = found.causes
    assert cause.id == "pin:pack" and len(cause.details) == 1
    assert cause.details[0].startswith(f"restated AAPL of {END}: ")
    total = next(each for each in found.figures if each.pointer == "/data/perf_metrics/total_value")
    assert total.causes == ("pin:pack",) and Decimal(total.delta) > 0
    assert all(each.causes == ("pin:pack",) for each in found.figures)
    assert next(step for step in found.steps if step.step_id == "valued_positions").what == ("arguments", "output")
    assert "positions" not in {step.step_id for step in found.steps}


async def test_a_booking_is_named_and_explains_the_figures(
    app: Pool, demo_settings: Settings, overview: CompiledPattern
) -> None:
    before = await stored_run(app, demo_settings, overview)
    assert before.trace.ledger_commit_hash is not None
    repository = ledger_repository(demo_settings)
    tree = from_git(repository, before.trace.ledger_commit_hash, GROWTH.path)
    late = """
2005-06-01 * "Late deposit"
  Equity:Contributions    -100.00 CAD
  Assets:Broker:Cash:CAD  100.00 CAD

2005-06-02 * "Taken back"
  Equity:Withdrawals      100.00 CAD
  Assets:Broker:Cash:CAD  -100.00 CAD
"""
    files = {**tree.files, GROWTH.path: tree.files[GROWTH.path] + late}
    at = datetime(2030, 1, 1, tzinfo=UTC)
    commit_files(repository, files, author="T <t@example.org>", at=at, message="late")
    after = await stored_run(app, demo_settings, overview)
    found = await compared(app, demo_settings, before, after)
    (cause,) = found.causes
    assert cause.id == "pin:ledger" and any("Late deposit" in line for line in cause.details)
    assert all(line.startswith("only in B") for line in cause.details)
    assert found.figures and all(each.causes == ("pin:ledger",) for each in found.figures)


async def restate(owner: Pool, day: date, symbol: str, factor: Decimal) -> None:
    """Freeze another revision of a day's pack in which one price is another."""
    writer, packs = PackWriter(owner), PackRepository(owner)
    old = (await packs.resolve(POLICY, day, None)).pack
    content = await packs.content(old.pack_id)
    prices = tuple(
        replace(row, close=round(row.close * factor, 8)) if row.symbol == symbol else row for row in content.prices
    )
    new = await writer.create(POLICY, day, datetime.now(UTC))
    await writer.load_rows(new.pack_id, PackContent(prices, content.rates))
    frozen = await packs.freeze(new.pack_id, None, datetime.now(UTC))
    assert frozen.revision == old.revision + 1
