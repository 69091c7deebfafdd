"""Checking and recomputing finished executions, one at a time and beside the event loop: nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from db.postgres import open_pool
from gateway.problems import Problem
from settings import Settings
from topics.errors import Code

if TYPE_CHECKING:
    from db.postgres import Pool

T = TypeVar("T")
_WAITING_MAX = 8
_PATIENCE_S = 60.0
_POOL_SIZE = 2


class Recomputer:
    """Does work in turn, in a thread with an event loop of its own.

    Args:
        settings: where Postgres is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "recomputation")
        self._waiting = 0

    async def run(self, work: Callable[[Pool], Awaitable[T]]) -> T:
        """Return what some work gives.

        Args:
            work: gets a pool of the thread's own, with the application's role; may keep its loop busy.

        Raises:
            Problem: OVERLOADED when too much waits; DEADLINE_EXCEEDED when it takes longer than a minute.
            RetryableError: Postgres failed.
        """
        if self._waiting >= _WAITING_MAX:
            raise Problem(Code.OVERLOADED, "too many recomputations wait; try again later")
        self._waiting += 1
        future = self._thread.submit(lambda: asyncio.run(self._run(work)))
        # Who leaves does not make room before the work is done.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wrap_future(future)
        except TimeoutError:
            detail = f"it took longer than {_PATIENCE_S:.0f} s; the command line has no such limit"
            raise Problem(Code.DEADLINE_EXCEEDED, detail) from None

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> None:
        self._waiting -= 1

    async def _run(self, work: Callable[[Pool], Awaitable[T]]) -> T:
        # Connections belong to the loop that opened them.
        pool = await open_pool(self._settings.postgres_url(), size_max=_POOL_SIZE)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await work(pool)
        finally:
            await pool.close()
