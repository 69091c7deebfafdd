"""The transactional outbox of pack events.

A trigger writes one row per status change of a pack, in the transaction of the change, so an event is never lost and
never precedes its commit. `seq` follows commit order, because status changes of all packs take one lock. The relay
publishes what is pending, waits for the broker's confirmation, then marks it: a crash in between publishes twice, and
readers keep the highest `seq` of a pack.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from db.postgres import Pool, upstream_failures
from db.sql import query
from topics.messages import PackEvent, PackRef

CHANNEL = "pack_outbox"


class OutboxRepository:
    """Pack events that wait to be published. Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def pending(self, limit: int = 500) -> tuple[PackEvent, ...]:
        """Return unpublished events in order of `seq`."""
        with upstream_failures("reading the outbox"):
            rows = await self._pool.fetch(query("outbox_pending"), limit)
        return tuple(PackEvent(pack=PackRef.model_validate_json(row["pack"]), seq=row["seq"]) for row in rows)

    async def mark_published(self, seqs: Sequence[int]) -> None:
        """Note that the broker has confirmed these events."""
        with upstream_failures("marking the outbox"):
            await self._pool.execute(query("outbox_mark"), list(seqs))

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[asyncio.Event]:
        """Hold a connection that sets the event whenever a status change was committed.

        A wake-up only: look for pending events first, clear the event before looking, and look now and then anyway,
        since a lost connection tells nothing.
        """
        changed = asyncio.Event()

        def note(*_: object) -> None:
            changed.set()

        with upstream_failures("listening to the outbox"):
            async with self._pool.acquire(timeout=30.0) as connection:
                await connection.add_listener(CHANNEL, note)
                try:
                    yield changed
                finally:
                    if not connection.is_closed():
                        await connection.remove_listener(CHANNEL, note)
