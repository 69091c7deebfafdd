"""Reading a changelog from real Kafka: cut off at any moment, against a log that was made anew, while one writes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OffsetOutOfRangeError

import simulation.orchestrator
from settings import Settings
from simulation.orchestrator import Rows
from streams.clients import start_producer
from streams.durable.changelog import read_to_end
from streams.durable.fence import Fence
from streams.durable.recovery import ChangelogRecovery
from streams.durable.rows import marker_key

RECORDS = 20_000
KEYS = 500
PARTITIONS = 2


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
    consumer = aiokafka.AIOKafkaConsumer(
        **settings.kafka_address().client_kwargs(), auto_offset_reset="none", enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def create(settings: Settings, topic: str) -> None:
    admin = AIOKafkaAdminClient(**settings.kafka_address().client_kwargs())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})])
    finally:
        await admin.close()


async def write(settings: Settings, topic: str, count: int) -> dict[bytes, bytes]:
    """Append records to both partitions and return the row each key must have in the end."""
    producer = await start_producer(settings, "test")
    fence, rows = Fence(1), {}
    try:
        sent = []
        for number in range(count):
            key = b"k%d" % (number % KEYS)
            rows[key] = fence.next_prefix() + b"%d" % number
            sent.append(await producer.send(topic, rows[key], key, partition=number % KEYS % PARTITIONS))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return rows


@pytest.mark.integration
async def test_a_reading_that_is_cut_off_again_and_again_misses_nothing(service_settings: Settings) -> None:
    topic = f"{service_settings.topic_prefix}cut-off"
    await create(service_settings, topic)
    rows = await write(service_settings, topic, RECORDS)
    store, dice, cuts = Rows(), random.Random(4), 0
    while cuts < 20:
        owned = {0, 1} if dice.random() < 0.8 else {dice.randrange(PARTITIONS)}
        store.drop_partitions(owned)
        async with reader(service_settings) as consumer:
            try:
                await asyncio.wait_for(read_to_end(consumer, topic, owned, store), dice.random() * 0.03)
                store = Rows()
            except TimeoutError:
                cuts += 1
    async with reader(service_settings) as consumer:
        await read_to_end(consumer, topic, {0, 1}, store)
    assert store.data == rows
    assert store.positions == {0: RECORDS // PARTITIONS, 1: RECORDS // PARTITIONS}


@pytest.mark.integration
async def test_a_log_that_is_shorter_than_what_was_read_is_read_anew(service_settings: Settings) -> None:
    topic = f"{service_settings.topic_prefix}anew"
    await create(service_settings, topic)
    rows = await write(service_settings, topic, 2 * KEYS)
    store = Rows()
    store.positions[0] = 10 * KEYS
    store.put_row(0, b"gone", Fence(1).next_prefix() + b"of the log before")
    async with reader(service_settings) as consumer:
        with pytest.raises(OffsetOutOfRangeError, match="partition 0 ends at 500, not 5000"):
            await read_to_end(consumer, topic, {0, 1}, store)
        assert await read_to_end(consumer, topic, {0, 1}, store) == 2 * KEYS
    assert store.data == rows


class Table(simulation.orchestrator.Table):
    """A table whose changelog is a list; strangers append to it too."""

    changelog_topic_name = "rows"

    def __init__(self) -> None:
        nobody: Any = None
        super().__init__("worker", nobody)
        self.store.positions[0] = 0
        self.log: list[tuple[bytes, bytes | None]] = []

    async def _append(self, partition: int, key: bytes, value: bytes | None, headers: object) -> asyncio.Future[Any]:
        self.log.append((key, value))
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(partition=partition, offset=len(self.log) - 1, timestamp=0))
        return future


async def test_what_the_owner_itself_wrote_need_not_be_read_again() -> None:
    table = Table()
    assert await table.take_over({0})
    for number in range(5):
        await table.put(0, b"k", b"%d" % number)
    await table.close()
    assert table.store.positions == {0: 6}
    table.forget_all_but({0})
    assert table.row(b"k") == b"4"


async def test_a_stranger_s_record_between_the_owner_s_is_told_once_and_the_partition_forgotten() -> None:
    table, told = Table(), []
    table.on_stray = told.append
    assert await table.take_over({0})
    await table.put(0, b"k", b"before the stranger")
    table.log.append((b"k", Fence(1).next_prefix() + b"a stranger's"))
    for number in range(3):
        await table.put(0, b"k", b"after the stranger, %d" % number)
    await asyncio.sleep(0)
    assert told == [0]
    assert table.store.positions == {0: 2}
    await table.close()
    # What this worker has in memory may be what others take for late.
    table.forget_all_but({0})
    assert (table.store.positions, table.row(b"k")) == ({}, None)


class Reader:
    """A reader that never waits: one record of each partition per call, until told to end."""

    def __init__(self) -> None:
        self.offsets: dict[Any, int] = {}
        self.end = 10_000

    def assign(self, partitions: list[Any]) -> None:
        self.offsets = dict.fromkeys(partitions, 0)

    async def beginning_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, self.end)

    def seek(self, partition: Any, offset: int) -> None:
        self.offsets[partition] = offset

    def pause(self, *partitions: Any) -> None: ...

    async def position(self, partition: Any) -> int:
        return self.offsets[partition]

    async def getmany(self, timeout_ms: int) -> dict[Any, list[Any]]:
        found = {}
        for partition, offset in self.offsets.items():
            key = b"%d/%d" % (partition.partition, offset)
            row = Fence(1).next_prefix() + b"row"
            found[partition] = [SimpleNamespace(offset=offset, key=key, value=row, headers=[])]
            self.offsets[partition] = offset + 1
        return found


class TableReader(Reader):
    """Reads what a table wrote."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._log = table.log

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, len(self._log))

    async def getmany(self, timeout_ms: int) -> dict[Any, list[Any]]:
        found = {}
        for partition, offset in self.offsets.items():
            key, value = self._log[offset]
            found[partition] = [SimpleNamespace(offset=offset, key=key, value=value, headers=[])]
            self.offsets[partition] = offset + 1
        return found


