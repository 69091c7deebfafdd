import json
import logging
from uuid import uuid4

import orjson
import pytest

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext
from agents.runtime import AgentRuntime, DuplicateCapability, catalogue_of
from services.local_artifacts import LocalArtifacts
from services.local_data import TENANT, USER_ID
from tests.agents.desk import request
from tests.agents.probe import Clock, MemoryCache, ProbeAgent, Reading, runtime
from tests.agents.test_cache import PINS
from topics.canonical import canonical_bytes, digest, sha256_hex
from topics.errors import Code, RetryableError, TerminalError


async def test_a_request_is_routed_checked_and_answered_with_provenance() -> None:
    clock = Clock()
    answer = await runtime(ProbeAgent(), clock=clock).handle(
        request("probe.read", {"label": "a", "amount": "1.50"}, version=3, pins=PINS)
    )
    assert answer.error is None
    assert answer.value == {"amount": "1.5", "label": "a"}
    assert answer.digest == digest({"amount": "1.5", "label": "a"})
    found = answer.metadata
    assert found is not None
    assert (found.agent, found.agent_version, found.version) == ("probe", "2.1.0", 3)
    assert (found.sources, found.confidence, found.ttl_s) == (("probe:1",), 0.5, 60)
    assert (found.warnings, found.cache, found.started_at_ms) == (("careful",), "off", clock.now)


@pytest.mark.parametrize(
    ("capability_name", "version", "code", "text"),
    [
        ("probe.unknown", 1, Code.UNKNOWN_CAPABILITY, "probe.read"),
        ("probe.read", 2, Code.CODE_VERSION_UNAVAILABLE, "runs version 3"),
        ("probe.read", 4, Code.CODE_VERSION_UNAVAILABLE, "version 4"),
        ("probe.read", 3, Code.INVALID_ARGS, "needs pins (pack)"),
    ],
)
async def test_requests_nobody_here_can_serve(capability_name: str, version: int, code: Code, text: str) -> None:
    agent = ProbeAgent()
    answer = await runtime(agent).handle(request(capability_name, {"label": "a"}, version=version))
    assert answer.error is not None and answer.error.code is code and text in answer.error.message
    assert not answer.error.retryable and agent.calls == 0


@pytest.mark.parametrize(
    ("args", "pointers"),
    [
        ({}, ["/label"]),
        ({"label": 7}, ["/label"]),
        ({"label": "a", "amount": "ten"}, ["/amount"]),
        ({"label": "a", "amount": 1.5}, ["/amount"]),
        ({"label": "a", "amount": "NaN"}, ["/amount"]),
        ({"label": "a", "amonut": "1"}, ["/amonut"]),
        ({"label": None, "amount": True, "x/y": 1}, ["/amount", "/label", "/x~1y"]),
    ],
)
async def test_unfit_arguments_are_named_by_pointer(args: dict[str, object], pointers: list[str]) -> None:
    agent = ProbeAgent()
    answer = await runtime(agent).handle(request("probe.read", args, version=3, pins=PINS))
    assert answer.error is not None and answer.error.code is Code.INVALID_ARGS
    assert sorted({fault["pointer"] for fault in answer.error.details["faults"]}) == pointers
    assert agent.calls == 0


@pytest.mark.parametrize("bad", [{"amount": "1"}, {"amount": 1.5, "label": "a"}, "text", {"amount": "x", "label": "a"}])
async def test_an_answer_outside_its_schema_is_invalid_output(bad: object, caplog: pytest.LogCaptureFixture) -> None:
    answer = await runtime(ProbeAgent(lambda context: bad)).handle(
        request("probe.read", {"label": "a"}, version=3, pins=PINS)
    )
    assert answer.error is not None and answer.error.code is Code.INVALID_OUTPUT and not answer.error.retryable
    assert caplog.records


async def test_not_a_number_never_leaves_an_agent() -> None:
    for number in (float("nan"), float("inf")):
        agent = ProbeAgent(lambda context, number=number: {"x": [number]})
        answer = await runtime(agent).handle(request("probe.private"))
        assert answer.error is not None and answer.error.code is Code.INVALID_OUTPUT


