"""Creates and checks the topics of `topics/table.py` on a cluster.

Creating is idempotent. What already exists is compared, never altered: an unequal partition count would break the
rule that an execution's messages and state share one partition number, so it is an error.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from settings import Settings
from streams.clients import topic_name
from topics.table import TopicSpec, topic_table

_APPEND_TIME = "LogAppendTime"
_SEGMENT_MS_COMPACTED = 3_600_000
_VISIBLE_S = 15.0


class TopicsWrong(Exception):
    """The topics on the cluster do not fit; the text lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is on the cluster.

    Attributes:
        name: with the prefix.
        partitions: 0 if it does not exist.
        faults: what differs from the specification in a way the engine cannot live with.
        notes: other differences.
    """

    name: str
    spec: TopicSpec
    partitions: int
    replication: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def topic_configs(spec: TopicSpec) -> dict[str, str]:
    """Return the broker settings a topic is created with."""
    configs = {
        "cleanup.policy": "compact" if spec.compacted else "delete",
        "message.timestamp.type": _APPEND_TIME,
        "max.message.bytes": str(spec.message_bytes_max),
        "retention.ms": str(spec.retention_ms),
    }
    if spec.compacted:
        configs["min.compaction.lag.ms"] = str(spec.min_compaction_lag_ms)
        configs["segment.ms"] = str(_SEGMENT_MS_COMPACTED)
        del configs["retention.ms"]
    return configs


async def create_topics(settings: Settings, agents: Sequence[str]) -> tuple[str, ...]:
    """Create the topics that are missing, then check them all.

    Args:
        settings: prefix, partitions and replication.
        agents: names of all agents in the catalogue.

    Returns:
        names of the topics created now; empty on a second run.

    Raises:
        TopicsWrong: an existing topic does not fit, or the broker refused to create one.
    """
    table = topic_table(tuple(agents))
    admin = AIOKafkaAdminClient(**settings.kafka_address().client_kwargs())
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [spec for spec in table if topic_name(settings, spec.name) not in existing]
        created: list[str] = []
        if missing:
            response: Any = await admin.create_topics(
                [
                    NewTopic(
                        topic_name(settings, spec.name),
                        settings.partitions,
                        settings.replication,
                        topic_configs=topic_configs(spec),
                    )
                    for spec in missing
                ]
            )
            refused = []
            for name, code, *rest in response.topic_errors:
                if code == 0:
                    created.append(name)
                elif code != TopicAlreadyExistsError.errno:
                    reason = rest[0] if rest and rest[0] else for_code(code).__name__
                    refused.append(f"{name}: the broker refused to create it: {reason}")
            if refused:
                raise TopicsWrong(refused)
    finally:
        await admin.close()
    await _visible(settings, agents, frozenset(created))
    await check_topics(settings, agents)
    return tuple(created)


async def _visible(settings: Settings, agents: Sequence[str], created: frozenset[str]) -> None:
    """Wait until the brokers' metadata shows what the controller has made, some milliseconds usually."""
    deadline = asyncio.get_running_loop().time() + _VISIBLE_S
    while asyncio.get_running_loop().time() < deadline:
        states = await describe_topics(settings, agents)
        if all(state.partitions for state in states if state.name in created):
            return
        await asyncio.sleep(0.05)


async def check_topics(settings: Settings, agents: Sequence[str]) -> None:
    """Return if every topic exists and fits.

    Raises:
        TopicsWrong: all faults at once.
    """
    faults = [fault for state in await describe_topics(settings, agents) for fault in state.faults]
    if faults:
        raise TopicsWrong(faults)


async def describe_topics(settings: Settings, agents: Sequence[str]) -> tuple[TopicState, ...]:
    """Return every topic of the table as it is on the cluster, in the table's order."""
    table = topic_table(tuple(agents))
    names = [topic_name(settings, spec.name) for spec in table]
    admin = AIOKafkaAdminClient(**settings.kafka_address().client_kwargs())
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        present = [name for name in names if name in existing]
        described = {item["topic"]: item for item in await admin.describe_topics(present)} if present else {}
        configs = await _configs(admin, present) if present else {}
    finally:
        await admin.close()
    states = []
    for name, spec in zip(names, table, strict=True):
        if name not in described:
            fault = f"{name}: expected a topic with {settings.partitions} partitions, it does not exist"
            states.append(TopicState(name, spec, 0, 0, (f"{fault}; `dawsos topics create` makes it",), ()))
            continue
        partitions = described[name]["partitions"]
        replication = min((len(part["replicas"]) for part in partitions), default=0)
        states.append(
            TopicState(
                name,
                spec,
                len(partitions),
                replication,
                tuple(_faults(name, spec, len(partitions), configs[name], settings)),
                tuple(_notes(spec, replication, configs[name], settings)),
            )
        )
    return tuple(states)


def _faults(name: str, spec: TopicSpec, partitions: int, configs: dict[str, str], settings: Settings) -> list[str]:
    faults = []
    if spec.engine and partitions != settings.partitions:
        faults.append(
            f"{name}: expected {settings.partitions} partitions (DAWSOS_PARTITIONS) as every engine topic, "
            f"found {partitions}"
        )
    if configs["message.timestamp.type"] != _APPEND_TIME:
        faults.append(
            f"{name}: expected message.timestamp.type={_APPEND_TIME}, found {configs['message.timestamp.type']}"
        )
    if spec.compacted != ("compact" in configs["cleanup.policy"]):
        expected = "compact" if spec.compacted else "delete"
        faults.append(f"{name}: expected cleanup.policy={expected}, found {configs['cleanup.policy']}")
    return faults


def _notes(spec: TopicSpec, replication: int, configs: dict[str, str], settings: Settings) -> list[str]:
    notes = []
    if replication != settings.replication:
        notes.append(f"replication {replication}, setting says {settings.replication}")
    wanted = topic_configs(spec)
    for key in ("retention.ms", "max.message.bytes", "min.compaction.lag.ms"):
        if key in wanted and configs.get(key) != wanted[key]:
            notes.append(f"{key} {configs.get(key)}, table says {wanted[key]}")
    return notes


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    responses: Any = await admin.describe_configs(resources)
    for response in responses:
        for _code, _text, _kind, name, entries in response.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