class Worker:
    """What a recovery needs of its app: a consumer that gives readers, and a generation."""

    def __init__(self, table: Table, reader: Reader) -> None:
        self.table, self.reader = table, reader
        self.rebalancing_count = self.consumer_generation_id = 0
        self.lease, self.closing_error = None, None
        self.consumer: Any = self
        self.on_rebalance_complete: Any = SimpleNamespace(send=lambda: asyncio.sleep(0))
        self.recovery = ChangelogRecovery(self, {"rows": table})  # type: ignore[arg-type]
        self.taken_over: list[frozenset[int]] = []
        self.done = asyncio.Event()
        table.on_take_over = self._taken_over

    async def _taken_over(self, partitions: frozenset[int]) -> None:
        self.taken_over.append(partitions)

    @asynccontextmanager
    async def log_reader(self, reset: str) -> AsyncIterator[Reader]:
        try:
            yield self.reader
        finally:
            error, self.closing_error = self.closing_error, None
            if error is not None:
                raise error

    def assignment(self) -> set[Any]:
        # The last thing a recovery asks for before it lets the streams go on.
        self.done.set()
        raise asyncio.CancelledError

    async def assign(self, *partitions: int) -> None:
        self.rebalancing_count += 1
        self.consumer_generation_id += 1
        self.recovery.on_partitions_revoked(set())
        assigned: Any = {TopicPartition("requests", number) for number in partitions}
        await self.recovery.on_rebalance(assigned, set(), set(), self.consumer_generation_id)


async def test_a_recovery_that_is_cut_off_folds_nothing_more() -> None:
    for turns in range(60):
        table = Table()
        table.store.positions.clear()
        worker = Worker(table, Reader())
        await worker.assign(0, 1, 2, 3)
        for _ in range(turns):
            await asyncio.sleep(0)
        await worker.assign(0, 1)
        for _ in range(10):
            await asyncio.sleep(0)
        assert set(table.store.positions) <= {0, 1}
        assert {key[:1] for key in table.store.data} <= {b"0", b"1"}
        await worker.recovery.stop()


async def test_a_cancellation_nobody_asked_for_does_not_end_the_recovery() -> None:
    # aiokafka's fetcher raises one when it is closed while it waits to try again.
    table = Table()
    table.store.positions.clear()
    worker = Worker(table, TableReader(table))
    worker.closing_error = asyncio.CancelledError()
    await worker.assign(0)
    await asyncio.wait_for(worker.done.wait(), 10)
    assert worker.taken_over == [frozenset({0}), frozenset({0})]
    await worker.recovery.stop()


async def test_a_marker_behind_a_stranger_s_record_takes_nothing_over() -> None:
    table = Table()
    table.log.append((b"k", Fence(1).next_prefix() + b"a stranger's"))
    assert not await table.take_over({0})
    assert not table.owns(0)
    assert table.store.positions == {0: 0}
    for offset, (key, value) in enumerate(table.log):
        table.store.fold(0, offset, key, value, [])
    assert await table.take_over({0})
    assert table.log[-1][0] == marker_key(0)
    assert table.store.epochs == {0: 2}


async def test_nothing_of_a_lost_partition_is_counted_as_read() -> None:
    table = Table()
    assert await table.take_over({0})
    writing = await table.put(0, b"k", b"on its way")
    table.close_partitions()
    table.store.drop_partitions(set())
    await writing
    await asyncio.sleep(0)
    assert table.store.positions == {}
