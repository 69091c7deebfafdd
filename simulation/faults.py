"""What goes wrong in a run: a function of its seed, known before it begins.

Each kind of fault is switched on or off by itself ("swarm testing"): runs with one kind of trouble in abundance find
what an even mixture hides. A kind has random numbers of its own, so that leaving one out does not change the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from random import Random

FAULTS_END_S = 20.0
"""From here on nothing goes wrong any more, so every execution can end."""


class Point(IntEnum):
    """Where a worker can be killed or stopped. Every passage of one has a number in its run."""

    DECODE = 1
    """A record is at hand, nothing is done yet."""
    LOAD = 2
    """It is decoded; its execution is about to be loaded."""
    STORE = 3
    """A row is about to be sent to the changelog; what the engine decided is known."""
    PUBLISH = 4
    """Any other message is about to be sent."""
    CONFIRM = 5
    """The broker's confirmation has arrived."""
    ACK = 6
    """Everything is confirmed, the record is about to be acknowledged."""
    COMMIT = 7
    """Offsets are about to be committed."""
    CALL = 8
    """An agent is about to do what it was asked for."""
    DONE = 9
    """It has been done, and not been answered yet."""
    RECOVER = 10
    """A changelog partition is about to be read."""


class Kind(StrEnum):
    """Kinds of trouble."""

    CRASH = "crash"
    """Workers are killed at numbered points."""
    PAUSE = "pause"
    """Workers are stopped at numbered points, for less or more than the session timeout."""
    REBALANCE = "rebalance"
    """Workers join and leave."""
    NETWORK = "network"
    """Requests and confirmations are lost or slow."""
    UNDELIVERED = "undelivered"
    """Records are appended but never confirmed."""
    AGENT = "agent"
    """Calls fail, hang, or are slow; requests to agents vanish; answers come twice."""
    OUTAGE = "outage"
    """A service behind the agents is away for seconds, so that circuits open."""
    REDIS = "redis"
    """Redis is flushed, or away."""
    PACKS = "packs"
    """Packs become fresh, fail and are superseded while executions resolve and park."""
    CANCEL = "cancel"
    """Executions are cancelled: before their request, while parked, while running, afterwards."""
    REPEAT = "repeat"
    """Requests come twice, in conflict, or for executions that ended; signals come twice."""
    TIMERS = "timers"
    """Timers come early and twice; workers' clocks drift and jump."""
    GARBAGE = "garbage"
    """Records nobody can decode, and requests on partitions that are not theirs."""
    CROWD = "crowd"
    """Limits on executions in flight are so low that they queue."""
    UPGRADE = "upgrade"
    """Workers restart with a newer version of a pattern."""


@dataclass(frozen=True, slots=True)
class Dice:
    """Random numbers, one source for each part of the world."""

    plan: Random
    client: Random
    faults: Random
    network: Random
    agents: Random
    order: Random

    @classmethod
    def of(cls, seed: int) -> "Dice":
        """Return the dice of a seed."""
        return cls(*(Random(seed * 16 + number) for number in range(6)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong in one run.

    Attributes:
        kinds: that are switched on.
        partitions, orchestrators, agents: how many there are.
        crashes, pauses: numbers of points where the worker that passes is killed, or stopped for so many seconds.
        network, undelivered: shares of records.
    """

    kinds: frozenset[Kind]
    partitions: int
    orchestrators: int
    agents: int
    crashes: frozenset[int]
    pauses: dict[int, float]
    network: float
    undelivered: float

    def has(self, kind: Kind) -> bool:
        """Tell whether a kind is switched on."""
        return kind in self.kinds


_PAUSES_S = (0.5, 2.0, 2.9, 3.5, 6.5, 9.0)
# Rarer kinds cost more time than others, or drown them.
_SHARES = {Kind.UNDELIVERED: 0.12, Kind.PAUSE: 0.35, Kind.CROWD: 0.3, Kind.UPGRADE: 0.25, Kind.GARBAGE: 0.3}


def plan_of(dice: Dice, without: Iterable[Kind] = (), crash_at: int | None = None) -> Plan:
    """Return the plan of a run.

    Args:
        dice: of its seed.
        without: kinds to leave out.
        crash_at: kill whoever passes this point, and nobody else.
    """
    draw = dice.plan
    drawn = {kind: draw.random() < _SHARES.get(kind, 0.45) for kind in Kind}
    kinds = frozenset(kind for kind, on in drawn.items() if on and kind not in set(without))
    partitions = draw.choice((1, 2, 2, 3))
    orchestrators = draw.choice((1, 2, 2, 2, 3))
    agents = draw.choice((1, 1, 2))
    crashes = frozenset(_points(draw, draw.choice((1, 1, 2, 4))))
    pauses = {number: draw.choice(_PAUSES_S) for number in _points(draw, draw.choice((1, 2, 3)))}
    network = draw.choice((0.02, 0.1, 0.3))
    return Plan(
        kinds,
        partitions,
        orchestrators,
        agents,
        frozenset({crash_at}) if crash_at is not None else crashes if Kind.CRASH in kinds else frozenset(),
        pauses if Kind.PAUSE in kinds else {},
        network if Kind.NETWORK in kinds else 0.0,
        0.004 if Kind.UNDELIVERED in kinds else 0.0,
    )


def _points(draw: Random, count: int) -> list[int]:
    """Early points are more likely than late ones: runs differ in length."""
    return [int(10 + 500 * draw.random() ** 2) for _ in range(count)]
