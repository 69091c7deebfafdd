"""Stock Faust loses events when OffsetFetch is slow; with our parts it does not. Real Kafka, one worker, in process."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from settings import Settings
from streams.clients import start_producer
from streams.durable.acks import OrderedAcks
from streams.durable.app import make_app
from streams.durable.fence import Fence
from streams.kafka_port import FaustPort

pytestmark = pytest.mark.integration

EVENTS = 600
PARTITIONS = 2
OFFSET_FETCH_DELAY_S = 1.2


class Run:
    """One worker's run over a topic: what it saw and what it committed."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.committed: dict[int, int] = {}


async def prepare(settings: Settings, topic: str, changelog: str) -> Any:
    admin = AIOKafkaAdminClient(**settings.kafka_address().client_kwargs())
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(topic, PARTITIONS, 1),
                NewTopic(changelog, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"}),
            ]
        )
    finally:
        await admin.close()
    producer = await start_producer(settings, "test")
    row = Fence(1).next_prefix() + b"recovered"
    rows = [await producer.send(changelog, row, b"k%d" % i, partition=i % PARTITIONS) for i in range(20)]
    events = [await producer.send(topic, b"%d" % i, b"%d" % i, partition=i % PARTITIONS) for i in range(EVENTS)]
    await asyncio.gather(*rows, *events)
    return producer


def stock_app(group: str, broker: str, folder: Path) -> faust.App:
    return faust.App(
        group,
        broker=f"kafka://{broker}",
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=folder,
        broker_commit_interval=0.2,
        key_serializer="raw",
        value_serializer="raw",
    )


def delay_offset_fetch(consumer: Any) -> None:
    """The answer to OffsetFetch takes its time; the seek itself is as quick as ever."""
    seek: Callable[[], Any] = consumer.perform_seek

    async def perform_seek() -> None:
        await seek()
        await asyncio.sleep(OFFSET_FETCH_DELAY_S)

    consumer.perform_seek = perform_seek


async def work(
    app: Any, topic: str, handle: Callable[[Any], Any], *, noack: bool, last: Any, direct: bool = False
) -> Run:
    """Run the app over the backlog, then over two more events, until those are committed.

    `direct`: events come to the app's handler, as in the orchestrator, and not through the agent's stream.
    """
    run = Run()
    table = app.Table("rows", key_type=bytes, value_type=bytes, partitions=PARTITIONS)
    source = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    arrived = asyncio.Condition()

    async def take(event: Any) -> None:
        run.seen.add(int(event.message.value))
        # An event takes a little while, so that some wait in the queue.
        await asyncio.sleep(0.002)
        await handle((event, table))
        async with arrived:
            arrived.notify_all()

    @app.agent(source)
    async def collect(stream: Any) -> None:
        async for event in (stream.noack() if noack else stream).events():
            assert not direct
            await take(event)

    if direct:
        app.handler = take

    delay_offset_fetch(app.consumer)
    await asyncio.wait_for(app.start(), 60)
    try:
        await last()
        async with asyncio.timeout(60), arrived:
            await arrived.wait_for(lambda: {EVENTS, EVENTS + 1} <= run.seen)
        if noack:
            run.committed = await committed(app, topic)
    finally:
        await asyncio.wait_for(app.stop(), 30)
    return run


async def committed(app: Any, topic: str) -> dict[int, int]:
    """Commit until nothing is left to acknowledge; offsets by partition."""
    await asyncio.wait_for(app.consumer.wait_empty(), 30)
    offsets = app.consumer._committed_offset
    return {number: offsets[aiokafka.TopicPartition(topic, number)] for number in range(PARTITIONS)}


async def two_more(producer: Any, topic: str) -> None:
    for i in range(PARTITIONS):
        await producer.send_and_wait(topic, b"%d" % (EVENTS + i), partition=i)


async def test_stock_recovery_skips_events(service_settings: Settings, tmp_path: Path) -> None:
    # How many is a matter of timing (seen: 46 to 2,570 at a time), so a lucky run gets another chance to fail.
    for attempt in range(3):
        if await skipped_by_stock(service_settings, f"stock{attempt}", tmp_path):
            return
    pytest.fail("stock recovery skipped nothing in three runs: does the control still bite?")


async def skipped_by_stock(settings: Settings, name: str, folder: Path) -> set[int]:
    """Return the events that were never processed although later ones of the same partitions were."""
    group, topic = f"{settings.topic_prefix}{name}", f"{settings.topic_prefix}{name}-in"
    producer = await prepare(settings, topic, f"{group}-rows-changelog")
    try:
        app = stock_app(group, settings.kafka_address().hosts[0], folder / name)

        async def handle(_: Any) -> None: ...

        run = await asyncio.wait_for(work(app, topic, handle, noack=False, last=lambda: two_more(producer, topic)), 120)
    finally:
        await producer.stop()
    return set(range(EVENTS)) - run.seen


@pytest.mark.parametrize("direct", [True, False], ids=["handler", "stream"])
async def test_our_recovery_skips_none(service_settings: Settings, tmp_path: Path, direct: bool) -> None:
    group, topic = f"{service_settings.topic_prefix}durable{direct}", f"{service_settings.topic_prefix}in{direct}"
    producer = await prepare(service_settings, topic, f"{group}-rows-changelog")
    try:
        app = make_app(
            group,
            owner="test",
            brokers=list(service_settings.kafka_address().hosts),
            partitions=PARTITIONS,
            replication=1,
            data_dir=tmp_path,
            message_bytes_max=1024 * 1024,
        )
        acks = OrderedAcks(FaustPort(app))

        async def handle(item: Any) -> None:
            event, table = item
            message = event.message
            await acks.add(event, [await table.put(message.partition, b"n" + message.key, message.value)])

        async def last() -> None:
            for i in range(PARTITIONS):
                number = b"%d" % (EVENTS + i)
                await producer.send_and_wait(topic, number, number, partition=i)

        run = await asyncio.wait_for(work(app, topic, handle, noack=True, last=last, direct=direct), 120)
    finally:
        await producer.stop()
    assert run.seen == set(range(EVENTS + 2))
    assert run.committed == {0: EVENTS // 2 + 1, 1: EVENTS // 2 + 1}
