"""The result of a finished execution: data, charts, trace and digest, derived from state and pattern alone.

Nothing of it is stored: the same state gives the same bytes, so a result can be published again until it is confirmed.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.execution import Admission, Execution, Status, StepRecord
from orchestrator.explain import build_trace, digest_entry
from orchestrator.limits import Limits
from orchestrator.outputs import CHARTS, collect_outputs
from orchestrator.pattern import CompiledPattern
from topics.canonical import NotCanonical, canonical_bytes, digest, sha256_hex
from topics.messages import ExecutionResult, ExecutionStatus


def build_result(state: Execution, pattern: CompiledPattern | None, limits: Limits) -> ExecutionResult:
    """Return the result of a terminal execution.

    Args:
        state: terminal and not cut.
        pattern: the one it was admitted with; None if it is unknown.
        limits: how much may be inline.
    """
    admission = state.admission
    if admission is None or state.digest is None or state.finished_at_ms is None:
        raise AssertionError(f"execution {state.execution_id} has no result: it is {state.status}")
    data: dict[str, Any] = {}
    refs: dict[str, str] = {}
    if state.status == Status.SUCCEEDED and pattern is not None:
        found = collect_outputs(state.finished, pattern, limits)
        data, refs = found.data, found.refs
    return ExecutionResult(
        execution_id=state.execution_id,
        request_id=admission.request.request_id,
        tenant=state.tenant,
        user_id=state.user_id,
        pattern_id=admission.request.pattern_id,
        status=ExecutionStatus(state.status.value),
        data=data,
        charts=_charts(data.get(CHARTS)),
        refs=refs,
        error=state.error,
        trace=build_trace(state, admission, pattern, limits),
        digest=state.digest,
        started_at_ms=state.started_at_ms,
        finished_at_ms=state.finished_at_ms,
    )


def execution_digest(
    admission: Admission, pins_json: bytes, finished: Mapping[str, StepRecord], pattern: CompiledPattern | None
) -> str:
    """Return the digest of canonical `[pattern digest, inputs, pins, [digest of each step in order]]`.

    A step that has no digest counts as `[status, reason]`, one that was to be undone as `[status of that, digest or
    reason]`. The begin and the end of a sub-pattern do not count, the steps between them do. The list is put
    together from canonical parts.

    Args:
        admission: names pattern and inputs.
        pins_json: canonical pins; empty without any.
        finished: settled steps by id.
        pattern: gives their order; None if it is unknown, then there are no steps.
    """
    steps = [digest_entry(step, finished) for step in pattern.steps if step.part is None] if pattern else []
    head = canonical_bytes([admission.pattern_digest, admission.inputs])
    return sha256_hex(b"%s,%s,%s]" % (head[:-1], pins_json or b"null", canonical_bytes(steps)))


def _charts(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    inner = value.get(CHARTS) if isinstance(value, dict) else None
    return inner if isinstance(inner, list) else [value]


REPRESENTABLE = "finite numbers, integers within 2^53 and valid Unicode"
"""What a value must be made of for `representable`, for people."""


def representable(value: Any) -> bool:
    """Whether a JSON value has canonical bytes and can stand in a row."""
    try:
        digest(value)
        orjson.dumps(value)
    except (NotCanonical, TypeError):
        return False
    return True
