"""What an orchestrator counts for its health report: executions by status, ignored events, late timers."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from orchestrator.execution import TERMINAL, Status

# As many late times as a p99 needs.
_LATE_KEPT = 1000
_NOT_LIVE = TERMINAL | {None, Status.CANCELLED_EARLY}


class Census:
    """Counters of one orchestrator.

    Attributes:
        live: executions that are not finished, by status, in the partitions owned.
        ignored: events that changed nothing, by the engine's note.
        early_cancels: cancels that came before their request, or whose request never came.
        results: results published, by status.
        dead_letters: records buried, by stage.
        timers_fired: signals sent.
        late_ms: how late the last timers fired by this worker's clock, milliseconds.
    """

    def __init__(self) -> None:
        self.live: Counter[Status] = Counter()
        self.ignored: Counter[str] = Counter()
        self.early_cancels = 0
        self.results: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.timers_fired = 0
        self.late_ms: deque[int] = deque(maxlen=_LATE_KEPT)

    def move(self, before: Status | None, after: Status) -> None:
        """Note that an execution has come to a status; None before for a new one."""
        if before is after:
            return
        if before is None and after is Status.CANCELLED_EARLY:
            self.early_cancels += 1
        if before not in _NOT_LIVE:
            self.live[before] -= 1  # type: ignore[index]
        if after not in _NOT_LIVE:
            self.live[after] += 1

    def recount(self) -> None:
        """Forget the executions; `move` counts those of a take-over again."""
        self.live.clear()

    def late_s(self, quantiles: Iterable[float]) -> dict[float, float]:
        """Return how late the last timers fired, seconds by quantile; empty before the first."""
        late = sorted(self.late_ms.copy())
        return {each: late[int(len(late) * each)] / 1000 for each in quantiles} if late else {}

    def report(self) -> dict[str, Any]:
        """Return the JSON members `live`, `ignored` and `timers_late_p99_ms` (None before the first timer)."""
        late = sorted(self.late_ms)
        return {
            "live": {status.value: count for status, count in self.live.items() if count},
            "ignored": {str(note): count for note, count in self.ignored.items()},
            "timers_late_p99_ms": late[int(len(late) * 0.99)] if late else None,
        }
