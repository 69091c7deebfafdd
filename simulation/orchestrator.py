"""An orchestrator worker: the real processor, window and state table on a model of what Faust does around them.

Modelled is Faust with `streams/durable/` in it: records of all source topics reach one stream; a rebalance first waits
until what was fetched is acknowledged, then deals partitions; recovery reads the changelog, takes over with a marker,
seeks to the committed offsets while nothing is fetched, empties the buffer and only then goes on.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import orjson

from simulation.faults import Point
from simulation.group import Group
from simulation.log import CAUSE, START_MS, Cause, Producer, Record
from simulation.loop import Process
from streams.durable.acks import OrderedAcks
from streams.durable.owned import NotOwner, OwnedRows
from streams.durable.rows import FencedRows
from streams.failstop import PauseWatch, fail_stop
from streams.headers import Header
from streams.lease import GroupLease
from streams.orchestrator import Processor
from streams.timers import BrokerClock
from topics.table import EXECUTION_SIGNALS, PACK_EVENTS, STATE_CHANGELOG

if TYPE_CHECKING:
    from simulation.world import World

_COMMIT_INTERVAL_S = 1.0
_PAUSE_LIMIT_S = 3.0
_FETCHED_MAX = 4
_TopicPartition = tuple[str, int]


class Rows(FencedRows):
    """The rows in memory, without Faust."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self._key_partition: dict[bytes, int] = {}
        self.clear_rows()


class Table(OwnedRows):
    """The state table on the simulated changelog."""

    name = "executions"

    def __init__(self, owner: str, producer: Producer) -> None:
        self._begin()
        self._rows = Rows()
        self._name = owner
        self._producer = producer

    @property
    def store(self) -> FencedRows:
        """The rows in memory."""
        return self._rows

    @property
    def _owner(self) -> str:
        return self._name

    def _append(
        self, partition: int, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None
    ) -> Awaitable["asyncio.Future[Any]"]:
        return self._producer.send(STATE_CHANGELOG, value, key, partition, None, headers)


class Message:
    """A record as Faust gives it: its time in seconds, and the generation it was fetched in."""

    __slots__ = ("generation_id", "headers", "key", "offset", "partition", "record", "timestamp", "topic", "value")

    def __init__(self, record: Record, generation: int) -> None:
        self.record = record
        self.topic = record.topic
        self.partition = record.partition
        self.offset = record.offset
        self.timestamp = record.timestamp / 1000
        self.key = record.key
        self.value = record.value
        self.headers = record.headers
        self.generation_id = generation


class Event:
    """What the processor is given."""

    __slots__ = ("_worker", "cause", "message")

    def __init__(self, worker: "Orchestrator", message: Message) -> None:
        self._worker = worker
        self.message = message
        self.cause = Cause(message.record, worker.process)

    def ack(self) -> None:
        """Acknowledge."""
        self._worker.acknowledge(self)


