"""Due times of executions, kept in memory only.

One entry per execution: its earliest due time. Nothing here is durable; after each recovery the heap is rebuilt from
the state rows. When a time has come, `TimerFired` goes to `execution-signals`, and the engine decides what is due.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import suppress


class BrokerClock:
    """Estimates the broker's clock from append times, so that timers do not fire before the broker agrees.

    A record arrives after it was appended, so at that moment the broker's clock shows at least its append time: the
    estimate never falls behind what was seen. It does not run ahead either: a timer that the broker's append time
    proves to have come early sets it back. Between observations the monotonic clock counts, so a wrong or stepped
    clock of this machine has no influence.

    Args:
        monotonic_s: seconds that pass evenly.
        wall_s: seconds since the epoch, believed only until the first record.
    """

    # A computer's clock drifts by less than 100 ppm; twice that is given up for each second without better knowledge.
    _FORGET_PER_S = 0.0002

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic, wall_s: Callable[[], float] = time.time):
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._offset_ms: float | None = None
        self._seen_at_s = 0.0

    def observe(self, appended_at_ms: int) -> None:
        """Learn from a record that has just arrived."""
        now_s = self._monotonic_s()
        offset = appended_at_ms - now_s * 1000
        known = self._offset_ms
        if known is None or offset > known:
            self._offset_ms = offset
        else:
            self._offset_ms = max(offset, known - (now_s - self._seen_at_s) * 1000 * self._FORGET_PER_S)
        self._seen_at_s = now_s

    def set(self, broker_ms: int) -> None:
        """Take the broker's time as of now, whatever was believed before."""
        self._seen_at_s = self._monotonic_s()
        self._offset_ms = broker_ms - self._seen_at_s * 1000

    def came_early(self, due_at_ms: int, appended_at_ms: int) -> None:
        """Learn from a timer that was sent when this clock said `due_at_ms`, and appended before that."""
        if self._offset_ms is not None:
            self._offset_ms -= due_at_ms - appended_at_ms
            self.observe(appended_at_ms)

    def now_ms(self) -> int:
        """Return the broker's time, milliseconds since the epoch."""
        if self._offset_ms is None:
            return int(self._wall_s() * 1000)
        return int(self._monotonic_s() * 1000 + self._offset_ms)


class TimerHeap:
    """Earliest due time of each execution.

    One that is postponed or disarmed keeps its place in the heap until that time has come, and costs nothing more then.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, bytes]] = []
        self._armed: dict[bytes, int] = {}
        self._later: dict[bytes, int] = {}
        self._nearer = asyncio.Event()

    def __len__(self) -> int:
        return len(self._armed)

    def due_at_ms(self, key: bytes) -> int | None:
        """Return when an execution comes up; None if it does not."""
        return self._later.get(key) or self._armed.get(key)

    def arm(self, key: bytes, due_at_ms: int) -> None:
        """Make sure the execution comes up at this time or before."""
        armed = self._armed.get(key)
        if armed is None or due_at_ms < armed:
            if not self._heap or due_at_ms < self._heap[0][0]:
                self._nearer.set()
            self._armed[key] = due_at_ms
            self._later.pop(key, None)
            heapq.heappush(self._heap, (due_at_ms, key))
        elif due_at_ms < self._later.get(key, 0):
            self._later[key] = due_at_ms

    def postpone(self, key: bytes, due_at_ms: int) -> None:
        """Let the execution come up at this time and not before."""
        if due_at_ms > self._armed.get(key, due_at_ms):
            self._later[key] = due_at_ms
        else:
            self._later.pop(key, None)
            self.arm(key, due_at_ms)

    def disarm(self, key: bytes) -> None:
        """Let the execution not come up."""
        self._armed.pop(key, None)
        self._later.pop(key, None)

    def later_than(self, key: bytes, due_at_ms: int) -> bool:
        """Tell whether an execution that is to come up at a time (0: never) comes up later, or not at all."""
        return due_at_ms != 0 and (self.due_at_ms(key) or due_at_ms + 1) > due_at_ms

    async def until_nearer(self, wait_s: float) -> None:
        """Wait; return sooner if something is armed that comes up before everything else."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nearer.wait(), wait_s)
        self._nearer.clear()

    def next_due_at_ms(self) -> int | None:
        """Return when something comes up next; None if nothing is armed."""
        while self._heap:
            due, key = self._heap[0]
            if self._armed.get(key) != due:
                heapq.heappop(self._heap)
                continue
            later = self._later.pop(key, None)
            if later is None:
                return due
            self._armed[key] = later
            heapq.heapreplace(self._heap, (later, key))
        return None

    def pop_due(self, now_ms: int, count_max: int) -> list[bytes]:
        """Disarm and return executions whose time has come, earliest first."""
        due: list[bytes] = []
        while len(due) < count_max:
            at = self.next_due_at_ms()
            if at is None or at > now_ms:
                break
            _, key = heapq.heappop(self._heap)
            del self._armed[key]
            due.append(key)
        return due

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._armed.clear()
        self._later.clear()
