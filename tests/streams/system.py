"""A whole engine for the tests: orchestrator and agent on real Kafka, with an agent the tests steer.

`python -m tests.streams.system` runs just the orchestrator, as a process that can be killed. SIGUSR1 cuts it off from
its group's coordinator, and from nothing else; a second one ends that.
"""

import asyncio
import logging
import signal
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import aiokafka
import orjson

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from agents.runtime import AgentRuntime, catalogue_of
from db.memory import MemoryArtifacts
from orchestrator.catalogue import Catalogue
from orchestrator.registry import PatternRegistry
from settings import Settings, load_settings
from streams.agent_worker import AgentWorker
from streams.app import OrchestratorWorker
from streams.clients import start_consumer, start_producer, topic_name
from streams.publisher import ExecutionClient
from streams.topics_admin import create_topics
from topics.codec import decode
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import (
    ExecuteRequest,
    ExecutionResult,
    Gate,
    GatePolicy,
    PackEvent,
    PackRef,
    PackStatus,
    Resolution,
)
from topics.table import EXECUTION_RESULTS, PACK_EVENTS

USER = UUID(int=7)
DAY = date(2024, 5, 17)


def pattern(name: str, *steps: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "id": name,
            "name": name,
            "description": "For tests.",
            "category": "analysis",
            "inputs": {"value": {"type": "integer", "required": False, "default": 1}},
            "steps": list(steps),
            "outputs": [steps[-1]["as"]],
        }
    )


ECHO = {"capability": "probe.echo", "as": "first", "args": {"value": "{{inputs.value}}"}}


def written(name: str) -> dict[str, Any]:
    undo = {"capability": "probe.erase", "args": {"name": f"{{{{state.{name}}}}}"}}
    return {"capability": "probe.write", "as": name, "args": {"name": name}, "compensate": undo}


PATTERNS = {
    "two_echoes": pattern(
        "two_echoes", ECHO, {"capability": "probe.echo", "as": "second", "args": {"value": "{{state.first}}"}}
    ),
    "pinned": pattern("pinned", {"capability": "probe.pinned", "as": "answer", "args": {}}),
    "huge": pattern("huge", {"capability": "probe.huge", "as": "answer", "args": {}}),
    "slow_then_echo": pattern(
        "slow_then_echo",
        {"capability": "probe.slow", "as": "waited", "args": {}},
        {"capability": "probe.echo", "as": "answer", "args": {"value": "{{state.waited}}"}},
    ),
    "slow_then_list": pattern(
        "slow_then_list",
        {"capability": "probe.slow", "as": "waited", "args": {}},
        {"capability": "probe.list", "as": "answer", "args": {"count": 1}},
    ),
    "slow_then_leave": pattern(
        "slow_then_leave",
        {"capability": "probe.slow", "as": "waited", "args": {}},
        {"capability": "probe.leave", "as": "answer", "args": {"value": "{{state.waited}}"}},
    ),
    "slow": pattern("slow", {"capability": "probe.slow", "as": "answer", "args": {}}),
    "undone": pattern(
        "undone",
        written("one"),
        written("two"),
        {"capability": "probe.fail", "as": "last", "args": {}},
    ),
    "each_of_what_is_no_list": pattern(
        "each_of_what_is_no_list",
        {"capability": "probe.echo", "as": "names", "args": {"value": {"no": "list"}}},
        {"capability": "probe.echo", "as": "echoes", "foreach": "state.names", "args": {"value": "{{item}}"}},
    ),
    "each_of_a_stored_list": pattern(
        "each_of_a_stored_list",
        {"capability": "probe.list", "as": "names", "args": {"count": "{{inputs.value}}"}},
        {
            "capability": "probe.echo",
            "as": "echoes",
            "foreach": "state.names",
            "concurrency_max": 50,
            "args": {"value": "{{item.name}}"},
        },
    ),
}


