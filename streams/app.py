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
from streams.durable.app import SESSION_TIMEOUT_S, make_app
from streams.durable.table import FencedTable
from streams.failstop import PauseWatch, fail_stop
from streams.kafka_port import FaustPort
from streams.orchestrator import Processor
from streams.pattern_book import PatternBook
from topics.table import PACK_EVENTS

log = logging.getLogger(__name__)

GROUP = "orchestrator"
TABLE = "executions"
_STOP_TIMEOUT_S = 20.0


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
        self._acks = OrderedAcks(kafka)
        self._pause_watch = PauseWatch(SESSION_TIMEOUT_S / 2)
        self._patterns = PatternBook(settings, registry, catalogue)
        self.processor = Processor(settings, kafka, table, self._acks, self._patterns, self._pause_watch)
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
