"""Checking and recomputing finished executions, one at a time and beside the event loop: nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from db.postgres import open_pool
from gateway.problems import Problem
from services.tokens import Principal
from settings import Settings
from streams.stopping import Stopping, unless_stopping
from topics.errors import Code

if TYPE_CHECKING:
    from db.postgres import Pool

T = TypeVar("T")
Owner = tuple[str, UUID]
_WAITING_MAX = 16
_WAITING_USER_MAX = 4
_PATIENCE_S = 60.0
_POOL_SIZE = 2


class Recomputer:
    """Does work in turn, in a thread with an event loop of its own.

    Args:
        settings: where Postgres is.
        stopping: set when nobody is to wait any longer.
    """

    def __init__(self, settings: Settings, stopping: asyncio.Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._thread = ThreadPoolExecutor(1, "recomputation")
        self._waiting: Counter[Owner] = Counter()

    async def run(self, caller: Principal, work: Callable[[Pool], Awaitable[T]]) -> T:
        """Return what some work gives.

        Args:
            caller: on whose behalf; nobody fills the queue for others.
            work: gets a pool of the thread's own, with the application's role; may keep its loop busy.

        Raises:
            Problem: RATE_LIMITED, OVERLOADED when too much waits, of this user or of all, or the process is to stop;
                DEADLINE_EXCEEDED when it takes longer than a minute.
            RetryableError: Postgres failed.
        """
        owner = (caller.tenant, caller.user_id)
        if self._waiting[owner] >= _WAITING_USER_MAX:
            raise Problem(Code.RATE_LIMITED, "too many recomputations of this user wait")
        if self._waiting.total() >= _WAITING_MAX:
            raise Problem(Code.OVERLOADED, "too many recomputations wait; try again later")
        self._waiting[owner] += 1
        future = self._thread.submit(lambda: asyncio.run(self._run(work)))
        # Who leaves does not make room before the work is done.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._done, owner))
        try:
            # What has not begun does not begin for somebody who left.
            return await unless_stopping(self._stopping, asyncio.wrap_future(future))
        except Stopping:
            raise Problem(Code.OVERLOADED, "this gateway is about to stop; try again", retry_after_s=1) from None
        except TimeoutError:
            detail = f"it took longer than {_PATIENCE_S:.0f} s; the command line has no such limit"
            raise Problem(Code.DEADLINE_EXCEEDED, detail) from None

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self, owner: Owner) -> None:
        self._waiting[owner] -= 1
        if not self._waiting[owner]:
            del self._waiting[owner]

    async def _run(self, work: Callable[[Pool], Awaitable[T]]) -> T:
        # Connections belong to the loop that opened them.
        pool = await open_pool(self._settings.postgres_url(), size_max=_POOL_SIZE)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await work(pool)
        finally:
            await pool.close()
