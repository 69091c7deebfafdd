"""The result of a finished execution: data, charts, trace and digest, derived from state and pattern alone.

Nothing of it is stored: the same state gives the same bytes, so a result can be published again until it is confirmed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from orchestrator.execution import Admission, Execution, Status, StepRecord, StepStatus
from orchestrator.limits import Limits
from orchestrator.pattern import RESOLVE_STEP, UNDO, CompiledPattern, CompiledStep
from orchestrator.references import Scope
from topics.canonical import NotCanonical, canonical_bytes, digest, sha256_hex
from topics.messages import ExecutionResult, ExecutionStatus, Pins
from topics.trace import CompensationTrace, PanelStaleness, StepError, StepTrace, Trace

CHARTS = "charts"


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
        data, refs = outputs(state.finished, pattern, limits)
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
        trace=_trace(state, admission, pattern, limits),
        digest=state.digest,
        started_at_ms=state.started_at_ms,
        finished_at_ms=state.finished_at_ms,
    )


def outputs(
    finished: Mapping[str, StepRecord], pattern: CompiledPattern, limits: Limits
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the outputs by name, and those left in the artifact store: JSON pointer into the result → SHA-256.

    Outputs are taken in the pattern's order as long as they fit; what has no artifact stays inline in any case.
    """
    data: dict[str, Any] = {}
    refs: dict[str, str] = {}
    left = limits.output_bytes
    for name, step_id in pattern.outputs.items():
        record = finished.get(step_id)
        data[name] = None
        if record is None or not record.has_output:
            continue
        size = len(record.encoded) * (2 if name == CHARTS else 1)
        if record.inline and (record.ref is None or size <= left):
            data[name] = record.value
            left -= size
        elif record.ref is not None:
            refs[f"/data/{name}"] = record.ref
            if name == CHARTS:
                refs["/charts"] = record.ref
    return data, refs


def inline_bytes(finished: Mapping[str, StepRecord], pattern: CompiledPattern, limits: Limits) -> int:
    """Return how many bytes of outputs a result would carry inline."""
    data, _ = outputs(finished, pattern, limits)
    kept = [(name, finished[step]) for name, step in pattern.outputs.items() if data[name] is not None]
    return sum(len(record.encoded) * (2 if name == CHARTS else 1) for name, record in kept)


def execution_digest(
    admission: Admission, pins_json: bytes, finished: Mapping[str, StepRecord], pattern: CompiledPattern | None
) -> str:
    """Return the digest of canonical `[pattern digest, inputs, pins, [digest of each step in order]]`.

    A step that has no digest counts as `[status, reason]`, one that was to be undone as `[status of that, digest or
    reason]`. The list is put together from canonical parts.

    Args:
        admission: names pattern and inputs.
        pins_json: canonical pins; empty without any.
        finished: settled steps by id.
        pattern: gives their order; None if it is unknown, then there are no steps.
    """
    steps = [_step_entry(step, finished) for step in pattern.steps] if pattern else []
    head = canonical_bytes([admission.pattern_digest, admission.inputs])
    return sha256_hex(b"%s,%s,%s]" % (head[:-1], pins_json or b"null", canonical_bytes(steps)))


def _step_entry(step: CompiledStep, finished: Mapping[str, StepRecord]) -> Any:
    record = finished.get(step.id)
    if record is None:
        return ["blocked", None]
    undo = finished.get(UNDO + step.id) if step.compensate else None
    if record.digest is not None:
        return record.digest if undo is None else [undo.status.value, record.digest]
    reason = record.skip_reason or (record.error.code if record.error else None)
    return [(undo or record).status.value, None if reason is None else str(reason)]


