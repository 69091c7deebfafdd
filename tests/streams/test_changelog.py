"""Reading a changelog from real Kafka: cut off at any moment, against a log that was made anew, while one writes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OffsetOutOfRangeError

from settings import Settings
from simulation.orchestrator import Rows
from streams.clients import start_producer
from streams.durable.changelog import read_to_end
from streams.durable.fence import Fence
from streams.durable.owned import OwnedRows
from streams.durable.rows import FencedRows, marker_key

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


class Table(OwnedRows):
    """A table whose changelog is a list; strangers append to it too."""

    name = "rows"

    def __init__(self) -> None:
        self._begin()
        self._rows = Rows()
        self._rows.positions[0] = 0
        self.log: list[tuple[bytes, bytes | None]] = []

    @property
    def store(self) -> FencedRows:
        return self._rows

    @property
    def _owner(self) -> str:
        return "worker"

    async def _append(self, partition: int, key: bytes, value: bytes | None, headers: object) -> asyncio.Future[Any]:
        self.log.append((key, value))
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(partition=partition, offset=len(self.log) - 1, timestamp=0))
        return future


async def test_what_the_owner_itself_wrote_need_not_be_read_again() -> None:
    table = Table()
    assert await table.take_over({0})
    for number in range(5):
        await (await table.put(0, b"k", b"%d" % number))
    await asyncio.sleep(0)
    assert table.store.positions == {0: 6}
    table.log.append((b"k", Fence(1).next_prefix() + b"a stranger's"))
    await (await table.put(0, b"k", b"after the stranger"))
    await asyncio.sleep(0)
    assert table.store.positions == {0: 6}


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
