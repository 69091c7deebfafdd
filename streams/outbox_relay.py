"""Publishes committed pack status changes: what the outbox holds goes to `pack-events`, in order, confirmed."""

import asyncio
import logging
from typing import Any

from db.outbox import OutboxRepository
from db.postgres import Pool
from settings import Settings
from streams.clients import topic_name
from topics.codec import encode
from topics.errors import RetryableError
from topics.table import PACK_EVENTS

log = logging.getLogger(__name__)

_POLL_S = 2.0
_RETRY_S = 1.0


class OutboxRelay:
    """Relays while this process leads. A notification wakes it; a poll makes up for lost ones.

    Args:
        settings: prefix.
        pool: Postgres, the application's role.
        producer: a started idempotent producer.
    """

    def __init__(self, settings: Settings, pool: Pool, producer: Any) -> None:
        self._outbox = OutboxRepository(pool)
        self._producer = producer
        self._topic = topic_name(settings, PACK_EVENTS)

    async def run(self) -> None:
        """Relay until cancelled; Postgres may go and come back."""
        while True:
            try:
                async with self._outbox.changes() as changed:
                    while True:
                        changed.clear()
                        await self.relay_pending()
                        try:
                            await asyncio.wait_for(changed.wait(), _POLL_S)
                        except TimeoutError:
                            continue
            except RetryableError as error:
                log.warning("the outbox cannot be read, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def relay_pending(self) -> int:
        """Publish and mark everything pending; returns how many events."""
        count = 0
        while events := await self._outbox.pending():
            deliveries = []
            for event in events:
                key = str(event.pack.pack_id).encode()
                deliveries.append(await self._producer.send(self._topic, encode(event), key))
            await asyncio.gather(*deliveries)
            await self._outbox.mark_published([event.seq for event in events])
            count += len(events)
        return count