class Orchestrator:
    """One orchestrator process.

    Args:
        world: everything around it.
        name: of the process.
        group: of all orchestrators.
    """

    def __init__(self, world: "World", name: str, group: Group) -> None:
        self.process = Process(world.loop, name)
        self.generation = 0
        self.partitions: frozenset[int] = frozenset()
        self.group = group
        self._world = world
        self._producer = Producer(world, self.process)
        self.table = Table(name, self._producer)
        self.acks = OrderedAcks(self)
        # Every machine's clocks are wrong in their own way; only the broker's counts.
        drift, self._ahead_s = world.clock_of_a_machine()
        loop = world.loop
        self.clock = BrokerClock(lambda: loop.now_s * drift + self._ahead_s, lambda: START_MS / 1000 + self._ahead_s)
        process = self.process
        self._watch = PauseWatch(_PAUSE_LIMIT_S, lambda: process.slept_s)
        # The coordinator of the simulated group is always reached; a worker that sleeps is the watch's business.
        self._lease = GroupLease(float("inf"), float("inf"), lambda: 0.0)
        self._lease.renew(0.0)
        self.processor = Processor(
            world.settings, self, self.table, self.acks, world.patterns_now(), self._watch, self._lease, self.clock
        )
        load = self.processor._rows.load

        def loaded(key: bytes) -> Any:
            if CAUSE.get() is not None:
                world.passes(Point.LOAD, process)
            return load(key)

        self.processor._rows.load = loaded  # type: ignore[method-assign]
        take_over = self.table.on_take_over
        assert take_over is not None

        async def taken_over(partitions: frozenset[int]) -> None:
            world.check.taken_over(self, partitions)
            await take_over(partitions)

        self.table.on_take_over = taken_over
        self._positions: dict[_TopicPartition, int] = {}
        self._acked: dict[_TopicPartition, set[int]] = {}
        self._offsets: dict[_TopicPartition, int] = {}
        self._held: frozenset[_TopicPartition] = frozenset()
        self._buffer: deque[Message] = deque()
        self._unacked: set[Message] = set()
        self._fetching = False
        self._rebalances = 0
        self.opening = 0
        self._wake: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._commit_planned = False
        self._sources = list(self.processor.sources)

    def start(self) -> None:
        """Begin to work: follow the packs, join the group."""
        process, log = self.process, self._world.log
        process.on_resume.append(self._watch.check)
        for topic in self._sources:
            log.readers[topic].append(self._arrived)
        process.on_death.append(self._forget_readers)
        process.spawn(self._run())

    def _forget_readers(self) -> None:
        for topic in self._sources:
            self._world.log.readers[topic].remove(self._arrived)
        self._world.log.readers[PACK_EVENTS] = [
            each for each in self._world.log.readers[PACK_EVENTS] if each != self._pack_event
        ]

    async def _run(self) -> None:
        for record in list(self._world.log.topics[PACK_EVENTS][0]):
            await self._follow(record)
        self._world.log.readers[PACK_EVENTS].append(self._pack_event)
        self.process.spawn(self.processor.run_timers())
        self.process.spawn(self._stream())
        self.group.join(self)

    async def stop(self) -> None:
        """Leave as SIGTERM asks: finish what is at hand, commit, leave, end."""
        await self.revoke()
        self.group.leave(self)
        self.process.kill("terminated")

    def _pack_event(self, record: Record) -> None:
        self.process.call_later(
            0.001 + 0.3 * self._world.dice.faults.random() ** 3,
            lambda: self.process.spawn(self._follow(record)),
        )

    async def _follow(self, record: Record) -> None:
        self.opening += 1
        await self.processor.freshness.on_record(record)
        self.opening -= 1

    # --- the stream ----------------------------------------------------------------------------------------------

    def _arrived(self, record: Record) -> None:
        if self._fetching and record.partition in self.partitions and self._wake is not None:
            self.process.call_later(0.0005 + 0.001 * self._world.dice.order.random(), self._awake)

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _stream(self) -> None:
        while True:
            if not self._buffer:
                self._fetch()
            if not self._buffer:
                self._wake = asyncio.Future(loop=self._world.loop)
                await self._wake
                self._wake = None
                continue
            event = Event(self, self._buffer.popleft())
            CAUSE.set(event.cause)
            self._world.passes(Point.DECODE, self.process)
            if self.process.paused:
                await asyncio.sleep(0)
            try:
                await self.processor.handle(event)
            except Exception as error:
                fail_stop("the processor failed outside the engine", error)
            self._world.check.handled(self, event)
            CAUSE.set(None)

    def _fetch(self) -> None:
        """Take some records, a few at a time from partitions in any order; each partition in its own order."""
        if not self._fetching:
            return
        topics = self._world.log.topics
        waiting = [
            place
            for place, position in self._positions.items()
            if position < len(topics[place[0]][place[1]]) and place not in self._held
        ]
        if not waiting:
            return
        dice = self._world.dice.order
        if len(waiting) > 1:
            dice.shuffle(waiting)
        for place in waiting[:2]:
            position = self._positions[place]
            records = topics[place[0]][place[1]][position : position + 1 + int(dice.random() * _FETCHED_MAX)]
            self._positions[place] = position + len(records)
            for record in records:
                message = Message(record, self.generation)
                self._unacked.add(message)
                self._buffer.append(message)

    # --- what the processor asks for (KafkaPort) -----------------------------------------------------------------

    def forget(self, message: Any) -> None:
        """See `KafkaPort`."""
        self._unacked.discard(message)
        self._look_if_empty()

    def committed(self, topic: str, partition: int) -> int | None:
        """See `KafkaPort`."""
        return self._offsets.get((topic, partition))

    def hold(self, topic: str, partitions: frozenset[int]) -> None:
        """See `KafkaPort`."""
        self._held = frozenset((topic, partition) for partition in partitions)
        self._awake()

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: list[Header] | None,
    ) -> Awaitable["asyncio.Future[Any]"]:
        """See `KafkaPort`."""
        if topic == EXECUTION_SIGNALS and value is not None and b'"GateOpened"' in value:
            opened = orjson.loads(value)
            self._world.gates_opened.add((self.process.name, key or b"", opened["pack"]["pack_id"]))
        return self._producer.send(topic, value, key, partition, timestamp_ms, headers)

    # --- offsets -------------------------------------------------------------------------------------------------

    def acknowledge(self, event: Event) -> None:
        """Count an event as done."""
        self._world.passes(Point.ACK, self.process)
        self._world.check.acknowledged(self, event)
        message = event.message
        self._unacked.discard(message)
        self._acked.setdefault((message.topic, message.partition), set()).add(message.offset)
        self._look_if_empty()
        if not self._commit_planned:
            self._commit_planned = True
            self.process.call_later(_COMMIT_INTERVAL_S, self._commit)

    def _commit(self) -> None:
        self._commit_planned = False
        self._world.passes(Point.COMMIT, self.process)
        offsets: dict[_TopicPartition, int] = {}
        for place, acked in self._acked.items():
            offset = begin = self._offsets.get(place, 0)
            while acked:
                # As stock Faust: what was not delivered counts as acknowledged once something behind it is.
                if offset not in acked and place[1] in self.partitions and self._delivered(place, offset):
                    break
                acked.discard(offset)
                offset += 1
            if offset > begin:
                offsets[place] = offset
        if offsets and self.group.commit(self, self.generation, offsets):
            self._offsets.update(offsets)

    def _delivered(self, place: _TopicPartition, offset: int) -> bool:
        """Tell whether a record is in the buffer, or being processed."""
        return (
            any((message.topic, message.partition) == place and message.offset == offset for message in self._unacked)
            or self._positions.get(place, 0) <= offset
        )

    def _look_if_empty(self) -> None:
        if not self._unacked and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    # --- rebalances ----------------------------------------------------------------------------------------------

    async def revoke(self) -> None:
        """Stop fetching, wait until everything fetched is acknowledged, commit."""
        self._rebalances += 1
        self._fetching = False
        while self._unacked:
            if self._emptied is None or self._emptied.done():
                self._emptied = asyncio.Future(loop=self._world.loop)
            await self._emptied
        self._commit()

    def assign(self, generation: int, partitions: frozenset[int]) -> None:
        """Begin to recover what this worker has now."""
        self.generation = generation
        self.partitions = partitions
        self.table.close_partitions()
        self.table.store.drop_partitions(set(partitions))
        self.process.spawn(self._recovering(generation))

    async def _recovering(self, generation: int) -> None:
        try:
            await self._recover(generation)
        except Exception as error:
            # Faust's app crashes then, and its worker with it.
            fail_stop("the worker crashed", error)

    async def _recover(self, generation: int) -> None:
        world, table, number = self._world, self.table, self._rebalances

        def overtaken() -> bool:
            return generation != self.generation or number != self._rebalances

        await table.close()
        if overtaken():
            return
        table.forget_all_but(self.partitions)
        while True:
            for partition in sorted(self.partitions):
                world.passes(Point.RECOVER, self.process)
                await asyncio.sleep(0.002 + 0.05 * world.dice.faults.random() ** 3)
                if overtaken():
                    return
                self._read_changelog(partition)
            try:
                undisturbed = await table.take_over(self.partitions)
            except NotOwner:
                return
            if undisturbed:
                break
            if overtaken():
                return
        if world.seek_after_resume:
            # Stock Faust: fetches go on while it seeks, and what they bring before the queues are cleared is dropped.
            self._seek()
            self._fetching = True
            self._fetch()
            self._buffer.clear()
            self._unacked.clear()
            self._awake()
            return
        await asyncio.sleep(0.002 + 0.05 * world.dice.faults.random() ** 3)
        if overtaken():
            return
        self._seek()
        self._buffer.clear()
        self._unacked.clear()
        self._fetching = True
        self._awake()

    def _read_changelog(self, partition: int) -> None:
        store, log = self.table.store, self._world.log.topics[STATE_CHANGELOG][partition]
        for offset in range(store.positions.setdefault(partition, 0), len(log)):
            record = log[offset]
            assert record.key is not None
            store.fold(partition, offset, record.key, record.value, record.headers)

    def _seek(self) -> None:
        places = [(topic, partition) for topic in self._sources for partition in sorted(self.partitions)]
        self._offsets = {place: self.group.committed(*place) for place in places}
        self._positions = dict(self._offsets)
        self._acked = {}
