"""A result as the bridge hands it on: whose it is, where it stands in its topic, and its message without the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

Owner = tuple[str, UUID]
"""Tenant and user. Nothing of one owner ever reaches another."""
RESULT_BYTES_MAX = 256 * 1024
_COPIED = ("execution_id", "request_id", "pattern_id", "status", "error", "digest", "started_at_ms", "finished_at_ms")


@dataclass(frozen=True, slots=True)
class Result:
    """One finished execution.

    Attributes:
        value: the `ExecutionResult` as it travelled.
        body: the members of its `ResultArrived` after the cursor, as JSON without braces.
    """

    owner: Owner
    execution_id: str
    pattern_id: str
    partition: int
    offset: int
    value: bytes
    body: bytes

    def message(self, cursor: str, whole: bool) -> str:
        """Return the `ResultArrived`.

        Args:
            cursor: after this result.
            whole: with the result itself, if it is not too large.
        """
        parts = [b'{"type":"ResultArrived","v":1,"cursor":"', cursor.encode(), b'",', self.body]
        if whole and len(self.value) <= RESULT_BYTES_MAX:
            parts += [b',"result":', self.value]
        return b"".join((*parts, b"}")).decode()


def read_result(value: bytes, partition: int, offset: int) -> Result:
    """Return the result in a record's bytes.

    Raises:
        ValueError: the bytes are not an ExecutionResult, as far as is looked at.
    """
    data = orjson.loads(value)
    try:
        owner = (str(data["tenant"]), UUID(data["user_id"]))
        trace: dict[str, Any] = data["trace"]
        shown = {name: data[name] for name in _COPIED if name in data}
        shown |= {name: trace[name] for name in ("portfolio_id", "asof") if trace.get(name) is not None}
        shown["stale"] = bool(trace.get("stale")) or any(
            panel.get("stale", False) for panel in trace.get("per_panel_staleness", ())
        )
        execution_id, pattern_id = str(data["execution_id"]), str(data["pattern_id"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected an ExecutionResult: {type(error).__name__}: {error}") from None
    return Result(owner, execution_id, pattern_id, partition, offset, value, orjson.dumps(shown)[1:-1])