class Probe(BaseAgent):
    """Answers what the tests want."""

    name = "probe"

    def __init__(self) -> None:
        self.pack = PackRef(pack_id=uuid4(), policy="test", asof_date=DAY, revision=1, status=PackStatus.FRESH)
        self.previous: PackRef | None = None
        self.resolved = 0
        self.written: list[str] = []
        self.erased: list[str] = []
        self.erasable = True
        self.go_on = asyncio.Event()

    @capability("context.resolve", timeout_s=10)
    async def resolve(
        self,
        context: CapabilityContext,
        portfolio_id: str | None = None,
        asof: str | None = None,
        pack_id: str | None = None,
        ledger_commit: str | None = None,
    ) -> dict[str, Any]:
        """Resolve to the pack of the test."""
        self.resolved += 1
        found = Resolution(asof=DAY, base_ccy="CAD", pack=self.pack, previous_fresh=self.previous)
        return found.model_dump(mode="json")

    @capability("probe.echo")
    async def echo(self, context: CapabilityContext, value: Any = None) -> Any:
        """Return the argument."""
        return value

    @capability("probe.pinned", needs=("pack",))
    async def pinned(self, context: CapabilityContext) -> dict[str, Any]:
        """Return the pack it was pinned to."""
        assert context.pins is not None
        return {"pack": str(context.pins.pricing_pack_id), "stale": context.pins.stale}

    @capability("probe.write")
    async def write(self, context: CapabilityContext, name: str) -> str:
        """Have an effect that can be undone."""
        self.written.append(name)
        return name

    @capability("probe.erase", retry=Retry(attempts_max=2, backoff_s=0.05))
    async def erase(self, context: CapabilityContext, name: str) -> str:
        """Undo it, if the test lets it."""
        if not self.erasable:
            raise RetryableError(Code.UPSTREAM_FAILED, f"{name} cannot be erased now")
        self.erased.append(name)
        return name

    @capability("probe.fail")
    async def fail(self, context: CapabilityContext) -> None:
        """Fail for good."""
        raise TerminalError(Code.INVALID_ARGS, "as the test wants")

    @capability("probe.slow", timeout_s=20)
    async def slow(self, context: CapabilityContext) -> str:
        """Answer when the test says so."""
        await self.go_on.wait()
        return "at last"

    @capability("probe.list")
    async def names(self, context: CapabilityContext, count: int) -> list[dict[str, str]]:
        """Return a list too long for a message."""
        return [{"name": f"name {number}", "padding": "x" * 30} for number in range(count)]

    @capability("probe.leave")
    async def leave(self, context: CapabilityContext, value: str) -> str:
        """Return the argument; the next release no longer has this."""
        return value

    @capability("probe.huge")
    async def huge(self, context: CapabilityContext) -> str:
        """Return more than the artifact store takes."""
        return "x" * (21 * 1024 * 1024)


def catalogue() -> Catalogue:
    return Catalogue.from_json(catalogue_of([Probe]))


def registry() -> PatternRegistry:
    return PatternRegistry.compile(PATTERNS.items(), catalogue())


def request(pattern_id: str = "two_echoes", request_id: str | None = None, **fields: Any) -> ExecuteRequest:
    return ExecuteRequest(
        tenant="acme",
        request_id=request_id or uuid4().hex,
        user_id=USER,
        pattern_id=pattern_id,
        submitted_at=datetime.now(UTC),
        **fields,
    )


def wait_gate(seconds: float = 60) -> Gate:
    return Gate(policy=GatePolicy.WAIT, wait_s=seconds)


