"""The main job as users meet it: commands, real Kafka, Postgres and Redis, workers in processes of their own."""

import json
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from cli.exits import Exit
from db.pack_writer import PackWriter
from db.postgres import open_pool
from services.catalogue import load_catalogue
from services.composition import open_runtime
from services.demo_data import PORTFOLIOS
from services.demo_users import TENANT, user_id_of
from services.packs_build import POLICY
from services.patterns import load_patterns
from services.runner import run_in_process
from tests.integration.conftest import Instance
from topics.messages import ExecuteRequest, ExecutionResult

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GROWTH = next(each for each in PORTFOLIOS if each.name == "Alice: growth")


@pytest.fixture(scope="module")
async def demo(instance: Instance) -> ExecutionResult:
    """What `dawsos demo --json` prints, on the running instance."""
    ended = await instance.dawsos("demo", "--json", "--out", str(instance.folder / "out"))
    assert ended.code == Exit.OK, ended.err
    return ExecutionResult.model_validate_json(ended.out)


async def test_demo_prints_one_result_and_writes_files(instance: Instance, demo: ExecutionResult) -> None:
    assert demo.status == "succeeded"
    written = (instance.folder / "out" / "growth.json").read_text(encoding="utf-8")
    assert ExecutionResult.model_validate_json(written) == demo
    report = (instance.folder / "out" / "growth.html").read_text(encoding="utf-8")
    assert "Alice: growth" in report
    assert "Holdings" in report
    assert demo.digest in report


async def test_overview_is_complete_and_explained(demo: ExecutionResult) -> None:
    metrics, effects = demo.data["perf_metrics"], demo.data["currency_attr"]
    assert metrics["asof"] == "2012-12-31"
    assert all(metrics[name] is not None for name in ("twr", "mtd", "qtd", "ytd", "one_year", "inception"))
    parts = sum(effects[name] for name in ("local_return", "fx_return", "interaction", "trading"))
    assert parts == pytest.approx(metrics["twr"], abs=1e-9)
    assert abs(effects["residual_bp"]) < 0.1
    trace = demo.trace
    assert [step.step_id for step in trace.steps] == [
        "$resolve",
        "positions",
        "valued_positions",
        "perf_metrics",
        "currency_attr",
        "rating_badges",
        "charts",
    ]
    for step in trace.steps:
        assert step.success
        assert step.agent == "financial_analyst"
        assert step.attempts == 1
        assert step.output_digest is not None
        assert step.started_at_ms is not None
        assert step.finished_at_ms is not None
    assert trace.pricing_pack_id is not None
    assert trace.pack_sha256 is not None
    assert trace.ledger_commit_hash is not None
    assert f"ledger:{trace.ledger_commit_hash}" in trace.sources
    assert [panel.status for panel in trace.per_panel_staleness] == ["fresh"] * 4


async def test_running_again_gives_the_same_digest_from_the_cache(instance: Instance, demo: ExecutionResult) -> None:
    ended = await instance.dawsos("run", "portfolio_overview", "--portfolio", "growth", "--json")
    assert ended.code == Exit.OK, ended.err
    again = ExecutionResult.model_validate_json(ended.out)
    assert again.execution_id != demo.execution_id
    assert again.digest == demo.digest
    assert again.data == demo.data
    assert {step.cache for step in again.trace.steps[1:]} == {"hit"}


async def test_in_one_process_the_same_digest(instance: Instance, demo: ExecutionResult) -> None:
    settings = instance.settings()
    pattern = load_patterns(settings, load_catalogue(settings)).newest("portfolio_overview")
    assert pattern is not None
    request = ExecuteRequest(
        tenant=TENANT,
        request_id=str(uuid4()),
        user_id=GROWTH.user_id,
        pattern_id=pattern.id,
        portfolio_id=GROWTH.id,
        submitted_at=datetime.now(UTC),
    )
    async with open_runtime(settings) as runtime:
        result = await run_in_process(request, pattern, runtime)
    assert result.digest == demo.digest


