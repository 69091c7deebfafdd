"""Whole topics, read from their beginning, as plain values for the checker."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from settings import Settings
from streams.clients import start_consumer, topic_name


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic.

    Attributes:
        topic: without the configured prefix.
        at_ms: the broker's append time.
    """

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    def header(self, name: str) -> str:
        """Return a header's text; empty if there is none."""
        return next((value.decode("utf-8", "replace") for key, value in self.headers if key == name), "")


async def read_topic(settings: Settings, name: str, consumer: Any) -> list[Record]:
    """Return every record of a topic as of now, by partition and offset."""
    topic = topic_name(settings, name)
    await consumer._client.add_topic(topic)
    await consumer._client._wait_on_metadata(topic)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[Record] = []
    while any([await consumer.position(each) < ends[each] for each in partitions]):
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            found += _records(name, batch)
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def read_topics(settings: Settings, *names: str) -> dict[str, list[Record]]:
    """Return every record of some topics, by name."""
    consumer = await start_consumer(settings, client_id="chaos-reader", max_partition_fetch_bytes=8 * 1024 * 1024)
    try:
        return {name: await read_topic(settings, name, consumer) for name in names}
    finally:
        await consumer.stop()


class Watch:
    """Follows `execution-results` while a run goes on, to show progress and to know when everything has ended."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self.ended: set[bytes] = set()
        self.moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        topic = topic_name(self._settings, self._name)
        consumer = await start_consumer(self._settings, client_id="chaos-watch")
        try:
            consumer.assign([TopicPartition(topic, number) for number in range(self._settings.partitions)])
            await consumer.seek_to_beginning()
            while True:
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    self.ended.update(record.key for record in batch if record.key is not None)
                self.moved.set()
        finally:
            await consumer.stop()


def _records(name: str, batch: list[Any]) -> Iterator[Record]:
    for each in batch:
        headers = tuple((key, value) for key, value in each.headers or ())
        yield Record(name, each.partition, each.offset, each.timestamp, each.key, each.value, headers)
