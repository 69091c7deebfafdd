"""Time as the in-process runner sees it: an input, so that tests need not wait."""

import asyncio
import time
from typing import Protocol


class NowClock(Protocol):
    """Milliseconds since the epoch."""

    def now_ms(self) -> int:
        """Return the present moment."""
        ...


class Clock(NowClock, Protocol):
    """Milliseconds since the epoch, and waiting for a moment."""

    async def wait_until(self, at_ms: int) -> None:
        """Return at or after a moment."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present moment."""
        return time.time_ns() // 1_000_000

    async def wait_until(self, at_ms: int) -> None:
        """Return at or after a moment."""
        # A sleep may end a little early; the engine arms a timer that comes early again.
        await asyncio.sleep(max(at_ms - self.now_ms(), 0) / 1000)