async def test_a_bug_is_internal_logged_with_its_place_and_hidden_from_the_user(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "password=hunter2"
    agent = ProbeAgent(lambda context: ZeroDivisionError(secret))
    with caplog.at_level(logging.ERROR):
        answer = await runtime(agent).handle(request("probe.private", step_id="s1"))
    assert answer.error is not None and answer.error.code is Code.INTERNAL and not answer.error.retryable
    assert secret not in answer.model_dump_json() and "Traceback" not in answer.model_dump_json()
    record = caplog.records[-1]
    assert record.exc_info is not None and record.__dict__["step_id"] == "s1"


async def test_errors_of_agents_travel_as_they_are() -> None:
    wrong = TerminalError(Code.MISSING_FX, "no USD/CAD", pair="USD/CAD")
    answer = await runtime(ProbeAgent(lambda context: wrong)).handle(request("probe.private"))
    assert answer.error is not None and answer.error.model_dump(exclude_defaults=True) == {
        "code": Code.MISSING_FX,
        "message": "no USD/CAD",
        "details": {"pair": "USD/CAD"},
    }
    slow = RetryableError(Code.UPSTREAM_FAILED, "429", retry_after_s=7, service="vendor")
    answer = await runtime(ProbeAgent(lambda context: slow)).handle(request("probe.fetch"))
    assert answer.error is not None and answer.error.retryable and answer.error.retry_after_s == 7


async def test_a_call_is_limited_by_its_own_time_and_by_the_deadline() -> None:
    clock = Clock()
    answer = await runtime(ProbeAgent(), clock=clock).handle(request("probe.wait"))
    assert answer.error is not None and answer.error.code is Code.STEP_TIMEOUT and answer.error.retryable
    assert "0.01 s" in answer.error.message
    agent = ProbeAgent()
    answer = await runtime(agent, clock=clock).handle(request("probe.private", deadline_at_ms=clock.now))
    assert answer.error is not None and answer.error.code is Code.STEP_TIMEOUT and agent.calls == 0


async def test_warnings_of_an_answer_travel_with_it_once_and_first() -> None:
    def act(context: CapabilityContext) -> dict[str, object]:
        context.report(warning="reported")
        context.report(warning="both")
        return {"warnings": ["in the answer", "both"], "n": 1}

    said = {"warnings": ["in the answer", "both"], "n": 1}
    cached = runtime(ProbeAgent(act), cache=MemoryCache())
    for cache in ("miss", "hit"):
        answer = await cached.handle(request("probe.public"))
        assert answer.metadata is not None and answer.metadata.cache == cache
        assert answer.metadata.warnings == ("in the answer", "both", "reported")
        assert (answer.value, answer.digest) == (said, digest(said))


@pytest.mark.parametrize("value", [{"warnings": "text"}, {"warnings": None}, {"warnings": 3}, ["warnings"], None, "x"])
async def test_what_is_no_list_of_warnings_is_none(value: object) -> None:
    answer = await runtime(ProbeAgent()).handle(request("probe.echo", {"value": value}))
    assert answer.error is None and answer.metadata is not None and answer.metadata.warnings == ()


async def test_only_so_many_warnings_of_an_answer_travel() -> None:
    texts = [f"SYN-{at}: no report" for at in range(200)]
    answer = await runtime(ProbeAgent()).handle(request("probe.echo", {"value": {"warnings": texts}}))
    assert answer.metadata is not None
    assert answer.metadata.warnings == (*texts[:20], "180 more such warnings stand in the answer")


async def test_a_small_answer_is_inline_and_nowhere_else() -> None:
    store = LocalArtifacts()
    answer = await runtime(ProbeAgent(), artifacts=store).handle(request("probe.echo", {"value": "x" * 8190}))
    assert answer.value == "x" * 8190 and answer.refs == {}
    assert await store.get(TENANT, USER_ID, str(answer.digest)) is None


async def test_a_large_answer_is_an_artifact_with_projections() -> None:
    store = LocalArtifacts()
    value = {"rows": [{"n": n, "text": "x" * 40} for n in range(300)], "total": "12.5"}
    answer = await runtime(ProbeAgent(), artifacts=store).handle(
        request("probe.echo", {"value": value}, projections=("total", "rows.length", "rows.2.n", "rows", "rows.0.m"))
    )
    assert answer.value is None and answer.refs == {"": digest(value)} and answer.digest == digest(value)
    found = answer.projections
    assert (found["total"].value, found["rows.length"].value, found["rows.2.n"].value) == ("12.5", 300, 2)
    assert found["rows"].ref == digest(value["rows"]) and found["rows"].value is None
    assert found["rows.0.m"].missing == ("n", "text")
    assert await store.get(TENANT, USER_ID, digest(value)) == canonical_bytes(value)


async def test_an_output_that_may_be_inline_is_an_artifact_too() -> None:
    value = ["x" * 9000]
    answer = await runtime(ProbeAgent()).handle(request("probe.echo", {"value": value}, inline_bytes_max=100_000))
    assert answer.value == value and answer.refs == {"": digest(value)} and answer.projections == {}


async def test_references_in_arguments_are_put_in_their_place() -> None:
    store = LocalArtifacts()
    sha = await store.put(TENANT, USER_ID, canonical_bytes({"big": [1, 2]}))
    serve = runtime(ProbeAgent(), artifacts=store)
    answer = await serve.handle(request("probe.echo", {"value": None}, refs={"/value": sha}))
    assert answer.value == {"big": [1, 2]}
    args = {"value": {"a": None, "b": ["x", None], "c/d": None}}
    refs = {"/value/a": sha, "/value/b/1": sha, "/value/c~1d": sha}
    answer = await serve.handle(request("probe.echo", args, refs=refs))
    assert answer.value == {"a": {"big": [1, 2]}, "b": ["x", {"big": [1, 2]}], "c/d": {"big": [1, 2]}}
    answer = await serve.handle(request("probe.echo", {"value": None}, refs={"/nowhere": sha}))
    assert answer.error is not None and answer.error.code is Code.INVALID_ARGS and "/nowhere" in answer.error.message


@pytest.mark.parametrize(("size", "kept"), [(20_000 - 2, False), (20_000 - 1, True)])
async def test_an_output_nobody_reads_is_an_artifact_only_beyond_its_share(size: int, kept: bool) -> None:
    store = LocalArtifacts()
    asked = request("probe.echo", {"value": "x" * size}, inline_bytes_max=50_000, artifact_bytes_min=20_000)
    answer = await runtime(ProbeAgent(), artifacts=store).handle(asked)
    assert answer.value == "x" * size and bool(answer.refs) is kept


async def test_an_artifact_of_another_tenant_is_not_found() -> None:
    store = LocalArtifacts()
    serve = runtime(ProbeAgent(), artifacts=store)
    sha = await store.put(TENANT, USER_ID, b'"mine"')
    assert (await serve.handle(request("probe.echo", {"value": None}, refs={"/value": sha}))).value == "mine"
    for tenant, digits in (("other", sha), (TENANT, sha256_hex(b"never written"))):
        answer = await serve.handle(request("probe.echo", {"value": None}, refs={"/value": digits}, tenant=tenant))
        assert answer.error is not None and answer.error.code is Code.ARTIFACT_NOT_FOUND


async def test_an_answer_above_the_limit_is_refused() -> None:
    answer = await runtime(ProbeAgent(), artifact_bytes_max=10_000).handle(
        request("probe.echo", {"value": "x" * 10_000})
    )
    assert answer.error is not None and answer.error.code is Code.OUTPUT_TOO_LARGE and "10002" in answer.error.message


async def test_a_pure_capability_does_not_know_the_time() -> None:
    seen: list[int | None] = []
    agent = ProbeAgent(lambda context: seen.append(context.now_ms))
    serve = runtime(agent, clock=Clock(77))
    await serve.handle(request("probe.private"))
    await serve.handle(request("probe.fetch"))
    assert seen == [None, 77]


async def test_the_context_carries_identity_and_idempotency_key() -> None:
    seen: list[CapabilityContext] = []
    user = uuid4()
    agent = ProbeAgent(seen.append)
    await runtime(agent).handle(request("probe.fetch", user_id=user, tenant="t", idempotency_key="e/s"))
    assert (seen[0].tenant, seen[0].user_id, seen[0].idempotency_key) == ("t", user, "e/s")


class Twin(BaseAgent):
    name = "twin"

    @capability("probe.fetch")
    async def fetch(self, context: CapabilityContext) -> str:
        """Offer what another agent offers."""
        return ""


def test_two_owners_of_one_capability_are_both_named() -> None:
    with pytest.raises(DuplicateCapability) as caught:
        AgentRuntime([ProbeAgent(), Twin()], LocalArtifacts(), None, None, Clock())
    assert "probe.fetch" in str(caught.value)
    assert "ProbeAgent.fetch" in str(caught.value) and "Twin.fetch" in str(caught.value)


def test_two_agents_of_one_name_are_both_named() -> None:
    class Other(BaseAgent):
        name = "twin"

    with pytest.raises(DuplicateCapability, match=r"agent twin is both .*Twin and .*Other"):
        catalogue_of([Twin, Other])


def test_the_catalogue_of_a_runtime_is_that_of_its_classes() -> None:
    found = runtime(ProbeAgent()).catalogue()
    assert found == catalogue_of([ProbeAgent])
    assert json.loads(orjson.dumps(found)) == found
    assert Reading.__name__ in json.dumps(found["agents"]["probe"]["capabilities"]["probe.read"]["output_schema"])


async def test_a_pick_gives_one_part_of_a_stored_list_and_is_part_of_what_is_asked() -> None:
    store = LocalArtifacts()
    sha = await store.put(TENANT, USER_ID, canonical_bytes([{"label": "a"}, {"label": "b"}]))
    serving = runtime(ProbeAgent(), artifacts=store)
    asked = request("probe.read", {"label": None, "amount": "1"}, version=3, pins=PINS, refs={"/label": sha})

    async def picked(path: str) -> object:
        return await serving.handle(asked.model_copy(update={"picks": {"/label": path}}))

    first, second = await picked("0.label"), await picked("1.label")
    assert (first.value["label"], second.value["label"]) == ("a", "b")
    missing = await picked("2.label")
    assert missing.error is not None and missing.error.code is Code.INVALID_ARGS and "2.label" in missing.error.message
    astray = await serving.handle(asked.model_copy(update={"picks": {"/amount": "0"}}))
    assert astray.error is not None and astray.error.code is Code.INVALID_ARGS and "/amount" in astray.error.message
    stranger = await serving.handle(asked.model_copy(update={"tenant": "other", "picks": {"/label": "0.label"}}))
    assert stranger.error is not None and stranger.error.code is Code.ARTIFACT_NOT_FOUND
