"""When a circuit breaker opens and closes. Pure; `db.breaker` keeps the state in Redis, `db.memory` in a dict.

    closed ──5th failure in a row──► open ──60 s──► half-open: one trial
       ▲                              ▲                │      │
       └───────────success────────────┼────────────────┘      │
                                      └───────failure─────────┘

Others wait for a trial's outcome for 10 s; after that (its worker died, or it is slow) there is another one.
"""

from dataclasses import dataclass, replace

FAILURES_MAX = 5
PAUSE_MS = 60_000
TRIAL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Admission:
    """What a circuit says before a call.

    Attributes:
        retry_after_s: None = go ahead; else the circuit is open for that long.
        failures: consecutive failures on record; a success need only be reported when this is above 0.
    """

    retry_after_s: float | None
    failures: int


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of one circuit.

    Attributes:
        failures: in a row.
        open_until_ms: end of the pause; 0 while closed, kept while half-open.
        trial_until_ms: until when a trial is under way; 0 for none.
    """

    failures: int = 0
    open_until_ms: int = 0
    trial_until_ms: int = 0


CLOSED = Circuit()


def admit(circuit: Circuit, now_ms: int) -> tuple[Circuit, Admission]:
    """Ask before a call; the first one after the pause becomes the trial."""
    if circuit.open_until_ms == 0:
        return circuit, Admission(None, circuit.failures)
    wait_ms = max(circuit.open_until_ms, circuit.trial_until_ms) - now_ms
    if wait_ms > 0:
        return circuit, Admission(wait_ms / 1000, circuit.failures)
    return replace(circuit, trial_until_ms=now_ms + TRIAL_MS), Admission(None, circuit.failures)


def failed(circuit: Circuit, now_ms: int) -> Circuit:
    """Count a failure. While the circuit pauses, late failures of earlier calls do not prolong the pause."""
    failures = circuit.failures + 1
    trial_failed = 0 < circuit.open_until_ms <= now_ms
    if trial_failed or (circuit.open_until_ms == 0 and failures >= FAILURES_MAX):
        return Circuit(failures, now_ms + PAUSE_MS)
    return replace(circuit, failures=failures)
