"""Records nobody can process: original key, bytes and headers, with why and whence in added headers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_REASON_CHARS_MAX = 2000

REASON = "dlq-reason"
STAGE = "dlq-stage"
ORIGIN_TOPIC = "dlq-topic"
ORIGIN_PARTITION = "dlq-partition"
ORIGIN_OFFSET = "dlq-offset"
ORIGIN_AT_MS = "dlq-at-ms"
OWN_HEADERS = frozenset({REASON, STAGE, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_AT_MS})


class Stage(StrEnum):
    """Where processing stopped.

    DECODE: the bytes are no message of the contract. ROUTE: it came to the wrong partition twice.
    PROCESS: the engine failed on it. CAPABILITY: an agent worker could not take it. PROJECT: the projector could not.
    """

    DECODE = "decode"
    ROUTE = "route"
    PROCESS = "process"
    CAPABILITY = "capability"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What to send to `dead-letters`."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def dead_letter(message: Any, stage: Stage, reason: str) -> DeadLetter:
    """Return the dead letter for a consumed record (aiokafka's or Faust's).

    A record that comes from `dead-letters` itself, redriven, has its older diagnosis replaced.
    """
    kept = [(name, value) for name, value in message.headers or () if name not in OWN_HEADERS and value is not None]
    # Faust gives the time in seconds, aiokafka in milliseconds.
    at = message.timestamp
    at_ms = int(at * 1000) if isinstance(at, float) else int(at or 0)
    return DeadLetter(
        key=message.key,
        value=message.value,
        headers=[
            *kept,
            (REASON, reason[:_REASON_CHARS_MAX].encode()),
            (STAGE, stage.value.encode()),
            (ORIGIN_TOPIC, message.topic.encode()),
            (ORIGIN_PARTITION, b"%d" % message.partition),
            (ORIGIN_OFFSET, b"%d" % message.offset),
            (ORIGIN_AT_MS, b"%d" % at_ms),
        ],
    )
