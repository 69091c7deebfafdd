"""When which fault happens: a function of the seed and the length of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    """What can be done to a running system.

    KILL_*: SIGKILL; the supervisor starts it again. TERM_*: SIGTERM. PAUSE_*: SIGSTOP for longer than the session
    timeout, then SIGCONT. STOP_POSTGRES: a fast shutdown (SIGINT). FLUSH_REDIS: FLUSHALL.
    FULL_DISK: the artifact store answers SQLSTATE 53100 for a while.
    """

    KILL_ORCHESTRATOR = "kill orchestrator"
    KILL_AGENTS = "kill agents"
    TERM_ORCHESTRATOR = "terminate orchestrator"
    TERM_AGENTS = "terminate agents"
    PAUSE_ORCHESTRATOR = "pause orchestrator"
    PAUSE_AGENTS = "pause agents"
    KILL_PROJECTOR = "kill projector"
    KILL_KAFKA = "kill kafka"
    KILL_POSTGRES = "kill postgres"
    STOP_POSTGRES = "stop postgres"
    KILL_REDIS = "kill redis"
    FLUSH_REDIS = "flush redis"
    FULL_DISK = "full disk"


# Seconds between two of a kind, on average. Together an orchestrator or agent worker is hit every 4 s or so.
_EVERY_S: Mapping[Kind, float] = {
    Kind.KILL_ORCHESTRATOR: 10,
    Kind.KILL_AGENTS: 12,
    Kind.TERM_ORCHESTRATOR: 45,
    Kind.TERM_AGENTS: 60,
    Kind.PAUSE_ORCHESTRATOR: 50,
    Kind.PAUSE_AGENTS: 55,
    Kind.KILL_PROJECTOR: 70,
    Kind.KILL_KAFKA: 60,
    Kind.KILL_POSTGRES: 75,
    Kind.STOP_POSTGRES: 75,
    Kind.KILL_REDIS: 50,
    Kind.FLUSH_REDIS: 15,
    Kind.FULL_DISK: 45,
}
_LASTS_S: Mapping[Kind, tuple[float, float]] = {
    Kind.PAUSE_ORCHESTRATOR: (7.5, 11.0),
    Kind.PAUSE_AGENTS: (7.5, 11.0),
    Kind.FULL_DISK: (3.0, 10.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at_s: seconds after the first submission.
        pick: which of several processes of the kind, any number; taken modulo how many there are.
        lasts_s: for pauses and the full disk.
    """

    at_s: float
    kind: Kind
    pick: int = 0
    lasts_s: float = 0.0


def schedule(seed: int, seconds: float) -> tuple[Fault, ...]:
    """Return the faults of a run in order of time; every kind happens at least once.

    Args:
        seed: the same seed gives the same faults.
        seconds: how long requests are submitted; nothing happens after that.
    """
    random = Random(f"faults/{seed}")
    found: list[Fault] = []
    for kind, every_s in _EVERY_S.items():
        count = max(1, round(seconds / every_s))
        for number in range(count):
            at_s = seconds * (number + random.random()) / count
            low, high = _LASTS_S.get(kind, (0.0, 0.0))
            found.append(Fault(round(at_s, 2), kind, random.randrange(1 << 16), round(random.uniform(low, high), 1)))
    return tuple(sorted(found, key=lambda fault: fault.at_s))
