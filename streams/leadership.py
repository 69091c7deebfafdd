"""One leader among several processes, by an advisory lock in Postgres.

The lock belongs to one connection: when the leader dies or loses Postgres, the lock is free at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

log = logging.getLogger(__name__)

_TRY_EVERY_S = 1.0
_CHECK_EVERY_S = 2.0


class LeadershipLost(Exception):
    """The connection that held the lock is gone; somebody else may lead by now."""


@asynccontextmanager
async def leadership(postgres_url: str, key: int, stop: asyncio.Event) -> AsyncIterator[asyncio.Task[None] | None]:
    """Wait to become the leader, and stay it inside the block.

    Args:
        postgres_url: the connection is this function's own: a pool would share it.
        key: which leadership; equal for all candidates.
        stop: gives up waiting.

    Yields:
        a task that ends with LeadershipLost when the lock is gone; None if `stop` came first.
    """
    connection = await asyncpg.connect(postgres_url, timeout=10, command_timeout=10)
    watch: asyncio.Task[None] | None = None
    try:
        waited = False
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
            if not waited:
                log.info("another process leads; standing by")
                waited = True
            try:
                await asyncio.wait_for(stop.wait(), _TRY_EVERY_S)
            except TimeoutError:
                continue
            yield None
            return
        watch = asyncio.create_task(_watch(connection), name="leadership")
        yield watch
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        await connection.close(timeout=5)


async def _watch(connection: Any) -> None:
    while True:
        await asyncio.sleep(_CHECK_EVERY_S)
        try:
            await connection.fetchval("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise LeadershipLost(f"lost the connection that holds the lock: {error}") from error
