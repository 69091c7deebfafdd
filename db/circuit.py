"""When a circuit breaker opens and closes. Pure; `db.breaker` keeps the state in Redis, `db.memory` in a dict.

    closed ──5th failure in a row──► open ──pause──► half-open: one trial
       ▲                              ▲                 │      │
       └───────────success────────────┼─────────────────┘      │
                                      └────────failure─────────┘

The first pause is 1 s, each failed trial doubles it up to 60 s. Under load five calls fail at the same moment, so five
failures in a row say little about how long a service will be away; what the trials find does. A restart of Postgres
costs a few seconds, a service that stays away is asked once a minute.

Others wait for a trial's outcome, as long as the pause was but at most 10 s; after that (its worker died, or it is
slow) there is another one.
"""

from dataclasses import dataclass, replace

FAILURES_MAX = 5
FIRST_PAUSE_MS = 1_000
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
        pause_ms: how long the newest pause is; 0 while closed.
    """

    failures: int = 0
    open_until_ms: int = 0
    trial_until_ms: int = 0
    pause_ms: int = 0


CLOSED = Circuit()


def admit(circuit: Circuit, now_ms: int) -> tuple[Circuit, Admission]:
    """Ask before a call; the first one after the pause becomes the trial."""
    if circuit.open_until_ms == 0:
        return circuit, Admission(None, circuit.failures)
    wait_ms = max(circuit.open_until_ms, circuit.trial_until_ms) - now_ms
    if wait_ms > 0:
        return circuit, Admission(wait_ms / 1000, circuit.failures)
    return replace(circuit, trial_until_ms=now_ms + min(circuit.pause_ms, TRIAL_MS)), Admission(None, circuit.failures)


def failed(circuit: Circuit, now_ms: int) -> Circuit:
    """Count a failure. While the circuit pauses, late failures of earlier calls do not prolong the pause."""
    failures = circuit.failures + 1
    trial_failed = 0 < circuit.open_until_ms <= now_ms
    if trial_failed or (circuit.open_until_ms == 0 and failures >= FAILURES_MAX):
        pause_ms = min(circuit.pause_ms * 2 or FIRST_PAUSE_MS, PAUSE_MS)
        return Circuit(failures, now_ms + pause_ms, pause_ms=pause_ms)
    return replace(circuit, failures=failures)
