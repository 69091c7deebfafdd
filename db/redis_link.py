"""One connection to Redis that may be lost at any time without anyone waiting for it.

Every operation has a short time limit. When one fails, Redis is left alone for a pause, so that a dead Redis costs one
time limit per pause and nothing per call. The loss and the return are each logged once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
_CONNECTIONS_MAX = 32
T = TypeVar("T")


class _Away:
    """Redis gave no answer."""


AWAY: Final = _Away()


class RedisLink:
    """A Redis client behind a time limit and a pause after failures.

    Args:
        url: `redis://…` or `rediss://…`.
        timeout_s: longest an operation may take.
        pause_s: how long Redis is left alone after a failure.
        monotonic: seconds that never go back.

    Attributes:
        failures: operations that failed since the start, pauses not counted.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 0.25,
        pause_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client: Redis = Redis.from_url(
            url,
            # Each operation has its time limit below; one for each read and write again would cost a third more.
            socket_timeout=None,
            protocol=2,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=_CONNECTIONS_MAX,
        )
        # The client refuses what finds no connection, which is no word about Redis: it waits for its turn here.
        self._turns = asyncio.Semaphore(_CONNECTIONS_MAX)
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._away_until = 0.0
        self._lost = False
        self.failures = 0

    async def ask(self, operation: Callable[[Redis], Awaitable[T]]) -> T | _Away:
        """Run one operation; `AWAY` when Redis gave no answer in time or is left alone."""
        if self._is_away():
            return AWAY
        async with self._turns:
            return AWAY if self._is_away() else await self._ask(operation)

    def _is_away(self) -> bool:
        return self._monotonic() < self._away_until

    async def _ask(self, operation: Callable[[Redis], Awaitable[T]]) -> T | _Away:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await operation(self._client)
        except (RedisError, OSError, TimeoutError) as error:
            self.failures += 1
            self._away_until = self._monotonic() + self._pause_s
            if not self._lost:
                self._lost = True
                log.warning("Redis does not answer, going on without it: %s", error or type(error).__name__)
            return AWAY
        if self._lost:
            self._lost = False
            log.info("Redis answers again")
        return answer

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
