"""Live progress of one execution: its commands and answers as they pass by on its partition.

The client that shows progress reads the topics between orchestrator and agents, without a group and from their end,
on the one partition the execution lives on. Nobody else knows or waits. That an execution is queued stands in its state
row only; who may not read those is not told.
"""

import asyncio
import logging
from collections.abc import Callable

import aiokafka

from orchestrator.execution import Status
from orchestrator.rows import header_status
from settings import Settings
from streams.clients import start_consumer, topic_name
from streams.durable.fence import PREFIX_BYTES
from streams.routing import partition_of
from topics.codec import Undecodable, decode
from topics.messages import CapabilityRequest, CapabilityResult
from topics.table import CAPABILITY_REQUESTS, CAPABILITY_RESULTS, STATE_CHANGELOG

log = logging.getLogger(__name__)

QUEUE = "$queue"


class ProgressReader:
    """Calls back with (step_id, status): `requested`, `retrying`, `succeeded` or `failed` (which may be retried).

    The step `$queue` is the wait for room: `queued`, then `succeeded` when the execution begins.

    Args:
        settings: where Kafka is.
        key: the execution's key.
        on_progress: called for each change, in order; must not raise.
    """

    def __init__(self, settings: Settings, key: bytes, on_progress: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._key = key
        self._on_progress = on_progress
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._changelog = ""
        self._queued = False

    async def start(self) -> None:
        """Begin to read; what happens from now on is seen."""
        consumer = self._consumer = await start_consumer(self._settings, client_id="progress")
        prefix = topic_name(self._settings, f"{CAPABILITY_REQUESTS}.")
        results = topic_name(self._settings, CAPABILITY_RESULTS)
        self._changelog = topic_name(self._settings, STATE_CHANGELOG)
        known = await consumer.topics()
        topics = [name for name in known if name.startswith(prefix) or name == self._changelog]
        number = partition_of(self._key, self._settings.partitions)
        partitions = [aiokafka.TopicPartition(name, number) for name in (*topics, results)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        await asyncio.gather(*(consumer.position(partition) for partition in partitions))
        self._task = asyncio.create_task(self._read(consumer), name="progress")

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _read(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=60_000)).values():
                for record in records:
                    if record.key != self._key:
                        continue
                    if record.topic == self._changelog:
                        self._report_row(record.value)
                    else:
                        self._report(record.value)

    def _report_row(self, value: bytes | None) -> None:
        if value is None:
            return
        queued = header_status(value[PREFIX_BYTES:]) is Status.QUEUED
        if queued != self._queued:
            self._queued = queued
            self._on_progress(QUEUE, "queued" if queued else "succeeded")

    def _report(self, value: bytes | None) -> None:
        try:
            message = decode(value, CapabilityRequest, CapabilityResult)
        except Undecodable:
            return
        if isinstance(message, CapabilityRequest):
            self._on_progress(message.step_id, "requested" if message.attempt == 1 else "retrying")
        elif isinstance(message, CapabilityResult):
            self._on_progress(message.step_id, "succeeded" if message.error is None else "failed")
