"""Circuit breakers: stop asking a service that does not answer, try it again later with one call.

closed --5 failures in a row--> open --pause--> half-open: one trial --success--> closed, --failure--> open

The first pause is 1 s, each failed trial doubles it up to 60 s: under load five calls fail at the same moment, which
says little about how long the service will be away.
"""

from dataclasses import dataclass

FAILURES_MAX = 5
FIRST_PAUSE_MS = 1_000
PAUSE_MS = 60_000
# How long others wait for a trial's outcome, but no longer than the pause was: one whose worker died reports nothing.
TRIAL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Admission:
    """What a circuit says before a call; see `agents.store_ports.Admission`."""

    retry_after_s: float | None
    failures: int


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    refused_until_ms: int = 0
    paused_until_ms: int = 0
    pause_ms: int = 0


class MemoryBreaker:
    """Circuits of one process: for `dawsos try`, tests, and while Redis is away."""

    def __init__(self) -> None:
        self._circuits: dict[str, _Circuit] = {}

    async def admit(self, circuit: str, now_ms: int) -> Admission:
        """See `agents.store_ports.BreakerStore`."""
        state = self._circuits.get(circuit)
        if state is None:
            return Admission(None, 0)
        if state.failures < FAILURES_MAX:
            return Admission(None, state.failures)
        if now_ms < state.refused_until_ms:
            return Admission((state.refused_until_ms - now_ms) / 1000, state.failures)
        state.refused_until_ms = now_ms + min(state.pause_ms, TRIAL_MS)
        return Admission(None, state.failures)

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        """See `agents.store_ports.BreakerStore`."""
        self._circuits.pop(circuit, None)

    async def failed(self, circuit: str, now_ms: int) -> None:
        """See `agents.store_ports.BreakerStore`."""
        state = self._circuits.setdefault(circuit, _Circuit())
        state.failures += 1
        # Late failures of calls that began before the pause do not prolong it.
        if state.failures >= FAILURES_MAX and now_ms >= state.paused_until_ms:
            state.pause_ms = min(state.pause_ms * 2 or FIRST_PAUSE_MS, PAUSE_MS)
            state.paused_until_ms = state.refused_until_ms = now_ms + state.pause_ms