async def test_progress_and_summary_for_people(instance: Instance, demo: ExecutionResult) -> None:
    ended = await instance.dawsos("run", "portfolio_overview", "-p", "Alice: growth", "--asof", "2012-12-31")
    assert ended.code == Exit.OK
    for step in ("resolve pins", "perf_metrics", "charts"):
        assert f"✔ {step}" in ended.err
    assert demo.digest in ended.out
    assert "AAPL" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("nosuch_pattern",), Exit.REJECTED, "UNKNOWN_PATTERN"),
        (("portfolio_overview",), Exit.REJECTED, "INVALID_INPUT"),
        (("portfolio_overview", "-p", "growth", "--asof", "2020-01-01"), Exit.REJECTED, "NO_PACK"),
        (("portfolio_overview", "-p", "growth", "--commit", "0" * 40), Exit.REJECTED, "UNKNOWN_LEDGER_COMMIT"),
        (("portfolio_overview", "-p", "growth", "--pack", str(uuid4())), Exit.REJECTED, "UNKNOWN_PACK"),
        (("portfolio_overview", "-p", "growth", "--deadline", "0.001"), Exit.TIMED_OUT, "DEADLINE_EXCEEDED"),
    ],
)
async def test_exit_codes(
    instance: Instance, demo: ExecutionResult, arguments: tuple[str, ...], code: Exit, error: str
) -> None:
    ended = await instance.dawsos("run", *arguments, "--json")
    result = ExecutionResult.model_validate_json(ended.out)
    assert result.error is not None
    assert (ended.code, result.error.code) == (code, error)


async def test_someone_elses_portfolio_answers_like_an_unknown_one(instance: Instance, demo: ExecutionResult) -> None:
    errors = []
    for portfolio, user in ((str(GROWTH.id), "bob"), (str(uuid4()), "bob")):
        ended = await instance.dawsos("run", "portfolio_overview", "-p", portfolio, "--user", user, "--json")
        assert ended.code == Exit.REJECTED
        document = json.loads(ended.out)
        errors.append(json.dumps(document["error"]).replace(portfolio, "ID"))
    assert errors[0] == errors[1]


async def test_stored_executions(instance: Instance, demo: ExecutionResult) -> None:
    shown = await instance.dawsos("executions", "show", demo.execution_id, "--json")
    assert shown.code == Exit.OK, shown.err
    assert ExecutionResult.model_validate_json(shown.out) == demo
    hidden = await instance.dawsos("executions", "show", demo.execution_id, "--user", "bob")
    assert hidden.code == Exit.ERROR
    listed = json.loads((await instance.dawsos("executions", "list", "--limit", "100", "--json")).out)
    assert demo.execution_id in {each["execution_id"] for each in listed}


async def test_an_execution_waits_until_its_pack_is_frozen(instance: Instance, demo: ExecutionResult) -> None:
    settings = instance.settings()
    day = date(2012, 12, 28)
    pool = await open_pool(settings.postgres_admin_url())
    try:
        writer = PackWriter(pool)
        (fresh,) = await writer.list(POLICY, day, day)
        warming = await writer.create(POLICY, day, datetime.now(UTC))
        await writer.load_rows(warming.pack_id, await writer.content(fresh.ref.pack_id))
        await writer.supersede(fresh.ref.pack_id)
    finally:
        await pool.close()
    refused = await instance.dawsos("run", "portfolio_overview", "-p", "growth", "--asof", day.isoformat(), "--json")
    assert refused.code == Exit.REJECTED
    assert json.loads(refused.out)["error"]["code"] == "PACK_WARMING"
    stale = await instance.dawsos(
        "run", "portfolio_overview", "-p", "growth", "--asof", day.isoformat(), "--gate", "serve_stale", "--json"
    )
    assert stale.code == Exit.OK, stale.err
    panels = json.loads(stale.out)["trace"]["per_panel_staleness"]
    assert {panel["status"] for panel in panels} == {"stale"}

    import asyncio

    waiting = asyncio.create_task(
        instance.dawsos(
            "run", "portfolio_overview", "-p", "growth", "--asof", day.isoformat(), "--gate", "wait:120", "--json"
        )
    )
    frozen = await instance.dawsos("packs", "freeze", str(warming.pack_id), "--json")
    assert frozen.code == Exit.OK, frozen.err
    ended = await waiting
    assert ended.code == Exit.OK, ended.out
    assert json.loads(ended.out)["trace"]["pricing_pack_id"] == str(warming.pack_id)


async def test_migrate_and_topics_find_everything_done(instance: Instance) -> None:
    assert json.loads((await instance.dawsos("migrate", "--json")).out) == {"applied": []}
    assert json.loads((await instance.dawsos("topics", "create", "--json")).out) == {"created": []}
    described = await instance.dawsos("topics", "describe", "--json")
    assert described.code == Exit.OK
    assert all(topic["partitions"] == 8 and not topic["faults"] for topic in json.loads(described.out))


