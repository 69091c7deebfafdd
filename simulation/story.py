"""What happened in a run, as lines for people: the workers' lives, and the records about one execution."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from topics.table import STATE_CHANGELOG

_PREFIX = 8
_ID = 36
_WIDTH = 180
_LINES_MAX = 120
_MEMBERS = ("type", "step_id", "attempt", "status", "due_at_ms", "value", "error", "pattern_id", "inputs", "data")
_HEADER = ("s", "out", "parked", "ending", "pages", "queue", "err")


def tell(trace: Iterable[Sequence[Any]], key: bytes | None) -> Iterator[str]:
    """Yield the last lines of a run's story.

    Args:
        trace: as the world keeps it.
        key: of the execution it is about; None tells of all.
    """
    lines = []
    for entry in trace:
        if len(entry) != 7:
            lines.append(f"{entry[0] / 1000:10.4f} s  — {' '.join(str(each) for each in entry[1:])}")
            continue
        at_ms, topic, partition, offset, name, writer, value = entry
        if key and not (name or b"").startswith(key):
            continue
        lines.append(f"{at_ms / 1000:10.4f} s  {topic}/{partition}/{offset} by {writer}: {_said(topic, name, value)}")
    yield from lines[-_LINES_MAX:]


def _said(topic: str, name: bytes | None, value: bytes | None) -> str:
    if value is None:
        return "tombstone"
    row = topic == STATE_CHANGELOG
    suffix = (name or b"")[_ID:].decode("utf-8", "replace") if row else ""
    data = value[_PREFIX:] if row else value
    try:
        body = orjson.loads(data)
    except ValueError:
        return f"{data[:_WIDTH]!r}"
    if isinstance(body, dict):
        body = {member: body[member] for member in (_HEADER if row else _MEMBERS) if member in body}
    text = orjson.dumps(body).decode()
    return f"{suffix} {text}".strip()[:_WIDTH]
