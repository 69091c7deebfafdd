"""The simulated Kafka: partitioned topics with append time, producers that retry in order, offsets by group."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaTimeoutError

from simulation.faults import Point
from simulation.loop import Process, SimLoop
from streams.headers import Header
from topics.table import STATE_CHANGELOG

if TYPE_CHECKING:
    from simulation.world import World

START_MS = 1_767_225_600_000
_HOP_S = 0.002


@dataclass(slots=True, eq=False)
class Record:
    """One record of the log. `timestamp` is its append time in milliseconds.

    Attributes:
        writer: process that sent it; None for the world.
        cause: what was being handled when it was sent.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    writer: Process | None
    cause: "Cause | None"


@dataclass(slots=True, eq=False)
class Sending:
    """A record on its way."""

    topic: str
    confirmed: bool = False


@dataclass(slots=True, eq=False)
class Cause:
    """One record being handled by a worker: whatever is sent meanwhile is because of it.

    Attributes:
        sent: everything sent, in order.
        fact: the engine's event, once it was decided on; `key`: of its execution.
    """

    record: Record
    process: Process
    key: bytes = b""
    sent: list[Sending] = field(default_factory=list)
    fact: Any = None


CAUSE: ContextVar[Cause | None] = ContextVar("cause", default=None)


class Log:
    """Topics of one run.

    Args:
        loop: whose time is the broker's time.
        partitions: of every topic.
        on_append: called with each record, before anybody can read it.
    """

    def __init__(self, loop: SimLoop, partitions: int, on_append: Callable[[Record], None]) -> None:
        self._loop = loop
        self._on_append = on_append
        self.partitions = partitions
        self.topics: dict[str, list[list[Record]]] = defaultdict(lambda: [[] for _ in range(partitions)])
        self.committed: dict[str, dict[tuple[str, int], int]] = defaultdict(dict)
        self.readers: dict[str, list[Callable[[Record], None]]] = defaultdict(list)

    def now_ms(self) -> int:
        """Return the broker's time."""
        return START_MS + int(self._loop.now_s * 1000)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[Header, ...] = (),
        writer: Process | None = None,
        cause: Cause | None = None,
    ) -> Record:
        """Append a record and tell those who read the topic."""
        log = self.topics[topic][partition]
        record = Record(topic, partition, len(log), self.now_ms(), key, value, headers, writer, cause)
        log.append(record)
        self._on_append(record)
        for tell in self.readers[topic]:
            tell(record)
        return record


class Producer:
    """An idempotent producer of one process: in order per partition, nothing twice, tried again until confirmed.

    Records are in the network as soon as they are sent. When the process is killed, those still on their way arrive up
    to some point, per partition, and the rest is lost.

    Args:
        world: its log, dice and faults.
        process: whose producer it is.
    """

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._loop = world.loop
        self._process = process
        self._dice: Random = world.dice.network
        self._last_s: dict[tuple[str, int], float] = {}
        self._cut: set[tuple[str, int]] = set()

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: list[Header] | None = None,
    ) -> "asyncio.Future[Any]":
        """Send a record; returns its delivery. As `AIOKafkaProducer.send`."""
        world, process = self._world, self._process
        world.passes(Point.STORE if topic == STATE_CHANGELOG else Point.PUBLISH, process)
        if process.paused:
            await asyncio.sleep(0)
        partition = world.routed(topic, partition or 0)
        future: asyncio.Future[Any] = asyncio.Future(loop=self._loop)
        cause = CAUSE.get()
        sending = Sending(topic)
        if cause is not None:
            cause.sent.append(sending)
        at_s = self._arrival_s(topic, partition)
        self._loop.outside(
            self._loop.call_at, at_s, self._arrive, sending, future, partition, key, value, tuple(headers or ()), cause
        )
        return future

    def _arrival_s(self, topic: str, partition: int) -> float:
        """Return when a record gets there: lost requests are sent again, and those behind them wait."""
        dice, faults = self._dice, self._world.plan
        delay_s = _HOP_S * dice.random()
        if faults.network and dice.random() < faults.network:
            # Lost on the way, or slow.
            delay_s += dice.choice((0.02, 0.1, 0.5, 2.0))
        at_s = max(self._loop.now_s + delay_s, self._last_s.get((topic, partition), 0.0))
        self._last_s[topic, partition] = at_s
        return at_s

    def _arrive(
        self,
        sending: Sending,
        future: "asyncio.Future[Any]",
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[Header, ...],
        cause: Cause | None,
    ) -> None:
        process, dice, place = self._process, self._dice, (sending.topic, partition)
        if not process.alive and (place in self._cut or dice.random() < 0.4):
            self._cut.add(place)
            return
        record = self._world.log.append(sending.topic, partition, key, value, headers, process, cause)
        if not process.alive:
            return
        faults = self._world.plan
        if faults.undelivered and dice.random() < faults.undelivered:
            # It is in the log, but the producer never learns of it.
            process.call_later(_HOP_S, self._fail, future)
            return
        delay_s = _HOP_S * dice.random()
        if faults.network and dice.random() < faults.network:
            # The answer is lost; asked again, the broker knows the record.
            delay_s += dice.choice((0.02, 0.1, 0.5, 2.0))
        process.call_later(delay_s, self._confirm, sending, future, record)

    def _confirm(self, sending: Sending, future: "asyncio.Future[Any]", record: Record) -> None:
        self._world.passes(Point.CONFIRM, self._process)
        sending.confirmed = True
        if not future.done():
            future.set_result(record)

    def _fail(self, future: "asyncio.Future[Any]") -> None:
        if not future.done():
            future.set_exception(KafkaTimeoutError("the simulated broker did not answer in time"))
