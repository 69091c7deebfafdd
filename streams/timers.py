"""Due times of executions, kept in memory only.

One entry per execution: its earliest due time. Nothing here is durable; after each recovery the heap is rebuilt from
the state rows. When a time has come, `TimerFired` goes to `execution-signals`, and the engine decides what is due.
"""

import heapq
import time


class BrokerClock:
    """Estimates the broker's clock from append times, so that timers do not fire before the broker agrees.

    A record arrives after it was appended, so append time minus local time is at most the true skew; the largest of
    the recent ones is the best estimate.
    """

    _FORGET_MS_PER_EVENT = 0.01

    def __init__(self) -> None:
        self._skew_ms: float | None = None

    def observe(self, appended_at_ms: int) -> None:
        """Learn from a record that has just arrived from the log's end."""
        skew = appended_at_ms - time.time() * 1000
        if self._skew_ms is None or skew > self._skew_ms:
            # Records read long after they were appended say nothing about the clocks.
            self._skew_ms = max(skew, -5_000.0)
        else:
            self._skew_ms -= self._FORGET_MS_PER_EVENT

    def now_ms(self) -> int:
        """Return the broker's time, milliseconds since the epoch."""
        return int(time.time() * 1000 + (self._skew_ms or 0.0))


class TimerHeap:
    """Earliest due time of each execution.

    `arm` never postpones: an entry that comes up too early is armed again by whoever looks at the execution then.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, bytes]] = []
        self._armed: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, key: bytes, due_at_ms: int) -> None:
        """Make sure the execution comes up at this time or before."""
        armed = self._armed.get(key)
        if armed is None or due_at_ms < armed:
            self._armed[key] = due_at_ms
            heapq.heappush(self._heap, (due_at_ms, key))

    def next_due_at_ms(self) -> int | None:
        """Return when something comes up next; None if nothing is armed."""
        while self._heap:
            due, key = self._heap[0]
            if self._armed.get(key) == due:
                return due
            heapq.heappop(self._heap)
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
