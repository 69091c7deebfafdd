"""Recomputing finished executions, one at a time and beside the event loop: nobody else's request waits for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from db.postgres import open_pool
from gateway.problems import Problem
from services.replay import Replay
from services.stored_replay import replay_stored
from services.tokens import Principal
from settings import Settings
from topics.errors import Code

_WAITING_MAX = 8
_PATIENCE_S = 60.0
_POOL_SIZE = 2


class Recomputer:
    """Takes recomputations in turn.

    Args:
        settings: what `services.stored_replay` needs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "recomputation")
        self._waiting = 0

    async def replay(self, caller: Principal, execution_id: UUID) -> Replay | None:
        """Recompute an execution on its pins; None when the caller has no such finished execution.

        Raises:
            Problem: OVERLOADED when too many wait; DEADLINE_EXCEEDED when it takes longer than a minute.
            RetryableError: Postgres failed.
        """
        if self._waiting >= _WAITING_MAX:
            raise Problem(Code.OVERLOADED, "too many recomputations wait; try again later")
        self._waiting += 1
        future = self._thread.submit(self._run, caller, execution_id)
        # Who leaves does not make room before the work is done.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wrap_future(future)
        except TimeoutError:
            detail = f"recomputing took longer than {_PATIENCE_S:.0f} s; `dawsos replay` has no such limit"
            raise Problem(Code.DEADLINE_EXCEEDED, detail) from None

    def close(self) -> None:
        """Begin no other."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> None:
        self._waiting -= 1

    def _run(self, caller: Principal, execution_id: UUID) -> Replay | None:
        return asyncio.run(self._replay(caller, execution_id))

    async def _replay(self, caller: Principal, execution_id: UUID) -> Replay | None:
        # Connections belong to the loop that opened them.
        pool = await open_pool(self._settings.postgres_url(), size_max=_POOL_SIZE)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await replay_stored(self._settings, pool, caller.tenant, caller.user_id, execution_id)
        finally:
            await pool.close()
