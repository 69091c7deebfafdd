"""End the process at once when going on could lose or duplicate work.

A graceful stop of a Faust worker acknowledges what is in flight, so after a delivery that Kafka did not confirm it is
the wrong thing to do. The supervisor starts the worker again, and everything unconfirmed is delivered again.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

log = logging.getLogger(__name__)

EXIT_FAIL_STOP = 70
_BEAT_S = 0.25


def fail_stop(reason: str, error: BaseException | None = None) -> NoReturn:
    """Log why and leave with exit code 70, running no clean-up."""
    leave(reason, error)


def _leave_process(reason: str, error: BaseException | None) -> NoReturn:
    log.critical("fail-stop: %s", reason, exc_info=error)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(EXIT_FAIL_STOP)


# The simulator, where many workers share one process, puts something else here.
leave: Callable[[str, BaseException | None], NoReturn] = _leave_process


def boot_clock_s() -> float:
    """Return seconds that go on while the machine is suspended."""
    # Unlike the monotonic clock, the boot clock goes on while the machine is suspended.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class PauseWatch:
    """Notices that this process did not run for a while (SIGSTOP, suspended machine, blocked loop).

    While a worker sleeps the group gives its partitions to another one; whatever it publishes after waking up is
    stale. So it must look at this watch before each publication, and leave if the pause was too long.

    Args:
        limit_s: longest harmless pause; half the consumer group's session timeout.
        now_s: seconds that go on while the process does not; None for the machine's boot clock.
    """

    def __init__(self, limit_s: float, now_s: Callable[[], float] | None = None) -> None:
        self._limit_s = limit_s
        self._now_s = now_s or boot_clock_s
        self._beat_at = self._now_s()

    def check(self) -> None:
        """End the process if the last beat is older than the limit."""
        pause_s = self._now_s() - self._beat_at
        if pause_s > self._limit_s:
            fail_stop(f"paused for {pause_s:.2f} s, longest harmless pause is {self._limit_s:g} s")

    async def run(self) -> None:
        """Beat four times a second until cancelled."""
        self._beat_at = self._now_s()
        while True:
            await asyncio.sleep(_BEAT_S)
            self.check()
            self._beat_at = self._now_s()
