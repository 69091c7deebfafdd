"""Bad input ends as a clear error in the right place: validation, result, dead letter or a counted note."""

import asyncio
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from orchestrator.compiler import compile_pattern
from orchestrator.events import Note
from orchestrator.faults import PatternFaults
from streams import dead_letter as dlq
from streams.routing import partition_of
from tests.streams.system import USER, System, catalogue, pattern, request
from topics.codec import encode, execution_id_of, key_of
from topics.errors import Code
from topics.messages import (
    CancelExecution,
    CapabilityResult,
    ExecuteRequest,
    ExecutionStatus,
    ResultMetadata,
)
from topics.table import CAPABILITY_RESULTS, DEAD_LETTERS, EXECUTION_REQUESTS

TIMEOUT_S = 60.0
ECHO = {"capability": "probe.echo", "as": "first", "args": {"value": 1}}
integration = pytest.mark.integration


def faults(*steps: dict[str, Any], **more: Any) -> str:
    data = orjson.loads(pattern("bad", *steps)) | more
    with pytest.raises(PatternFaults) as refused:
        compile_pattern(orjson.dumps(data), catalogue(), "bad.json")
    return str(refused.value)


@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_timeout_that_is_not_positive_is_refused_with_its_place(seconds: float) -> None:
    assert "/steps/0/timeout_s" in faults({**ECHO, "timeout_s": seconds})
    assert "/deadline_s" in faults(ECHO, deadline_s=seconds)
    assert "/steps/0/retry/backoff_s" in faults({**ECHO, "retry": {"attempts_max": 2, "backoff_s": -1}})


def test_a_request_with_a_negative_deadline_or_a_nul_in_its_name_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="deadline_s"):
        request(deadline_s=-1)
    with pytest.raises(ValidationError, match="request_id"):
        request(request_id="nul\x00byte")


@integration
@pytest.mark.parametrize(("name", "value"), [("deadline_s", -1), ("pattern_id", ""), ("inputs", []), ("v", 2)])
async def test_a_request_that_says_whose_it_is_is_answered_though_it_is_invalid(
    system: System, name: str, value: Any
) -> None:
    asked = request()
    body = orjson.dumps({**orjson.loads(encode(asked)), name: value})
    for _ in range(2):
        await system.producer.send_and_wait(system.topic(EXECUTION_REQUESTS), body, b"any key")
    key = key_of(execution_id_of(asked.tenant, asked.request_id))
    result = await system.result(key)
    assert result.request_id == asked.request_id
    assert result.status is ExecutionStatus.REJECTED and result.error is not None
    assert result.error.code is Code.INVALID_REQUEST and f"/{name}" in result.error.message
    # The valid request under the same id comes too late: the id is used. What was published before is not its answer.
    async with asyncio.timeout(TIMEOUT_S):
        while key not in system.client.results._seen:  # noqa: ASYNC110 - nobody waits for it yet
            await asyncio.sleep(0.01)
    late = await system.client.execute(asked, TIMEOUT_S)
    assert late.error is not None and late.error.code is Code.REQUEST_CONFLICT


@integration
async def test_requests_that_are_none_become_dead_letters_that_say_why(system: System) -> None:
    body = orjson.loads(encode(request()))
    for number, (name, value) in enumerate((("request_id", "nul\x00byte"), ("tenant", "no tenant"), ("user_id", 7))):
        key = f"bad {number} {body['request_id']}".encode()
        await system.producer.send_and_wait(system.topic(EXECUTION_REQUESTS), orjson.dumps({**body, name: value}), key)
        letters = await system.read_until(DEAD_LETTERS, lambda found, key=key: any(r.key == key for r in found))
        headers = dict(next(letter.headers for letter in letters if letter.key == key))
        assert headers[dlq.STAGE] == b"decode" and name.encode() in headers[dlq.REASON]


@integration
async def test_a_foreach_over_what_is_no_list_or_too_long_fails_and_says_what_came(system: System) -> None:
    long = await system.client.execute(request("each_of_a_stored_list", inputs={"value": 10_001}), TIMEOUT_S)
    assert long.status is ExecutionStatus.FAILED and long.error is not None
    assert "expected at most 10000 items" in long.error.message and "10001" in long.error.message
    other = await system.client.execute(request("each_of_what_is_no_list"), TIMEOUT_S)
    assert other.status is ExecutionStatus.FAILED and other.error is not None
    assert "expected a list" in other.error.message


def answer(execution_id: str, step_id: str, **fields: Any) -> CapabilityResult:
    return CapabilityResult(execution_id=execution_id, tenant="acme", step_id=step_id, attempt=1, **fields)


async def send(system: System, topic: str, message: Any) -> None:
    key = key_of(message.execution_id)
    number = partition_of(key, system.settings.partitions)
    await system.producer.send_and_wait(system.topic(topic), encode(message), key, number)


