"""How often and how many at a time a capability is called in one worker process.

Both limits are per process: simple, and right without Redis; with several agent workers the whole system may do as
many times more. Calls wait their turn, first come first served, but not beyond their deadline. An answer from the cache
is no call.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from agents.capability import Description, Terms
from topics.errors import Code, RetryableError


class CallLimits:
    """The limits of all capabilities of a process.

    Args:
        descriptions: of these capabilities.

    Attributes:
        limited: names of the capabilities that have a limit.
    """

    def __init__(self, descriptions: Iterable[Description]) -> None:
        limited = [each.terms for each in descriptions if each.terms.concurrency_max or each.terms.rate_per_s]
        self.limited = frozenset(terms.name for terms in limited)
        self._places = {
            terms.name: asyncio.Semaphore(terms.concurrency_max) for terms in limited if terms.concurrency_max
        }
        self._free_at_s = {terms.name: 0.0 for terms in limited if terms.rate_per_s}

    @asynccontextmanager
    async def turn(self, terms: Terms, seconds: float) -> AsyncIterator[None]:
        """Wait until the capability may be called, and hold its place during the call.

        Args:
            terms: of the capability.
            seconds: to wait at most.

        Raises:
            RetryableError: STEP_TIMEOUT, it would be too late.
        """
        place = self._places.get(terms.name)
        until_s = time.monotonic() + seconds
        if place is not None:
            try:
                async with asyncio.timeout(seconds):
                    await place.acquire()
            except TimeoutError:
                raise _too_late(terms, f"more than {terms.concurrency_max} at a time") from None
        try:
            if terms.rate_per_s:
                await self._wait_for_rate(terms, terms.rate_per_s, until_s)
            yield
        finally:
            if place is not None:
                place.release()

    async def _wait_for_rate(self, terms: Terms, rate_per_s: float, until_s: float) -> None:
        """Take the next moment of an even rhythm; one beyond the deadline is left to others."""
        now_s = time.monotonic()
        turn_s = max(now_s, self._free_at_s[terms.name])
        if turn_s > until_s:
            raise _too_late(terms, f"more than {rate_per_s:g} per second")
        self._free_at_s[terms.name] = turn_s + 1 / rate_per_s
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)


def _too_late(terms: Terms, asked: str) -> RetryableError:
    message = f"{terms.name} was not called: its turn would have come after the deadline, since {asked} were asked for"
    return RetryableError(Code.STEP_TIMEOUT, message)
