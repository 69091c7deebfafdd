"""Circuit breakers: stop asking a service that does not answer, try it again later with one call.

closed --5 failures in a row--> open --60 s--> half-open: one trial --success--> closed, --failure--> open
"""

from dataclasses import dataclass

FAILURES_MAX = 5
PAUSE_MS = 60_000
# How long others wait for a trial's outcome. A trial whose worker died reports nothing.
TRIAL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Admission:
    """What a circuit says before a call; see `agents.ports.Admission`."""

    retry_after_s: float | None
    failures: int


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    refused_until_ms: int = 0


class MemoryBreaker:
    """Circuits of one process: for `dawsos try`, tests, and while Redis is away."""

    def __init__(self) -> None:
        self._circuits: dict[str, _Circuit] = {}

    async def admit(self, circuit: str, now_ms: int) -> Admission:
        """See `agents.ports.BreakerStore`."""
        state = self._circuits.get(circuit)
        if state is None:
            return Admission(None, 0)
        if state.failures < FAILURES_MAX:
            return Admission(None, state.failures)
        if now_ms < state.refused_until_ms:
            return Admission((state.refused_until_ms - now_ms) / 1000, state.failures)
        state.refused_until_ms = now_ms + TRIAL_MS
        return Admission(None, state.failures)

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        """See `agents.ports.BreakerStore`."""
        self._circuits.pop(circuit, None)

    async def failed(self, circuit: str, now_ms: int) -> None:
        """See `agents.ports.BreakerStore`."""
        state = self._circuits.setdefault(circuit, _Circuit())
        state.failures += 1
        if state.failures >= FAILURES_MAX:
            state.refused_until_ms = now_ms + PAUSE_MS
