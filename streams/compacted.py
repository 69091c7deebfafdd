"""Follows a compacted topic without a consumer group: every reader sees every key's newest record."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiokafka

from settings import Settings
from streams.clients import start_consumer, topic_name
from streams.durable.pace import FETCH_MAX_WAIT_IDLE_MS, gather_fetches
from streams.logs import position
from topics.codec import Undecodable

log = logging.getLogger(__name__)

_RESTART_S = 1.0
_IDLE_MS = 60_000
OnRecord = Callable[[Any], Awaitable[None]]


class CompactedReader:
    """Reads a topic from its beginning and goes on for ever.

    Args:
        settings: where Kafka is.
        topic: name without prefix.
        client_id: without prefix.
        on_record: called with each record in partition order. An exception in it is logged and the record skipped:
            a bad record in a shared topic must not stop every worker.
        gather_ms: asked while records come: how long the broker may gather more of them, None for not at all.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        client_id: str,
        on_record: OnRecord,
        gather_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._topic = topic_name(settings, topic)
        self._client_id = client_id
        self._on_record = on_record
        self._gather_ms = gather_ms
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    async def start(self) -> None:
        """Start reading; return when everything that was there is read."""
        self._task = asyncio.create_task(self._run(), name=f"read-{self._topic}")
        waiting = asyncio.create_task(self._caught_up.wait())
        await asyncio.wait([self._task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            consumer = await start_consumer(
                self._settings, client_id=self._client_id, fetch_max_wait_ms=FETCH_MAX_WAIT_IDLE_MS
            )
            try:
                await self._follow(consumer)
            except Exception:
                if not self._caught_up.is_set():
                    raise
                log.exception("reading %s failed, starting over", self._topic)
                await asyncio.sleep(_RESTART_S)
            finally:
                await consumer.stop()

    async def _follow(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        numbers = await self._partitions(consumer)
        partitions = [aiokafka.TopicPartition(self._topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        behind = {partition for partition in partitions if ends[partition] > 0}
        wait_ms: int | None = None
        while True:
            for partition in list(behind):
                if await consumer.position(partition) >= ends[partition]:
                    behind.discard(partition)
            if not behind:
                self._caught_up.set()
                gather_fetches(consumer, wait_ms)
            patience_ms = 200 if behind else _IDLE_MS if wait_ms is None else 2 * wait_ms
            fetched = await consumer.getmany(timeout_ms=patience_ms)
            wait_ms = self._gather_ms() if fetched else None
            for records in fetched.values():
                for record in records:
                    try:
                        await self._on_record(record)
                    except Undecodable as error:
                        # Everybody who starts meets it again, until a newer record of its key replaces it.
                        log.warning("skipped a record: %s", error, extra={"position": position(record)})
                    except Exception:
                        log.exception("skipped a record", extra={"position": position(record)})

    async def _partitions(self, consumer: aiokafka.AIOKafkaConsumer) -> set[int]:
        await consumer._client._wait_on_metadata(self._topic)
        numbers = consumer.partitions_for_topic(self._topic)
        if not numbers:
            raise LookupError(f"expected a topic {self._topic}, it does not exist; `dawsos topics create` makes it")
        return numbers
