"""The least rights each part needs on Kafka, as ACLs: who may read and write which topic, in which group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from settings import Settings
from streams.clients import topic_name
from topics.table import (
    CAPABILITY_RESULTS,
    DEAD_LETTERS,
    EXECUTION_REQUESTS,
    EXECUTION_RESULTS,
    EXECUTION_SIGNALS,
    PACK_ANNOUNCEMENTS,
    PACK_EVENTS,
    PATTERN_VERSIONS,
    STATE_CHANGELOG,
    capability_requests,
)

PARTS = ("orchestrator", "agents", "projector", "gateway", "operator", "pipeline", "upstream")


@dataclass(frozen=True, slots=True)
class Acl:
    """One right of one part.

    Attributes:
        part: `operator` redrives dead letters; `pipeline` announces packs; `upstream` asks for executions.
        operation: Read (implies Describe), Write (implies Describe), IdempotentWrite or Describe.
        resource: Topic, Group or Cluster.
        name: with the prefix.
    """

    part: str
    operation: str
    resource: str
    name: str


def least_privilege(settings: Settings, agents: Sequence[str]) -> tuple[Acl, ...]:
    """Return every right, in a fixed order.

    An agent process needs those of the agents it runs only. No part needs to create, alter or delete anything.

    Args:
        settings: prefix.
        agents: names of all agents in the catalogue.
    """
    requests = [capability_requests(agent) for agent in sorted(agents)]
    reads = {
        "orchestrator": (
            *(EXECUTION_REQUESTS, CAPABILITY_RESULTS, EXECUTION_SIGNALS, STATE_CHANGELOG, PACK_EVENTS),
            PATTERN_VERSIONS,
        ),
        "agents": (EXECUTION_SIGNALS, *requests),
        "projector": (EXECUTION_RESULTS, DEAD_LETTERS, PACK_ANNOUNCEMENTS),
        "gateway": (EXECUTION_RESULTS, STATE_CHANGELOG, PATTERN_VERSIONS),
        "operator": (),
        "pipeline": (PACK_EVENTS,),
        "upstream": (EXECUTION_RESULTS,),
    }
    redriven = (
        *(EXECUTION_REQUESTS, EXECUTION_SIGNALS, CAPABILITY_RESULTS, EXECUTION_RESULTS, PACK_ANNOUNCEMENTS),
        *requests,
    )
    writes = {
        "orchestrator": (
            *(EXECUTION_REQUESTS, EXECUTION_SIGNALS, EXECUTION_RESULTS, STATE_CHANGELOG, PATTERN_VERSIONS),
            *(CAPABILITY_RESULTS, DEAD_LETTERS, *requests),
        ),
        "agents": (CAPABILITY_RESULTS, DEAD_LETTERS),
        "projector": (PACK_EVENTS, DEAD_LETTERS),
        # It redrives dead letters for operators who ask over HTTP.
        "gateway": redriven,
        "operator": redriven,
        "pipeline": (PACK_ANNOUNCEMENTS,),
        "upstream": (EXECUTION_REQUESTS,),
    }
    groups = {"orchestrator": ("orchestrator",), "agents": tuple(f"agent.{agent}" for agent in sorted(agents))}
    return tuple(
        acl for part in PARTS for acl in _of_part(settings, part, reads[part], writes[part], groups.get(part, ()))
    )


def _of_part(
    settings: Settings, part: str, reads: Sequence[str], writes: Sequence[str], groups: Sequence[str]
) -> Iterator[Acl]:
    for name in reads:
        yield Acl(part, "Read", "Topic", topic_name(settings, name))
    for name in writes:
        yield Acl(part, "Write", "Topic", topic_name(settings, name))
    for name in groups:
        yield Acl(part, "Read", "Group", topic_name(settings, name))
    if writes:
        yield Acl(part, "IdempotentWrite", "Cluster", "kafka-cluster")


def as_commands(acls: Sequence[Acl], principals: dict[str, str]) -> list[str]:
    """Return `kafka-acls` commands that add the rights.

    Args:
        acls: which.
        principals: part → principal, as `User:gateway`; a part without one is `User:dawsos-PART`.
    """
    commands = []
    for acl in acls:
        principal = principals.get(acl.part, f"User:dawsos-{acl.part}")
        where = "--cluster" if acl.resource == "Cluster" else f"--{acl.resource.lower()} '{acl.name}'"
        commands.append(f"kafka-acls --add --allow-principal '{principal}' --operation {acl.operation} {where}")
    return commands
