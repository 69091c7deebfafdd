"""The orchestrator with a real agent on real Kafka, in this process."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import aiokafka
import pytest
from faust.types import TP

from streams import dead_letter as dlq
from streams.durable import transport
from streams.headers import FORWARDED
from streams.orchestrator import addressed
from streams.routing import partition_of
from tests.streams.system import DAY, USER, System, request, wait_gate
from topics.codec import encode, execution_id_of, key_of
from topics.errors import Code
from topics.examples import examples
from topics.messages import (
    CancelExecution,
    CapabilityRequest,
    ExecutionStatus,
    Gate,
    GatePolicy,
    PackRef,
    PackStatus,
)
from topics.table import (
    CAPABILITY_RESULTS,
    DEAD_LETTERS,
    EXECUTION_REQUESTS,
    EXECUTION_RESULTS,
    EXECUTION_SIGNALS,
    capability_requests,
)

pytestmark = pytest.mark.integration

TIMEOUT_S = 30.0


def pack(status: PackStatus, revision: int = 1) -> PackRef:
    digest = None if status is PackStatus.WARMING else "ab" * 32
    return PackRef(
        pack_id=uuid4(), policy="test", asof_date=DAY, revision=revision, status=status, content_sha256=digest
    )


async def results_of(system: System, *execution_ids: str) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {execution_id: [] for execution_id in execution_ids}
    for record in await system.read(EXECUTION_RESULTS):
        if record.key.decode() in found:
            found[record.key.decode()].append(record.value)
    return found


async def letter_with(system: System, value: bytes) -> dict[str, bytes]:
    """The headers of the dead letter with these bytes, as soon as it is there."""
    records = await system.read_until(DEAD_LETTERS, lambda found: any(record.value == value for record in found))
    return dict(next(record.headers for record in records if record.value == value))


async def test_an_execution_runs_and_its_headers_come_back(system: System) -> None:
    seen: list[tuple[str, str]] = []
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    asked = request(inputs={"value": 42})
    result = await system.client.execute(
        asked, TIMEOUT_S, lambda step, status: seen.append((step, status)), headers=[("traceparent", trace)]
    )
    assert result.status is ExecutionStatus.SUCCEEDED
    assert result.data == {"second": 42}
    assert ("first", "requested") in seen and ("second", "succeeded") in seen
    execution_id = execution_id_of(asked.tenant, asked.request_id)
    records = [r for r in await system.read(EXECUTION_RESULTS) if r.key == key_of(execution_id)]
    assert [dict(record.headers) for record in records] == [{"traceparent": trace}]
    assert records[0].partition == partition_of(records[0].key, system.settings.partitions)


async def test_a_request_may_come_with_any_key_on_any_partition(system: System) -> None:
    asked = [request() for _ in range(6)]
    waiting = {execution_id_of(r.tenant, r.request_id) for r in asked}
    topic = system.topic(EXECUTION_REQUESTS)
    for number, one in enumerate(asked):
        key = None if number % 2 else b"customer-17"
        await system.producer.send_and_wait(topic, encode(one), key, partition=number % system.settings.partitions)
    keys = {key_of(execution_id) for execution_id in waiting}
    records = await system.read_until(EXECUTION_RESULTS, lambda found: keys <= {record.key for record in found})
    assert {r.partition == partition_of(r.key, system.settings.partitions) for r in records if r.key in keys} == {True}


async def test_the_same_request_twice_is_one_execution_and_another_body_is_a_conflict(system: System) -> None:
    first = request(inputs={"value": 1})
    await asyncio.gather(*(system.client.submit(first) for _ in range(3)))
    execution_id = execution_id_of(first.tenant, first.request_id)
    await system.read_until(EXECUTION_RESULTS, lambda found: any(r.key == key_of(execution_id) for r in found))
    # Also after it has ended.
    await system.client.submit(first)
    other = first.model_copy(update={"inputs": {"value": 2}})
    await system.client.submit(other)
    records = await system.read_until(
        EXECUTION_RESULTS, lambda found: any(b"REQUEST_CONFLICT" in record.value for record in found)
    )
    conflict = next(record for record in records if b"REQUEST_CONFLICT" in record.value)
    assert conflict.key != key_of(execution_id)
    # Everything before the conflict in this partition was processed by now.
    assert len((await results_of(system, execution_id))[execution_id]) == 1


async def test_a_request_older_than_the_retention_is_expired_and_its_id_is_taken(system: System) -> None:
    old = request(inputs={"value": 1})
    age = timedelta(seconds=system.settings.retention_s + 1)
    expired = await system.client.execute(
        old.model_copy(update={"submitted_at": old.submitted_at - age, "request_id": "of long ago"}), TIMEOUT_S
    )
    assert expired.status is ExecutionStatus.REJECTED
    assert expired.error is not None and expired.error.code is Code.REQUEST_EXPIRED
    assert all(step.attempts == 0 for step in expired.trace.steps)
    # What it was answered is remembered like any answer: the same id with another body is a conflict.
    other = await system.client.execute(
        old.model_copy(update={"request_id": "of long ago", "inputs": {"value": 2}}), 10
    )
    assert other.error is not None and other.error.code is Code.REQUEST_CONFLICT


async def test_an_unknown_pattern_is_rejected(system: System) -> None:
    result = await system.client.execute(request("no_such_pattern"), TIMEOUT_S)
    assert result.status is ExecutionStatus.REJECTED
    assert result.error is not None and result.error.code is Code.UNKNOWN_PATTERN


async def test_poison_on_every_topic_becomes_dead_letters_and_work_goes_on(system: System) -> None:
    good = encode(request())
    poison = {
        (EXECUTION_REQUESTS, "malformed"): b"{not json " + uuid4().bytes,
        (EXECUTION_REQUESTS, "truncated"): good[: len(good) // 2],
        (EXECUTION_REQUESTS, "wrong type"): encode(
            CancelExecution(execution_id=str(uuid4()), tenant="acme", user_id=USER)
        ),
        (EXECUTION_REQUESTS, "oversized"): encode(request(inputs={"value": 1, "pad": "x" * 30_000})),
        (CAPABILITY_RESULTS, "malformed"): b"[1, 2 " + uuid4().bytes,
        (EXECUTION_SIGNALS, "wrong type"): encode(request()),
        (capability_requests("probe"), "malformed"): b"\xff\xfe" + uuid4().bytes,
    }
    for (topic, _), value in poison.items():
        await system.producer.send_and_wait(
            system.topic(topic), value, b"some key", partition=1, headers=[("sender", b"test")]
        )
    for (topic, what), value in poison.items():
        headers = await letter_with(system, value)
        assert headers[dlq.ORIGIN_TOPIC].decode() == system.topic(topic), what
        assert headers[dlq.STAGE] == b"decode", what
        assert headers[dlq.ORIGIN_PARTITION] == b"1"
        assert headers["sender"] == b"test"
        assert headers[dlq.REASON]
    assert b"at most 20000 bytes" in (await letter_with(system, poison[EXECUTION_REQUESTS, "oversized"]))[dlq.REASON]
    assert (await system.client.execute(request(), TIMEOUT_S)).status is ExecutionStatus.SUCCEEDED


async def test_requests_may_come_in_transactions_and_aborted_ones_do_not_count(system: System) -> None:
    producer = aiokafka.AIOKafkaProducer(
        **system.settings.kafka_address().client_kwargs(), transactional_id=system.settings.topic_prefix + "upstream"
    )
    await producer.start()
    try:
        topic, kept, dropped = system.topic(EXECUTION_REQUESTS), [], []
        for number in range(6):
            one = request()
            (dropped if number % 3 == 1 else kept).append(execution_id_of(one.tenant, one.request_id))
            await producer.begin_transaction()
            await producer.send_and_wait(topic, encode(one), partition=0)
            await (producer.abort_transaction() if number % 3 == 1 else producer.commit_transaction())
    finally:
        await producer.stop()
    keys = {key_of(execution_id) for execution_id in kept}
    records = await system.read_until(EXECUTION_RESULTS, lambda found: keys <= {record.key for record in found})
    assert not {key_of(execution_id) for execution_id in dropped} & {record.key for record in records}


async def test_records_missing_on_the_way_stop_the_process(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    def stop(reason: str, error: BaseException | None = None) -> None:
        raise Stopped(reason)

    await system.client.execute(request(), TIMEOUT_S)
    ours = await system.read(EXECUTION_REQUESTS)
    last = max(ours, key=lambda record: record.offset)
    monkeypatch.setattr(transport, "fail_stop", stop)
    place = TP(last.topic, last.partition)
    with pytest.raises(
        Stopped, match=f"expected offset {last.offset}, got {last.offset + 5}, {last.offset} was skipped"
    ):
        await system.app.consumer._check_gap(place, last.offset, last.offset + 5)


async def test_a_tombstone_is_a_dead_letter(system: System) -> None:
    key = uuid4().hex.encode()
    await system.producer.send_and_wait(system.topic(EXECUTION_SIGNALS), None, key, partition=0)
    records = await system.read_until(DEAD_LETTERS, lambda found: any(record.key == key for record in found))
    assert next(record.value for record in records if record.key == key) is None


async def test_a_message_on_the_wrong_partition_is_forwarded_once(system: System) -> None:
    system.probe.pack = pack(PackStatus.WARMING)
    waiting = request("pinned", gate=wait_gate())
    running = asyncio.create_task(system.client.execute(waiting, TIMEOUT_S))
    execution_id = execution_id_of(waiting.tenant, waiting.request_id)
    await requested(system, execution_id, "$resolve")
    wrong = (partition_of(key_of(execution_id), system.settings.partitions) + 1) % system.settings.partitions
    topic = system.topic(EXECUTION_SIGNALS)
    cancel = encode(CancelExecution(execution_id=execution_id, tenant="acme", user_id=USER, reason="second"))
    mark = [(FORWARDED, b"elsewhere/0/0")]
    await system.producer.send_and_wait(topic, cancel, key_of(execution_id), partition=wrong, headers=mark)
    assert (await letter_with(system, cancel))[dlq.STAGE] == b"route"
    assert not running.done()
    first = encode(CancelExecution(execution_id=execution_id, tenant="acme", user_id=USER, reason="first"))
    await system.producer.send_and_wait(topic, first, key_of(execution_id), partition=wrong)
    assert (await running).status is ExecutionStatus.CANCELLED


async def requested(system: System, execution_id: str, step_id: str) -> None:
    """Return when a step of an execution was asked for."""
    needle = f'"step_id":"{step_id}"'.encode()
    await system.read_until(
        capability_requests("probe"),
        lambda found: any(r.key == key_of(execution_id) and needle in r.value for r in found),
    )


async def test_a_warming_pack_rejects_waits_or_serves_the_previous_one(system: System) -> None:
    warming, previous = pack(PackStatus.WARMING), pack(PackStatus.FRESH)
    system.probe.pack, system.probe.previous = warming, previous
    rejected = await system.client.execute(request("pinned", gate=Gate(policy=GatePolicy.REJECT)), TIMEOUT_S)
    assert rejected.status is ExecutionStatus.REJECTED
    assert rejected.error is not None and rejected.error.code is Code.PACK_WARMING
    stale = await system.client.execute(request("pinned", gate=Gate(policy=GatePolicy.SERVE_STALE)), TIMEOUT_S)
    assert stale.data["answer"] == {"pack": str(previous.pack_id), "stale": True}
    assert [panel.status for panel in stale.trace.per_panel_staleness] == ["stale"]


async def test_a_pack_made_fresh_opens_the_gate_of_all_who_wait_and_of_those_who_come_late(system: System) -> None:
    warming = pack(PackStatus.WARMING)
    system.probe.pack, system.probe.previous = warming, None
    await system.publish_pack(warming)
    asked = [request("pinned", gate=wait_gate()) for _ in range(8)]
    parked = [asyncio.create_task(system.client.execute(one, TIMEOUT_S)) for one in asked[:7]]
    for one in asked[:7]:
        await requested(system, execution_id_of(one.tenant, one.request_id), "$resolve")
    assert not any(task.done() for task in parked)
    fresh = warming.model_copy(update={"status": PackStatus.FRESH, "content_sha256": "cd" * 32})
    await system.publish_pack(fresh)
    answers = await asyncio.gather(*parked)
    # The agent still answers "warming": an event between resolve and parking is not missed.
    answers.append(await system.client.execute(asked[7], TIMEOUT_S))
    for answer in answers:
        assert answer.status is ExecutionStatus.SUCCEEDED, answer.error
        assert answer.data["answer"] == {"pack": str(warming.pack_id), "stale": False}


async def test_waiting_ends_when_its_time_is_up(system: System) -> None:
    system.probe.pack, system.probe.previous = pack(PackStatus.WARMING), None
    result = await system.client.execute(request("pinned", gate=wait_gate(0.3)), TIMEOUT_S)
    assert result.status is ExecutionStatus.REJECTED
    assert result.error is not None and result.error.code is Code.PACK_WARMING


async def test_a_deadline_is_kept_by_a_timer(system: System) -> None:
    system.probe.pack, system.probe.previous = pack(PackStatus.WARMING), None
    result = await system.client.execute(request("pinned", gate=wait_gate(), deadline_s=0.4), TIMEOUT_S)
    assert result.status is ExecutionStatus.TIMED_OUT


async def test_an_answer_that_is_too_large_is_an_error(system: System) -> None:
    result = await system.client.execute(request("huge"), TIMEOUT_S)
    assert result.status is ExecutionStatus.FAILED
    assert result.error is not None and result.error.code is Code.OUTPUT_TOO_LARGE


async def test_an_agent_does_not_start_what_is_past_its_deadline(system: System) -> None:
    execution_id = str(uuid4())
    home = partition_of(key_of(execution_id), system.settings.partitions)
    late = CapabilityRequest(
        execution_id=execution_id,
        tenant="acme",
        user_id=USER,
        step_id="late",
        attempt=1,
        capability="probe.echo",
        version=1,
        args={"value": 1},
        deadline_at_ms=1,
        idempotency_key="late",
        reply_partition=home,
    )
    topic = system.topic(capability_requests("probe"))
    elsewhere = (home + 1) % system.settings.partitions
    await system.producer.send_and_wait(topic, encode(late), key_of(late.execution_id), partition=elsewhere)
    key = key_of(late.execution_id)
    records = await system.read_until(CAPABILITY_RESULTS, lambda found: any(r.key == key for r in found))
    answer = next(record for record in records if record.key == key)
    assert answer.partition == home
    # Only this attempt's time was over: whether there is another one is the engine's decision.
    assert b"STEP_TIMEOUT" in answer.value and b'"retryable":true' in answer.value


def test_a_request_is_addressed_as_if_encoded_with_its_partition() -> None:
    asked = examples()["CapabilityRequest"]
    assert isinstance(asked, CapabilityRequest)
    for given, partition in ((0, 0), (0, 7), (0, 1023)):
        unaddressed = asked.model_copy(update={"reply_partition": given})
        assert addressed(unaddressed, partition) == encode(asked.model_copy(update={"reply_partition": partition}))
