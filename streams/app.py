"""The orchestrator worker, wired explicitly: Faust app, table, window, patterns, processor, pack reader."""

import asyncio
import logging
import os
import shutil
import socket
from typing import Any
from uuid import uuid4

import faust

from orchestrator.catalogue import Catalogue
from orchestrator.registry import PatternRegistry
from settings import KafkaAddress, Settings
from streams.clients import MESSAGE_BYTES_MAX, start_producer, topic_name
from streams.compacted import CompactedReader
from streams.durable.acks import OrderedAcks
from streams.durable.app import REBALANCE_TIMEOUT_S, SESSION_TIMEOUT_S, make_app
from streams.durable.table import FencedTable
from streams.failstop import PauseWatch, fail_stop
from streams.kafka_port import FaustPort
from streams.lease import GroupLease
from streams.liveness import Place
from streams.orchestrator import Processor
from streams.pattern_book import PatternBook
from streams.places import behind, ends_of
from topics.table import EXECUTION_REQUESTS, PACK_EVENTS

log = logging.getLogger(__name__)

GROUP = "orchestrator"
TABLE = "executions"
_STOP_TIMEOUT_S = 20.0
# Heartbeats come every 1.5 s.
_LESS_S = 1.0
# While state is recovered nothing is committed; a million rows take minutes.
_RECOVERY_PATIENCE = 20.0


class OrchestratorWorker:
    """One orchestrator process: start, serve, stop.

    Args:
        settings: checked settings; topics exist.
        registry: patterns new executions may start.
        catalogue: capabilities older pattern versions are compiled against.
    """

    def __init__(self, settings: Settings, registry: PatternRegistry, catalogue: Catalogue) -> None:
        owner = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}".lower()
        address = settings.kafka_address()
        self._settings = settings
        self._folder = settings.data_dir / "faust" / owner
        self._app = make_app(
            topic_name(settings, GROUP),
            owner=owner,
            brokers=list(address.hosts),
            partitions=settings.partitions,
            replication=settings.replication,
            data_dir=self._folder,
            message_bytes_max=MESSAGE_BYTES_MAX,
            credentials=_credentials(address),
        )
        table = self._app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=settings.partitions)
        assert isinstance(table, FencedTable)
        kafka = FaustPort(self._app)
        self._table = table
        self._acks = OrderedAcks(kafka)
        self._pause_watch = PauseWatch(SESSION_TIMEOUT_S / 2)
        lease = self._app.lease = GroupLease(SESSION_TIMEOUT_S - _LESS_S, REBALANCE_TIMEOUT_S - _LESS_S)
        self._patterns = PatternBook(settings, registry, catalogue)
        self.processor = Processor(settings, kafka, table, self._acks, self._patterns, self._pause_watch, lease)
        self._packs = CompactedReader(settings, PACK_EVENTS, "orchestrator-packs", self.processor.freshness.on_record)
        self._tasks: list[asyncio.Task[None]] = []
        inputs = self._app.topic(
            *self.processor.sources,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )
        # The agent makes Faust subscribe to the topics and keep their offsets; the records come to the handler.
        self._app.agent(inputs, name="orchestrator", concurrency=1)(_idle)
        self._app.handler = self._process

    async def _process(self, event: Any) -> None:
        """Handle one event; no execution is ever handled by two tasks."""
        try:
            await self.processor.handle(event)
        except Exception as error:
            # Faust would acknowledge the event and go on.
            fail_stop("the processor failed outside the engine", error)

    @property
    def acknowledged(self) -> int:
        """Events processed, with everything they caused confirmed."""
        return self._acks.acknowledged

    @property
    def owned(self) -> list[int]:
        """Partitions whose rows this worker may write now."""
        return [number for number in range(self._settings.partitions) if self._table.owns(number)]

    @property
    def rows(self) -> int:
        """Rows of state in memory."""
        return len(self._table.store.data)

    async def places(self) -> dict[tuple[str, int], Place]:
        """Return where this worker stands in the partitions it is assigned.

        Raises:
            KafkaError: the broker does not answer.
        """
        consumer: Any = self._app.consumer
        kafka = consumer._thread._consumer
        if kafka is None:
            return {}
        inputs = [tp for tp in kafka.assignment() if tp.topic in self.processor.sources]
        held, requests = self.processor.flow.held(), topic_name(self._settings, EXECUTION_REQUESTS)
        found: dict[tuple[str, int], Place] = {}
        for tp, (end, read) in (await ends_of(kafka, inputs)).items():
            committed, following = consumer._committed_offset.get(tp), consumer._next_offset.get(tp, 0)
            if committed is None:
                taken = any(message.tp == tp for message in list(consumer._unacked_messages))
            else:
                taken = following > committed
            waiting = max(1, end - (committed or 0)) if taken or behind(read, committed or 0, end) else 0
            if not self._table.owns(tp.partition):
                patience = _RECOVERY_PATIENCE
            else:
                patience = 0.0 if tp.topic == requests and tp.partition in held else 1.0
            found[tp.topic, tp.partition] = Place(-1 if committed is None else committed, end, waiting, patience)
        return found

    async def start(self) -> None:
        """Return when state is recovered and events are being processed."""
        producer = await start_producer(self._settings, "orchestrator-start")
        try:
            await self._patterns.start(producer)
        finally:
            await producer.stop()
        await self._packs.start()
        self._tasks = [
            asyncio.create_task(self._pause_watch.run(), name="pause-watch"),
            asyncio.create_task(self.processor.run_timers(), name="timers"),
        ]
        await self._app.start()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then finish what is under way, commit and leave; a crash ends the process."""
        crashed = asyncio.create_task(self._app._crashed.wait())
        stopping = asyncio.create_task(stop.wait())
        done, waiting = await asyncio.wait([stopping, crashed, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        if stopping not in done:
            failures = [task.exception() for task in done if not task.cancelled()]
            fail_stop("the worker crashed", self._app.crash_reason or next(filter(None, failures), None))
        crashed.cancel()
        await self.stop()
        del waiting

    async def stop(self) -> None:
        """Drain and leave the group."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._packs.stop()
        await self._patterns.stop()
        try:
            await asyncio.wait_for(self._app.stop(), _STOP_TIMEOUT_S)
        except TimeoutError as error:
            fail_stop(f"could not drain within {_STOP_TIMEOUT_S:.0f} s", error)
        await self._acks.close()
        shutil.rmtree(self._folder, ignore_errors=True)


async def _idle(stream: Any) -> None:
    async for event in stream.noack().events():
        fail_stop(f"a record came to the stream instead of the handler: {event}")


def _credentials(address: KafkaAddress) -> Any:
    context = address.client_kwargs().get("ssl_context")
    if address.user is not None:
        return faust.SASLCredentials(
            username=address.user, password=address.password, ssl_context=context, mechanism=address.mechanism
        )
    return faust.SSLCredentials(context=context) if context is not None else None
