"""Upgrade and rollback: all workers are started again with other files while executions wait, run and come."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import orjson
import pytest

from local.embedded import Addresses
from settings import Settings
from streams.durable.fence import PREFIX_BYTES, Fence
from streams.failstop import EXIT_FAIL_STOP
from streams.publisher import ExecutionClient
from streams.routing import partition_of
from streams.topics_admin import create_topics
from tests.streams.process import Process
from tests.streams.releases import NextProbe
from tests.streams.system import (
    DAY,
    Probe,
    System,
    agent_running,
    read_all,
    request,
    wait_gate,
)
from topics.codec import execution_id_of, key_of
from topics.errors import Code
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus, PackRef, PackStatus
from topics.table import STATE_CHANGELOG

pytestmark = pytest.mark.integration

RELEASES: Mapping[str, tuple[str, type[Probe]]] = {
    "former": ("tests.streams.system", Probe),
    "next": ("tests.streams.releases", NextProbe),
}
TIMEOUT_S = 60.0


@pytest.fixture
def settings(service_settings: Settings) -> Settings:
    return service_settings.model_copy(update={"partitions": 2})


@asynccontextmanager
async def released(services: Addresses, settings: Settings, name: str) -> AsyncIterator[System]:
    """Run orchestrator and agent of one release; at the end the orchestrator goes first."""
    module, agent = RELEASES[name]
    orchestrator = Process(services, settings, name, ("-m", module))
    probe = agent()
    await orchestrator.start()
    try:
        async with agent_running(settings, probe) as (producer, _, _), ExecutionClient(settings, "test") as client:
            await orchestrator.ready()
            yield System(settings, probe, client, producer)
            await orchestrator.end(signal.SIGTERM)
            # What it is asked for now is answered while nobody reads the answer.
            probe.go_on.set()
    finally:
        await orchestrator.end(signal.SIGKILL)


def warming() -> PackRef:
    return PackRef(pack_id=uuid4(), policy="test", asof_date=DAY, revision=1, status=PackStatus.WARMING)


async def under_way(system: System, status: bytes, *asked: ExecuteRequest) -> None:
    """Submit, and return when the state of each says that it is in a status."""
    keys = {key_of(execution_id_of(one.tenant, one.request_id)) for one in asked}
    for one in asked:
        await system.client.submit(one)
    said = b'"s":"%s"' % status
    await system.read_until(
        STATE_CHANGELOG, lambda found: keys <= {r.key for r in found if r.value is not None and said in r.value}
    )


async def finish(system: System, asked: ExecuteRequest) -> ExecutionResult:
    """Submit, the same request again being the same execution, and return its result, though it is published already.

    A started orchestrator publishes at once what it can end, perhaps before anybody asks here: so the topic is read
    from its beginning.
    """
    return await system.result(key_of(await system.client.submit(asked)), TIMEOUT_S)


async def test_executions_end_as_they_began_through_upgrade_and_rollback(
    services: Addresses, settings: Settings
) -> None:
    await create_topics(settings, ["probe"])
    pack = warming()
    fresh = pack.model_copy(update={"status": PackStatus.FRESH, "content_sha256": "ab" * 32})
    parked, echo, gone = request("pinned", gate=wait_gate()), request("slow_then_echo"), request("slow_then_list")
    left = request("slow_then_leave")
    async with released(services, settings, "former") as system:
        system.probe.pack = pack
        await system.publish_pack(pack)
        await under_way(system, b"waiting_for_pack", parked)
        await under_way(system, b"running", echo, gone, left)

    later = request("pinned", gate=wait_gate())
    async with released(services, settings, "next") as system:
        system.probe.pack, system._pack_seq = fresh, 1
        waiting = [asyncio.create_task(finish(system, one)) for one in (parked, echo, gone, left)]
        await system.publish_pack(fresh)
        was_parked, echoed, failed, without = await asyncio.gather(*waiting)
        # The text it began with has one step, and the version it began with marks nothing.
        assert was_parked.data["answer"] == {"pack": str(pack.pack_id), "stale": False}
        assert echoed.data == {"answer": "at last"}
        assert echoed.trace.capabilities == {"probe.echo": 1, "probe.slow": 1}
        # A version nobody has any more is not replaced by another one.
        assert failed.status is ExecutionStatus.FAILED
        assert failed.error is not None and failed.error.code is Code.CODE_VERSION_UNAVAILABLE
        # Nor is a capability nobody has any more; what it needed before that goes on.
        assert without.error is not None and without.error.code is Code.CODE_VERSION_UNAVAILABLE
        assert "probe.leave" in without.error.message
        assert [(step.step_id, step.success) for step in without.trace.steps] == [("waited", True), ("answer", False)]
        assert without.trace.capabilities == {"probe.leave": 1, "probe.slow": 1}
        system.probe.go_on.set()
        again = [await finish(system, request(name)) for name in ("pinned", "slow_then_echo", "slow_then_list")]
        assert [result.data["answer"] for result in again] == ["False?", "at last!", [{"name": "another"}]]
        assert again[1].trace.pattern_digest == echoed.trace.pattern_digest
        assert again[1].trace.capabilities == {"probe.echo": 2, "probe.slow": 1}
        other = warming()
        system.probe.pack = other
        await under_way(system, b"waiting_for_pack", later)

    async with released(services, settings, "former") as system:
        # Rolled back, with the text of the newer release, whose version of a capability the former one does not have.
        system.probe.pack, system._pack_seq = other, 2
        waiting = [asyncio.create_task(finish(system, later))]
        await system.publish_pack(other.model_copy(update={"status": PackStatus.FRESH, "content_sha256": "cd" * 32}))
        (refused,) = await asyncio.gather(*waiting)
        assert refused.error is not None and refused.error.code is Code.CODE_VERSION_UNAVAILABLE
        assert [step.step_id for step in refused.trace.steps if step.success] == ["$resolve", "pinned"]
        assert (await finish(system, request())).data == {"second": 1}


async def test_rows_of_a_newer_release_stop_an_older_worker_and_stay_as_they_are(
    services: Addresses, settings: Settings
) -> None:
    await create_topics(settings, ["probe"])
    key = key_of(execution_id_of("acme", "of tomorrow"))
    row = Fence(1).next_prefix() + orjson.dumps({"v": 2, "what": "only tomorrow knows"})
    async with agent_running(settings, Probe()) as (producer, _, _):
        topic = f"{settings.topic_prefix}{STATE_CHANGELOG}"
        await producer.send_and_wait(topic, row, key, partition_of(key, settings.partitions))
    older = Process(services, settings, "older")
    await older.start()
    try:
        assert await older.ended() == EXIT_FAIL_STOP
    finally:
        await older.end(signal.SIGKILL)
    assert f"execution {key.decode()} was written by a newer release" in older.log
    assert [r.value[PREFIX_BYTES:] for r in await read_all(settings, STATE_CHANGELOG) if r.key == key] == [
        row[PREFIX_BYTES:]
    ]
