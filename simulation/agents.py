"""Agent workers: the real `AgentWorker` and `AgentRuntime` with an agent whose answers can be computed beforehand."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiokafka
from aiokafka.errors import CommitFailedError

from agents.base import BaseAgent
from agents.breaker import MemoryBreaker
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from agents.runtime import AgentRuntime
from simulation.faults import Kind, Point
from simulation.group import Group
from simulation.log import CAUSE, START_MS, Cause, Producer, Record
from simulation.loop import Process
from streams.agent_worker import AgentWorker
from streams.failstop import PauseWatch
from streams.timers import BrokerClock
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import PackRef, Resolution

if TYPE_CHECKING:
    from simulation.world import World

AGENT = "sim"
PATIENT = Retry(attempts_max=10, backoff_s=0.2, factor=2.0, cap_s=5.0)
_PADDING = "·" * 300
_PAUSE_LIMIT_S = 3.0


class SimAgent(BaseAgent):
    """Steps of simulated executions.

    Args:
        world: where effects stand, and which decides what fails.
        process: the worker it runs in.
    """

    name = AGENT

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process

    async def _toil(self, context: CapabilityContext, *, may_fail: bool = True) -> None:
        """Take a while; sometimes too long, sometimes in vain."""
        world, dice = self._world, self._world.dice.agents
        world.passes(Point.CALL, self._process)
        delay_s = 0.001 + 0.02 * dice.random()
        if world.troubled(Kind.AGENT):
            luck = dice.random()
            if luck < 0.03:
                delay_s = 30.0
            elif luck < 0.1:
                delay_s = 3.0 * dice.random()
            elif may_fail and luck < 0.22:
                raise RetryableError(Code.UPSTREAM_FAILED, "not now", retry_after_s=dice.choice((None, 0.1, 1.0)))
        await asyncio.sleep(delay_s)
        if may_fail and world.service_is_away():
            raise RetryableError(Code.UPSTREAM_FAILED, "the service is away", service="books")

    @capability("sim.add", pure=True, retry=PATIENT, timeout_s=5)
    async def add(self, context: CapabilityContext, left: int, right: int) -> int:
        """Return the sum; pure, so Redis may answer for it."""
        await self._toil(context)
        return left + right

    @capability("sim.work", retry=PATIENT, timeout_s=4, upstreams=("books",))
    async def work(self, context: CapabilityContext, value: int) -> int:
        """Return the argument after a while."""
        await self._toil(context)
        self._world.passes(Point.DONE, self._process)
        return value

    @capability("sim.padded", retry=PATIENT, timeout_s=4)
    async def padded(self, context: CapabilityContext, value: int) -> dict[str, Any]:
        """Return the argument with something that fills state rows."""
        await self._toil(context)
        return {"n": value, "padding": _PADDING}

    @capability("sim.large", retry=PATIENT, timeout_s=5)
    async def large(self, context: CapabilityContext, value: int) -> dict[str, Any]:
        """Return a value that goes to the artifact store."""
        await self._toil(context)
        return {"n": value, "filler": _PADDING * 40}

    @capability("sim.weigh", retry=PATIENT, timeout_s=5)
    async def weigh(self, context: CapabilityContext, value: dict[str, Any]) -> int:
        """Return what is in a large value."""
        await self._toil(context)
        return value["n"]

    @capability("sim.numbers", pure=True, retry=PATIENT, timeout_s=5)
    async def numbers(self, context: CapabilityContext, count: int) -> list[int]:
        """Return 0, 1, …."""
        await self._toil(context)
        return list(range(count))

    @capability("sim.total", pure=True, retry=PATIENT, timeout_s=5)
    async def total(self, context: CapabilityContext, values: list[int | None]) -> int:
        """Return the sum of a list; null counts as nothing."""
        await self._toil(context)
        return sum(value or 0 for value in values)

    @capability("sim.effect", retry=PATIENT, timeout_s=4)
    async def effect(self, context: CapabilityContext, value: int) -> int:
        """Do something to the world, once per idempotency key, in one transaction with remembering the key."""
        await self._toil(context)
        done = self._world.effects.do(context.idempotency_key, value)
        self._world.passes(Point.DONE, self._process)
        return done

    @capability("sim.undo", retry=PATIENT, timeout_s=4)
    async def undo(self, context: CapabilityContext, value: int) -> int:
        """Undo it; if it was not done, keep it from being done later."""
        await self._toil(context)
        execution, _, step = context.idempotency_key.partition("/$undo:")
        self._world.effects.undo(f"{execution}/{step}")
        self._world.passes(Point.DONE, self._process)
        return value

    @capability("sim.refuse", retry=PATIENT, timeout_s=5)
    async def refuse(self, context: CapabilityContext, value: int = 0) -> int:
        """Fail for good."""
        await self._toil(context, may_fail=False)
        raise TerminalError(Code.INVALID_INPUT, "sim.refuse: this step fails on purpose")

    @capability("sim.odd", retry=PATIENT, timeout_s=5)
    async def odd(self, context: CapabilityContext, value: int) -> int:
        """Return an odd number; refuse an even one."""
        await self._toil(context)
        if value % 2 == 0:
            raise TerminalError(Code.INVALID_INPUT, "sim.odd: expected an odd number")
        return value

    @capability("sim.priced", needs=("pack",), retry=PATIENT, timeout_s=5)
    async def priced(self, context: CapabilityContext) -> str:
        """Return the pack the execution is pinned to."""
        await self._toil(context)
        assert context.pins is not None
        return str(context.pins.pricing_pack_id)

    @capability("context.resolve", retry=PATIENT, timeout_s=5)
    async def resolve(
        self,
        context: CapabilityContext,
        portfolio_id: UUID | None = None,
        asof: date | None = None,
        pack_id: UUID | None = None,
        ledger_commit: str | None = None,
    ) -> Resolution:
        """Choose the pack as the database has it at this moment."""
        await self._toil(context)
        assert asof is not None
        pack = self._world.packs.on(asof)
        self._world.asked_for_pack(asof)
        self._world.passes(Point.DONE, self._process)
        return Resolution(asof=asof, base_ccy="CAD", pack=pack, previous_fresh=self._world.packs.before(asof))


class Effects:
    """What was done to the world, by idempotency key.

    Attributes:
        standing: key → value of effects that are done and not undone.
        times: how often each was really done.
        undone: keys that were undone; they cannot be done any more.
    """

    def __init__(self) -> None:
        self.standing: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self.undone: set[str] = set()

    def do(self, key: str, value: int) -> int:
        """Do it unless it is done, or was undone."""
        if key not in self.standing and key not in self.undone:
            self.standing[key] = value
            self.times[key] = self.times.get(key, 0) + 1
        return value

    def undo(self, key: str) -> None:
        """Undo it, or make sure that it will not be done."""
        self.standing.pop(key, None)
        self.undone.add(key)


class Packs:
    """Pricing packs as the database has them; their changes reach `pack-events` a little later.

    Args:
        announce: puts a change into the log.
    """

    def __init__(self, announce: Callable[[PackRef], None]) -> None:
        self._announce = announce
        self._packs: dict[date, PackRef] = {}

    def on(self, asof: date) -> PackRef:
        """Return the pack of a day."""
        return self._packs[asof]

    def before(self, asof: date) -> PackRef | None:
        """Return the newest fresh pack of an earlier day."""
        earlier = [pack for day, pack in self._packs.items() if day < asof and pack.status == "fresh"]
        return max(earlier, key=lambda pack: pack.asof_date, default=None)

    def set(self, pack: PackRef) -> None:
        """Put a pack into the database."""
        self._packs[pack.asof_date] = pack
        self._announce(pack)


class Redis:
    """A cache and circuits that may be lost at any time (`Cache`, `BreakerStore`)."""

    def __init__(self) -> None:
        self.away = False
        self._data: dict[str, bytes] = {}
        self._circuits = MemoryBreaker()

    def flush(self) -> None:
        """Lose everything."""
        self._data.clear()
        self._circuits = MemoryBreaker()

    def _check(self) -> None:
        if self.away:
            raise ConnectionError("the simulated Redis is away")

    async def get(self, key: str) -> bytes | None:
        """See `agents.store_ports.Cache`."""
        self._check()
        return self._data.get(key)

    async def set(self, key: str, value: bytes, ttl_s: int | None) -> None:
        """See `agents.store_ports.Cache`."""
        self._check()
        self._data[key] = value

    async def admit(self, circuit: str, now_ms: int) -> Any:
        """See `agents.store_ports.BreakerStore`."""
        self._check()
        return await self._circuits.admit(circuit, now_ms)

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        """See `agents.store_ports.BreakerStore`."""
        self._check()
        await self._circuits.succeeded(circuit, now_ms)

    async def failed(self, circuit: str, now_ms: int) -> None:
        """See `agents.store_ports.BreakerStore`."""
        self._check()
        await self._circuits.failed(circuit, now_ms)


class Store:
    """The artifact store, which keeps everything (`ArtifactStore`)."""

    def __init__(self) -> None:
        self._data: dict[tuple[str, str], bytes] = {}

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """See `agents.store_ports.ArtifactStore`."""
        name = hashlib.sha256(data).hexdigest()
        self._data[tenant, name] = data
        return name

    async def get(self, tenant: str, user_id: UUID, sha256: str) -> bytes | None:
        """See `agents.store_ports.ArtifactStore`."""
        return self._data.get((tenant, sha256))

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        """See `agents.store_ports.ArtifactStore`."""
        return (tenant, sha256) in self._data


class _Watch(PauseWatch):
    """The worker starts it as a task; here waking up looks at it instead."""

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()


class Consumer:
    """A consumer in a group, as much of `AIOKafkaConsumer` as the agent worker uses."""

    def __init__(self, world: "World", process: Process, group: Group) -> None:
        self.process = process
        self._fetcher = None
        self._world = world
        self._group = group
        self._generation = 0
        self._listener: Any = None
        self._positions: dict[aiokafka.TopicPartition, int] = {}
        self._topic = ""
        self._wake: asyncio.Future[None] | None = None

    def subscribe(self, topics: list[str], listener: Any) -> None:
        """Join the group."""
        (self._topic,) = topics
        self._listener = listener
        readers = self._world.log.readers[self._topic]
        readers.append(self._arrived)
        self.process.on_death.append(lambda: readers.remove(self._arrived))
        self._group.join(self)

    async def stop(self) -> None:
        """Leave the group."""
        self._group.leave(self)

    async def revoke(self) -> None:
        """See `Member`."""
        revoked, self._positions = list(self._positions), {}
        await self._listener.on_partitions_revoked(revoked)

    def assign(self, generation: int, partitions: frozenset[int]) -> None:
        """See `Member`."""
        self._generation = generation
        places = [aiokafka.TopicPartition(self._topic, partition) for partition in sorted(partitions)]
        self._positions = {place: self._group.committed(*place) for place in places}
        self.process.spawn(self._listener.on_partitions_assigned(places))
        self._awake()

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[aiokafka.TopicPartition, list[Record]]:
        """Return records as soon as there are some."""
        dice = self._world.dice.order
        while True:
            found: dict[aiokafka.TopicPartition, list[Record]] = {}
            for place, position in self._positions.items():
                records = self._world.log.topics[place.topic][place.partition][position:]
                if not records:
                    continue
                self._positions[place] = position + len(records)
                # A request may vanish (retention, an operator's mistake): the engine has to ask again.
                kept = [record for record in records if not self._world.vanishes()]
                if kept:
                    found[place] = kept
            if found:
                self._world.passes(Point.DECODE, self.process)
                CAUSE.set(Cause(next(iter(found.values()))[0], self.process))
                places = list(found)
                dice.shuffle(places)
                return {place: found[place] for place in places}
            self._wake = asyncio.Future(loop=self._world.loop)
            await self._wake

    async def commit(self, offsets: dict[aiokafka.TopicPartition, int]) -> None:
        """Commit, if nobody has taken over."""
        self._world.passes(Point.COMMIT, self.process)
        if not self._group.commit(
            self, self._generation, {(place.topic, place.partition): at for place, at in offsets.items()}
        ):
            raise CommitFailedError("another generation")

    def _arrived(self, record: Record) -> None:
        if self._wake is not None:
            self.process.call_later(0.0005 + 0.001 * self._world.dice.order.random(), self._awake)

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Agents:
    """One agent worker process.

    Args:
        world: everything around it.
        name: of the process.
        group: of all workers of the agent.
    """

    def __init__(self, world: "World", name: str, group: Group) -> None:
        self.process = Process(world.loop, name)
        self._world = world
        self._group = group
        drift, ahead_s = world.clock_of_a_machine()
        loop, process = world.loop, self.process
        clock = BrokerClock(lambda: loop.now_s * drift + ahead_s, lambda: START_MS / 1000 + ahead_s)
        watch = _Watch(_PAUSE_LIMIT_S, lambda: process.slept_s)
        self.process.on_resume.append(watch.check)
        runtime = AgentRuntime([SimAgent(world, process)], world.artifacts, world.redis, world.redis, clock.now_ms)
        self._worker = AgentWorker(
            world.settings,
            AGENT,
            runtime.handle,
            Producer(world, process),
            clock,
            runtime.limits.limited,
            self._open,
            watch,
        )

    async def _open(self, *arguments: Any, **options: Any) -> Consumer:
        return Consumer(self._world, self.process, self._group)

    def start(self) -> None:
        """Begin to work."""
        self.process.spawn(self._worker.start())

    async def stop(self) -> None:
        """Leave as SIGTERM asks."""
        await self._worker.stop()
        self.process.kill("terminated")
