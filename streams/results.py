"""Finished executions as they are published, for whoever waits for one or watches many.

The topic is read on every partition, without a group and from its end: each process sees every result. A result may
be published twice after a crash; only the first of a key counts.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import aiokafka

from settings import Settings
from streams.clients import start_consumer, topic_name
from topics.table import EXECUTION_RESULTS

log = logging.getLogger(__name__)

_SEEN_MAX = 20_000
_RESTART_S = 1.0


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """One record of `execution-results`.

    Attributes:
        key: the execution's id as ASCII bytes.
        value: the `ExecutionResult` as it travelled.
        at_ms: the broker's append time.
    """

    key: bytes
    value: bytes
    partition: int
    offset: int
    at_ms: int
    # For logs, which name records by it; without the prefix.
    topic = EXECUTION_RESULTS


Listener = Callable[[ResultRecord], None]


class ResultFeed:
    """Follows `execution-results`.

    Args:
        settings: where Kafka is, prefix, partitions.
        client_id: how it shows in broker logs, without the prefix.
    """

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._topic = topic_name(settings, EXECUTION_RESULTS)
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._waiters: dict[bytes, int] = {}
        self._listeners: list[Listener] = []
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._reading = False
        self._given_up = False
        self.positions: dict[int, int] = {}

    async def start(self) -> None:
        """Return when the ends are known: results that are published from now on are received."""
        consumer = await self._open()
        self._task = asyncio.create_task(self._run(consumer), name="results")

    async def stop(self) -> None:
        """Stop reading; whoever still waits gets CancelledError."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.give_up()

    def give_up(self) -> None:
        """Wait for nothing any more: futures that are waited for, and those asked for from now on, are cancelled."""
        self._given_up = True
        for future in self._waiting.values():
            future.cancel()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each result from now on, in the order of its partition; returns what ends that.

        It must not raise or block.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def expect(self, key: bytes) -> "asyncio.Future[bytes]":
        """Return the future of an execution's result; `release` it afterwards. Ask before the request is published."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._given_up:
                future.cancel()
        self._waiters[key] = self._waiters.get(key, 0) + 1
        return future

    def release(self, key: bytes) -> None:
        """Say that one of those who expected a result no longer does."""
        left = self._waiters.get(key, 0) - 1
        if left > 0:
            self._waiters[key] = left
        else:
            self._waiters.pop(key, None)
            self._waiting.pop(key, None)

    @property
    def reading(self) -> bool:
        """Whether the topic is being read now."""
        return self._reading

    def __len__(self) -> int:
        """How many executions are waited for."""
        return len(self._waiting)

    async def _open(self) -> aiokafka.AIOKafkaConsumer:
        consumer = await start_consumer(self._settings, client_id=self._client_id, auto_offset_reset="latest")
        partitions = [aiokafka.TopicPartition(self._topic, number) for number in range(self._settings.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        # seek_to_end is lazy; where the end is must be known before the first request goes out.
        for partition in partitions:
            start = self.positions.get(partition.partition)
            if start is None:
                self.positions[partition.partition] = await consumer.position(partition)
            else:
                consumer.seek(partition, start)
        return consumer

    async def _run(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        while True:
            try:
                self._reading = True
                await self._read(consumer)
            except Exception:
                log.exception("reading results failed, starting over")
            finally:
                self._reading = False
                await consumer.stop()
            await asyncio.sleep(_RESTART_S)
            consumer = await self._reopen()

    async def _reopen(self) -> aiokafka.AIOKafkaConsumer:
        while True:
            try:
                return await self._open()
            except Exception as error:
                log.warning("results cannot be read: %s", error)
                await asyncio.sleep(_RESTART_S)

    async def _read(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=60_000)).values():
                for record in records:
                    self.positions[record.partition] = record.offset + 1
                    if record.value is not None and record.key is not None:
                        self._deliver(
                            ResultRecord(record.key, record.value, record.partition, record.offset, record.timestamp)
                        )

    def _deliver(self, result: ResultRecord) -> None:
        if result.key in self._seen:
            return
        self._seen[result.key] = None
        if len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)
        future = self._waiting.get(result.key)
        if future is not None and not future.done():
            future.set_result(result.value)
        for listener in tuple(self._listeners):
            listener(result)