def _charts(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    inner = value.get(CHARTS) if isinstance(value, dict) else None
    return inner if isinstance(inner, list) else [value]


def _trace(state: Execution, admission: Admission, pattern: CompiledPattern | None, limits: Limits) -> Trace:
    records = state.finished.values()
    metadata = [record.metadata for record in records if record.metadata is not None]
    pins = state.pins
    return Trace(
        pattern_id=admission.request.pattern_id,
        pattern_digest=admission.pattern_digest,
        pattern_version=pattern.version if pattern else None,
        **_pinned(pins, admission),
        inputs=dict(admission.inputs),
        capabilities=dict(pattern.capabilities) if pattern else {},
        agents_used=_sorted(item.agent for item in metadata),
        capabilities_used=_capabilities_used(state, pattern),
        sources=_sorted(source for item in metadata for source in item.sources),
        warnings=_warnings(state),
        per_panel_staleness=_panels(state, pattern) if pattern else (),
        steps=_steps(state, pattern, limits) if pattern else (),
    )


def _pinned(pins: Pins | None, admission: Admission) -> dict[str, Any]:
    if pins is None:
        portfolio_id = admission.portfolio_id
        return {"portfolio_id": None if portfolio_id is None else str(portfolio_id)}
    return {
        "pricing_pack_id": str(pins.pricing_pack_id),
        "pack_sha256": pins.pack_sha256,
        "ledger_commit_hash": pins.ledger_commit_hash,
        "portfolio_id": None if pins.portfolio_id is None else str(pins.portfolio_id),
        "base_ccy": pins.base_ccy,
        "benchmark_id": pins.benchmark_id,
        "asof": pins.asof,
        "asof_requested": pins.asof_requested,
        "stale": pins.stale,
    }


def _capabilities_used(state: Execution, pattern: CompiledPattern | None) -> tuple[str, ...]:
    if pattern is None:
        return ()
    used: set[str] = set()
    for name, record in state.finished.items():
        target = pattern.target(name) if record.attempts > 0 else None
        if target is not None:
            undo = target.step.compensate if target.undo else None
            used.add(undo.capability if undo else target.step.capability)
    if pattern.resolve is not None and RESOLVE_STEP in state.finished:
        used.add(pattern.resolve.name)
    return tuple(sorted(used))


def _warnings(state: Execution) -> tuple[str, ...]:
    found: list[str] = []
    if state.resolution is not None:
        found.extend(state.resolution.warnings)
    if state.pins is not None and state.pins.stale:
        found.append(f"stale: valued at the pack of {state.pins.asof}; that of {state.pins.asof_requested} is warming")
    for record in state.finished.values():
        if record.metadata is not None:
            found.extend(record.metadata.warnings)
    return tuple(dict.fromkeys(found))


def _panels(state: Execution, pattern: CompiledPattern) -> tuple[PanelStaleness, ...]:
    return tuple(
        _panel(name, pattern.step_by_id[step_id], state.finished.get(step_id), state)
        for name, step_id in pattern.outputs.items()
    )


def _panel(name: str, step: CompiledStep, record: StepRecord | None, state: Execution) -> PanelStaleness:
    stale = state.pins is not None and state.pins.stale
    if record is not None and record.status == StepStatus.SUCCEEDED:
        metadata = record.metadata
        return PanelStaleness(
            output=name,
            capability=step.capability,
            asof=metadata.asof if metadata else None,
            ttl=metadata.ttl_s if metadata else None,
            stale=stale,
            status="stale" if stale else "fresh",
            reason=f"the pack of {state.pins.asof_requested} is warming" if stale and state.pins else None,
        )
    return PanelStaleness(
        output=name, capability=step.capability, status="unavailable", reason=_unavailable(record, state)
    )


def _unavailable(record: StepRecord | None, state: Execution) -> str:
    if record is None:
        return f"not reached: the execution was {state.status}"
    if record.skip_reason is not None:
        return f"skipped: {record.skip_reason}"
    if record.error is not None:
        substitute = "; the pattern's substitute stands in" if record.inline else ""
        return f"failed: {record.error.message}{substitute}"
    return f"step was {record.status}"


def _steps(state: Execution, pattern: CompiledPattern, limits: Limits) -> tuple[StepTrace, ...]:
    admission = state.admission
    inputs = admission.inputs if admission else {}
    scope = Scope(state.finished, inputs, state.pins, state.user_id)
    found: list[StepTrace] = []
    resolved = state.finished.get(RESOLVE_STEP)
    if resolved is not None and pattern.resolve is not None:
        spec = pattern.resolve
        found.append(_step(RESOLVE_STEP, RESOLVE_STEP, spec.name, spec.version, resolved, state, None))
    left = limits.trace_args_bytes
    for step in pattern.steps:
        record = state.finished.get(step.id)
        args = None
        if record is not None and record.args_digest and record.args_bytes <= min(left, limits.args_bytes_in_trace):
            args = step.args.render(scope)
            left -= record.args_bytes
        traced = _step(step.id, step.as_, step.capability, step.version, record, state, args)
        found.append(traced if step.compensate is None else _with_undo(traced, step, state))
    return tuple(found)


def _step(
    step_id: str,
    as_: str,
    capability: str,
    version: int,
    record: StepRecord | None,
    state: Execution,
    args: tuple[dict[str, Any], dict[str, str]] | None,
) -> StepTrace:
    if record is None:
        blocked: dict[str, Any] = {"as": as_}
        return StepTrace(
            **blocked, step_id=step_id, capability=capability, version=version, status="blocked", success=False
        )
    metadata, error = record.metadata, record.error
    given: dict[str, Any] = {
        "step_id": step_id,
        "as": as_,
        "capability": capability,
        "version": version,
        "status": record.status.value,
        "success": record.status == StepStatus.SUCCEEDED,
        "attempts": record.attempts,
        "started_at_ms": record.started_at_ms,
        "finished_at_ms": record.finished_at_ms,
        "args_digest": record.args_digest,
        "output_digest": record.output_digest,
        "digest": record.digest,
        "stale": state.pins is not None and state.pins.stale,
    }
    if args is not None:
        given["args"], given["refs"] = args
    if record.skip_reason is not None:
        given["skipped"] = True
        given["skip_reason"] = record.skip_reason
    if error is not None:
        given["error"] = StepError(code=error.code.value, message=error.message)
    if metadata is not None:
        given["agent"] = metadata.agent
        given["agent_version"] = metadata.agent_version
        given["cache"] = metadata.cache
        given["sources"] = metadata.sources
        given["asof"] = metadata.asof
        given["ttl"] = metadata.ttl_s
        given["confidence"] = metadata.confidence
        given["warnings"] = metadata.warnings
    return StepTrace(**given)


def _with_undo(traced: StepTrace, step: CompiledStep, state: Execution) -> StepTrace:
    undo = state.finished.get(UNDO + step.id)
    if undo is None or step.compensate is None:
        return traced
    error = undo.error
    compensation = CompensationTrace(
        capability=step.compensate.capability,
        version=step.compensate.version,
        status=undo.status.value,  # type: ignore[arg-type]
        attempts=undo.attempts,
        started_at_ms=undo.started_at_ms,
        finished_at_ms=undo.finished_at_ms,
        error=None if error is None else StepError(code=error.code.value, message=error.message),
    )
    return traced.model_copy(update={"status": undo.status.value, "success": False, "compensation": compensation})


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def fits(finished: Mapping[str, StepRecord], pattern: CompiledPattern, limits: Limits) -> str | None:
    """Return why the outputs cannot be published as they are, or None.

    Too large without an artifact to refer to, or not what the pattern's `output_schema` promises.
    """
    size = inline_bytes(finished, pattern, limits)
    if size > limits.message_bytes_max:
        return f"expected outputs of at most {limits.message_bytes_max} bytes without artifacts, got {size}"
    if pattern.output_ok is not None:
        data, refs = outputs(finished, pattern, limits)
        if not refs and not pattern.output_ok(data):
            return "the outputs do not fit the pattern's output_schema"
    return None


def representable(value: Any) -> bool:
    """Whether a JSON value has canonical bytes and can stand in a row."""
    try:
        digest(value)
        orjson.dumps(value)
    except (NotCanonical, TypeError):
        return False
    return True