class System:
    """Handles to a running engine."""

    def __init__(self, settings: Settings, probe: Probe, client: ExecutionClient, producer: Any) -> None:
        self.settings = settings
        self.probe = probe
        self.client = client
        self.producer = producer
        self.app: Any = None
        self.worker: OrchestratorWorker | None = None
        self.agent: Any = None
        self.runtime: Any = None
        self._pack_seq = 0

    def topic(self, name: str) -> str:
        return topic_name(self.settings, name)

    async def publish_pack(self, pack: PackRef) -> None:
        self._pack_seq += 1
        event = PackEvent(pack=pack, seq=self._pack_seq)
        data = event.model_dump_json().encode()
        await self.producer.send_and_wait(self.topic(PACK_EVENTS), data, str(pack.pack_id).encode())

    async def read(self, *names: str) -> list[Any]:
        """Everything in some topics now, by topic, partition and offset."""
        return await read_all(self.settings, *names)

    async def read_until(self, name: str, enough: Any, timeout_s: float = 30) -> list[Any]:
        """Follow a topic from its beginning until `enough(records)`."""
        return await read_until(self.settings, name, enough, timeout_s)

    async def result(self, key: bytes, timeout_s: float = 30) -> ExecutionResult:
        """Return the first result under a key, however long ago it was published."""
        found = await self.read_until(EXECUTION_RESULTS, lambda records: any(r.key == key for r in records), timeout_s)
        result = decode(next(r.value for r in found if r.key == key), ExecutionResult)
        assert isinstance(result, ExecutionResult)
        return result


async def read_until(settings: Settings, name: str, enough: Any, timeout_s: float = 30) -> list[Any]:
    """Follow a topic from its beginning until `enough(records)`."""
    consumer = await start_consumer(settings, topic_name(settings, name), client_id="until")
    records: list[Any] = []
    try:
        async with asyncio.timeout(timeout_s):
            while not enough(records):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
    finally:
        await consumer.stop()
    return records


async def read_all(settings: Settings, *names: str) -> list[Any]:
    consumer = await start_consumer(settings, client_id="read")
    try:
        records: list[Any] = []
        partitions = []
        for name in names:
            topic = topic_name(settings, name)
            await consumer._client._wait_on_metadata(topic)
            partitions += [aiokafka.TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for batch in (await consumer.getmany(partition, timeout_ms=500)).values():
                    records += batch
        return records
    finally:
        await consumer.stop()


def by_key(records: Iterable[Any]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = defaultdict(set)
    for record in records:
        found[record.key].add(record.value)
    return found


@asynccontextmanager
async def agent_running(settings: Settings, probe: Probe):
    runtime = AgentRuntime([probe], MemoryArtifacts(), None, None, lambda: int(time.time() * 1000))
    producer = await start_producer(settings, "probe")
    worker = AgentWorker(settings, "probe", runtime.handle, producer, limited=runtime.limits.limited)
    await worker.start()
    try:
        yield producer, worker, runtime
    finally:
        await worker.stop()
        await producer.stop()


@asynccontextmanager
async def running(settings: Settings, *, orchestrator: bool = True):
    await create_topics(settings, ["probe"])
    probe = Probe()
    worker = OrchestratorWorker(settings, registry(), catalogue()) if orchestrator else None
    async with agent_running(settings, probe) as (producer, agent, runtime):
        if worker is not None:
            await worker.start()
        try:
            async with ExecutionClient(settings, "test") as client:
                system = System(settings, probe, client, producer)
                system.app = None if worker is None else worker._app
                system.worker = worker
                system.agent, system.runtime = agent, runtime
                yield system
        finally:
            if worker is not None:
                await worker.stop()


async def serve(registry: PatternRegistry, catalogue: Catalogue) -> None:
    """Run an orchestrator until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings = load_settings(_env_file=None)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    worker = OrchestratorWorker(settings, registry, catalogue)
    await worker.start()
    coordinator: Any = worker._app.consumer._thread._consumer._coordinator
    send = coordinator._send_req

    async def unreachable(request: Any) -> Any:
        raise aiokafka.errors.GroupCoordinatorNotAvailableError

    def cut_off_or_back() -> None:
        coordinator._send_req = send if coordinator._send_req is unreachable else unreachable

    def cut_off_and_blind_or_back() -> None:
        cut_off_or_back()
        # What somebody else writes beside it does not make it join again either.
        worker._app.consumer.rejoin = lambda: None

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, cut_off_and_blind_or_back)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, cut_off_or_back)
    assert settings.ready_file is not None
    settings.ready_file.write_text("ready")
    await worker.run_until(stop)


if __name__ == "__main__":
    asyncio.run(serve(registry(), catalogue()))