async def test_status_shows_three_workers(instance: Instance) -> None:
    status = await instance.dawsos("status", "--json")
    assert status.code == Exit.OK
    assert {part["name"] for part in json.loads(status.out)["parts"]} == {
        "orchestrator",
        "agents",
        "projector",
        "gateway",
    }


async def test_a_poison_message_is_kept_shown_and_redriven(instance: Instance) -> None:
    from streams.clients import start_producer, topic_name
    from topics.table import EXECUTION_REQUESTS

    settings = instance.settings()
    producer = await start_producer(settings, "test")
    try:
        await producer.send_and_wait(topic_name(settings, EXECUTION_REQUESTS), b"{not json", b"poison")
    finally:
        await producer.stop()
    letter = await _first_letter(instance)
    assert letter["value"] == "{not json"
    assert letter["stage"] == "decode"
    one = str(letter["id"])
    nothing = {"handled": [], "refused": [], "unknown": []}
    dry = await instance.dawsos("dlq", "redrive", "--stage", "decode", "--reason", "JSON", "--dry-run", "--json")
    assert json.loads(dry.out) == {"dry_run": [letter["id"]], **nothing}
    redriven = await instance.dawsos("dlq", "redrive", one, "--json")
    assert json.loads(redriven.out) == {"redriven": [letter["id"]], **nothing}
    # Buried again where it stands now; the first one is handled, and says so.
    again = await _first_letter(instance)
    assert again["id"] != letter["id"]
    assert (again["value"], again["reason"]) == (letter["value"], letter["reason"])
    twice = await instance.dawsos("dlq", "redrive", one)
    assert twice.code == 0 and "already" in twice.err and "redriven: none" in twice.err
    refused = await instance.dawsos("dlq", "purge", "--all")
    assert refused.code == 2 and "--yes" in refused.err
    gone = await instance.dawsos("dlq", "purge", "--redriven", "--stage", "decode", "--yes", "--json")
    assert json.loads(gone.out) == {"dry_run": False, "purged": 1, "ids": [letter["id"]], "unknown": []}
    missing = await instance.dawsos("dlq", "redrive", one)
    assert missing.code == 1 and f"no dead letter {one}" in missing.err


async def _first_letter(instance: Instance) -> dict[str, object]:
    """Ask until the projector has stored a dead letter that waits; the test's timeout bounds it."""
    while True:
        listed = json.loads((await instance.dawsos("dlq", "list", "--json")).out)
        if listed:
            shown = await instance.dawsos("dlq", "show", str(listed[0]["id"]), "--json")
            return json.loads(shown.out)


def test_demo_users_have_fixed_ids() -> None:
    assert user_id_of("alice") == GROWTH.user_id
    assert user_id_of("bob") != GROWTH.user_id


async def test_the_stored_execution_is_replayed_verified_and_compared(
    instance: Instance, demo: ExecutionResult
) -> None:
    replayed = await instance.dawsos("replay", "--verify", demo.execution_id, "--json")
    assert replayed.code == Exit.OK, replayed.err
    (found,) = json.loads(replayed.out)
    assert (found["outcome"], found["recomputed_digest"]) == ("same", demo.digest)
    assert [step["verdict"] for step in found["steps"]] == ["same"] * 6
    several = await instance.dawsos("replay", "--last", "3", "--status", "succeeded")
    assert several.code == Exit.OK and several.out.count(": same") >= 1, several.err
    missing = await instance.dawsos("replay", str(uuid4()))
    assert missing.code == Exit.ERROR and "there is no finished execution" in missing.err
    file = str(instance.folder / "out" / "growth.json")
    assert (await instance.dawsos("verify", file)).code == Exit.OK
    same = await instance.dawsos("diff", demo.execution_id, file)
    assert same.code == Exit.OK and "the same answer" in same.out, same.err
    earlier = await instance.dawsos("run", "portfolio_overview", "-p", "growth", "--asof", "2012-12-28", "--json")
    other = json.loads(earlier.out)["execution_id"]
    for _ in range(50):
        compared = await instance.dawsos("diff", other, demo.execution_id, "--json")
        if compared.out:
            break
    assert compared.code == Exit.ERROR and compared.out, compared.err
    difference = json.loads(compared.out)
    assert [cause["id"] for cause in difference["causes"]] == ["pin:pack"]
    assert any(line.startswith("AAPL: ") for line in difference["causes"][0]["details"])
    assert all(figure["causes"] == ["pin:pack"] for figure in difference["figures"])
