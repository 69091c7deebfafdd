"""Acknowledge events in the order they were processed, each after everything it caused is confirmed."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any

from streams.failstop import fail_stop
from streams.kafka_port import KafkaPort

log = logging.getLogger(__name__)

WINDOW_EVENTS_MAX = 2000


class OrderedAcks:
    """A window of processed events and the deliveries they wait for, first in, first out.

    Events of one partition are acknowledged in offset order, so a committed offset never passes an event whose
    deliveries are not confirmed. A delivery that fails ends the process.

    Args:
        kafka: knows the generation of the consumer group.
        events_max: bound on events in the window; `add` waits for room.
    """

    def __init__(self, kafka: KafkaPort, events_max: int = WINDOW_EVENTS_MAX) -> None:
        self._kafka = kafka
        self._events_max = events_max
        self._window: deque[tuple[Any, Sequence[Awaitable[Any]]]] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None
        self.acknowledged = 0
        self.stale = 0

    async def add(self, event: Any, deliveries: Sequence[Awaitable[Any]]) -> None:
        """Take over an event with the deliveries it must wait for."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="ordered-acks")
        self._window.append((event, deliveries))
        self._wake.set()
        if len(self._window) >= self._events_max:
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """Stop; what is not acknowledged by now is delivered again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._window)

    async def _run(self) -> None:
        window = self._window
        try:
            while True:
                if not window:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                event, deliveries = window[0]
                for delivery in deliveries:
                    await delivery
                window.popleft()
                self._acknowledge(event)
                if not self._room.is_set() and len(window) < self._events_max // 2:
                    self._room.set()
        except Exception as error:
            fail_stop("Kafka did not confirm a delivery", error)

    def _acknowledge(self, event: Any) -> None:
        message = event.message
        if message.generation_id == self._kafka.generation:
            event.ack()
            self.acknowledged += 1
        else:
            # Fetched before a rebalance: the partition's owner of today gets it again.
            self._kafka.forget(message)
            self.stale += 1
