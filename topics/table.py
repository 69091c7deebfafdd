"""The one table of topics: what each carries, how it is keyed, kept and cleaned.

All engine topics have one partition count, because an execution's request, results, signals and state must live on
the same partition number: murmur2(execution_id) modulo that count.
"""

from dataclasses import dataclass

from topics.messages import (
    CancelExecution,
    CapabilityRequest,
    CapabilityResult,
    ExecuteRequest,
    ExecutionResult,
    GateOpened,
    PackAnnouncement,
    PackEvent,
    PatternVersion,
    StartExecution,
    TimerFired,
    Wire,
)

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
KEEP_FOREVER_MS = -1

EXECUTION_REQUESTS = "execution-requests"
CAPABILITY_REQUESTS = "capability-requests"
CAPABILITY_RESULTS = "capability-results"
EXECUTION_SIGNALS = "execution-signals"
EXECUTION_RESULTS = "execution-results"
PACK_ANNOUNCEMENTS = "pack-announcements"
PACK_EVENTS = "pack-events"
PATTERN_VERSIONS = "pattern-versions"
DEAD_LETTERS = "dead-letters"
STATE_CHANGELOG = "orchestrator-executions-changelog"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic, without the configured prefix.

    Attributes:
        carries: message types allowed on it; empty for raw bytes (dead letters, state rows).
        key: what the record key is, in words.
        compacted: keep the newest record of each key instead of deleting by age.
        retention_ms: age at which records may go; -1 keeps them (compacted topics).
        engine: shares the one partition count and keeps an execution's order.
        purpose: one sentence for people.
    """

    name: str
    carries: tuple[type[Wire], ...]
    key: str
    purpose: str
    compacted: bool = False
    retention_ms: int = 7 * _DAY_MS
    engine: bool = True
    min_compaction_lag_ms: int = 0
    message_bytes_max: int = 2 * 1024 * 1024


_FIXED = (
    TopicSpec(
        EXECUTION_REQUESTS,
        (ExecuteRequest,),
        "any or none",
        "Upstream systems, the gateway and the CLI ask for executions.",
    ),
    TopicSpec(
        CAPABILITY_RESULTS,
        (CapabilityResult,),
        "execution_id",
        "Agents answer, on the partition the execution lives on.",
        retention_ms=_DAY_MS,
    ),
    TopicSpec(
        EXECUTION_SIGNALS,
        (TimerFired, GateOpened, StartExecution, CancelExecution),
        "execution_id",
        "Timers, gate openings, starts of queued executions and cancels reach an execution.",
        retention_ms=_DAY_MS,
    ),
    TopicSpec(
        EXECUTION_RESULTS,
        (ExecutionResult,),
        "execution_id",
        "Finished executions with data, charts and trace. Keep the first terminal result of each key.",
    ),
    TopicSpec(
        STATE_CHANGELOG,
        (),
        "execution_id and row",
        "State rows of running executions; the orchestrator's table.",
        compacted=True,
        retention_ms=KEEP_FOREVER_MS,
        min_compaction_lag_ms=_HOUR_MS,
    ),
    TopicSpec(
        PACK_ANNOUNCEMENTS,
        (PackAnnouncement,),
        "pack_id",
        "A pricing pipeline says that a pack's rows are loaded.",
        engine=False,
    ),
    TopicSpec(
        PACK_EVENTS,
        (PackEvent,),
        "pack_id",
        "Status of every pricing pack, written by the outbox after the database commit.",
        compacted=True,
        retention_ms=KEEP_FOREVER_MS,
        engine=False,
    ),
    TopicSpec(
        PATTERN_VERSIONS,
        (PatternVersion,),
        "digest and capability versions",
        "Pattern texts with the versions of their capabilities, confirmed before their first admission.",
        compacted=True,
        retention_ms=KEEP_FOREVER_MS,
        engine=False,
    ),
    TopicSpec(
        DEAD_LETTERS,
        (),
        "original key",
        "Original bytes and headers of what could not be processed, with reason, stage and origin headers.",
        retention_ms=30 * _DAY_MS,
        engine=False,
        message_bytes_max=4 * 1024 * 1024,
    ),
)


def capability_requests(agent: str) -> str:
    """Return the topic an agent takes its requests from."""
    return f"{CAPABILITY_REQUESTS}.{agent}"


def topic_table(agents: tuple[str, ...] | list[str]) -> tuple[TopicSpec, ...]:
    """Return every topic of a system with these agents, in a fixed order.

    Args:
        agents: names of all agents in the capability catalogue, also foreign ones.
    """
    requests = tuple(
        TopicSpec(
            capability_requests(agent),
            (CapabilityRequest,),
            "execution_id",
            f"Steps for the agent {agent}.",
            retention_ms=_DAY_MS,
        )
        for agent in sorted(agents)
    )
    return _FIXED + requests