async def counted(system: System, note: Note, before: int) -> None:
    """Return once one more event was ignored for this reason; the test's timeout bounds it."""
    assert system.worker is not None
    ignored = system.worker.processor.census.ignored
    while ignored[note] <= before:
        await system.client.execute(request(), TIMEOUT_S)


@integration
async def test_answers_nobody_asked_for_are_counted_and_change_nothing(system: System) -> None:
    assert system.worker is not None
    ignored = system.worker.processor.census.ignored
    before = ignored[Note.UNKNOWN_EXECUTION]
    stranger = request()
    await send(system, CAPABILITY_RESULTS, answer(execution_id_of("acme", stranger.request_id), "first", value=1))
    await counted(system, Note.UNKNOWN_EXECUTION, before)
    # It may begin later as if nothing had been.
    assert (await system.client.execute(stranger, TIMEOUT_S)).status is ExecutionStatus.SUCCEEDED

    system.probe.go_on.clear()
    slow = request("slow")
    execution_id = await system.client.submit(slow)
    await system.read_until(
        "capability-requests.probe", lambda found: any(r.key == key_of(execution_id) for r in found)
    )
    before = ignored[Note.UNKNOWN_STEP]
    await send(system, CAPABILITY_RESULTS, answer(execution_id, "no_such_step", value=1))
    await counted(system, Note.UNKNOWN_STEP, before)
    before = ignored[Note.NOT_THE_OWNER]
    foreign = answer(execution_id, "answer", value="forged").model_copy(update={"tenant": "other"})
    await send(system, CAPABILITY_RESULTS, foreign)
    await counted(system, Note.NOT_THE_OWNER, before)
    system.probe.go_on.set()
    result = await system.client.execute(slow, TIMEOUT_S)
    assert result.data == {"answer": "at last"}
    before = ignored[Note.LATE]
    await send(system, CAPABILITY_RESULTS, answer(execution_id, "answer", value="too late"))
    await counted(system, Note.LATE, before)


@integration
async def test_an_answer_of_a_version_that_was_not_asked_for_fails_its_step(system: System) -> None:
    system.probe.go_on.clear()
    slow = request("slow")
    execution_id = execution_id_of("acme", slow.request_id)
    metadata = ResultMetadata(agent="probe", agent_version="9", version=7, started_at_ms=1, finished_at_ms=2)

    await system.client.submit(slow)
    topic = "capability-requests.probe"
    records = await system.read_until(topic, lambda found: any(r.key == key_of(execution_id) for r in found))
    step_id = orjson.loads(next(r.value for r in records if r.key == key_of(execution_id)))["step_id"]
    await send(system, CAPABILITY_RESULTS, answer(execution_id, step_id, value="wrong", metadata=metadata))
    results = await system.read_until(
        "execution-results", lambda found: any(r.key == key_of(execution_id) for r in found)
    )
    body = orjson.loads(next(r.value for r in results if r.key == key_of(execution_id)))
    system.probe.go_on.set()
    assert body["status"] == "failed" and body["error"]["code"] == Code.CODE_VERSION_UNAVAILABLE
    assert body["error"]["message"].endswith("probe.slow was asked for in version 1, the answer is of version 7")


@integration
async def test_cancels_of_unknown_and_finished_executions(system: System) -> None:
    assert system.worker is not None
    census = system.worker.processor.census
    asked: ExecuteRequest = request()
    execution_id = execution_id_of("acme", asked.request_id)
    cancel = CancelExecution(execution_id=execution_id, tenant="acme", user_id=USER, reason="before it came")
    before = census.early_cancels
    for _ in range(2):
        await system.client.cancel(cancel)
    while census.early_cancels <= before:
        await system.client.execute(request(), TIMEOUT_S)
    assert census.early_cancels == before + 1
    result = await system.client.execute(asked, TIMEOUT_S)
    assert result.status is ExecutionStatus.CANCELLED
    assert result.error is not None and result.error.message == "before it came"
    late = census.ignored[Note.LATE]
    await system.client.cancel(cancel)
    await counted(system, Note.LATE, late)


@integration
async def test_a_finished_execution_is_answered_from_the_store_and_another_body_by_a_conflict(system: System) -> None:
    asked = request(inputs={"value": 1})
    first = await system.client.execute(asked, TIMEOUT_S)
    looked: list[str] = []

    async def stored(execution_id: str) -> Any:
        looked.append(execution_id)
        return first if len(looked) > 1 else None

    assert await system.client.execute(asked, TIMEOUT_S, stored=stored) == first
    assert looked == [first.execution_id] * 2
    other = await system.client.execute(asked.model_copy(update={"inputs": {"value": 2}}), TIMEOUT_S)
    assert other.status is ExecutionStatus.REJECTED
    assert other.error is not None and other.error.code is Code.REQUEST_CONFLICT
