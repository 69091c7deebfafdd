"""Records nobody can process: original key, bytes and headers, with why and whence in added headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

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
    TRUST: its producer may not speak for its tenant.
    PROCESS: the engine failed on it. CAPABILITY: an agent worker could not take it. PROJECT: the projector could not.
    COMPENSATE: an effect could not be undone; the letter is the request that would, or the event that led to it.
    """

    DECODE = "decode"
    TRUST = "trust"
    ROUTE = "route"
    PROCESS = "process"
    CAPABILITY = "capability"
    PROJECT = "project"
    COMPENSATE = "compensate"


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
    return _letter(message, stage, reason, message.topic, message.key, message.value, message.headers)


def undo_letter(
    message: Any, topic: str, key: bytes, value: bytes, reason: str, headers: Iterable[tuple[str, bytes | None]]
) -> DeadLetter:
    """Return the dead letter for an undoing that failed for good; redriven, it is asked for again.

    Args:
        message: the record that led to it; its partition, offset and time say when. Delivered again, it gives the
            same letter.
        topic: of the requests to the agent that can undo.
        key: of the execution.
        value: the request as bytes.
        reason: for people.
        headers: that travel with the execution.
    """
    return _letter(message, Stage.COMPENSATE, reason, topic, key, value, headers)


def tenant_of(value: bytes | None) -> str | None:
    """Return the tenant a record names; None where it names none or is no JSON object."""
    try:
        body = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    tenant = body.get("tenant") if isinstance(body, dict) else None
    return tenant if isinstance(tenant, str) else None


def _letter(
    message: Any,
    stage: Stage,
    reason: str,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] | None,
) -> DeadLetter:
    kept = [(name, data) for name, data in headers or () if name not in OWN_HEADERS and data is not None]
    # Faust gives the time in seconds, aiokafka in milliseconds.
    at = message.timestamp
    at_ms = int(at * 1000) if isinstance(at, float) else int(at or 0)
    return DeadLetter(
        key=key,
        value=value,
        headers=[
            *kept,
            (REASON, reason[:_REASON_CHARS_MAX].encode()),
            (STAGE, stage.value.encode()),
            (ORIGIN_TOPIC, topic.encode()),
            (ORIGIN_PARTITION, b"%d" % message.partition),
            (ORIGIN_OFFSET, b"%d" % message.offset),
            (ORIGIN_AT_MS, b"%d" % at_ms),
        ],
    )
