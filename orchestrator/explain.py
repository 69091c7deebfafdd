"""The trace: how every step went, in the pattern's order, and what the whole rests on."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from orchestrator.execution import Admission, Execution, StepRecord, StepStatus
from orchestrator.limits import Limits
from orchestrator.pattern import BEGIN, RESOLVE_STEP, UNDO, CompiledPattern, CompiledStep, item_name
from orchestrator.references import Scope
from topics.messages import ResultMetadata
from topics.trace import CompensationTrace, ItemError, ItemsTrace, PanelStaleness, StepError, StepTrace, Trace

_FAILURES_SHOWN_MAX = 20
# A record holds more than its value: provenance, times.
_OUTPUT_BYTES_MAX = 10 * 1024


def build_trace(state: Execution, admission: Admission, pattern: CompiledPattern | None, limits: Limits) -> Trace:
    """Return the trace of a terminal execution; only what the request says if the pattern is unknown."""
    records = state.finished.values()
    metadata = [record.metadata for record in records if record.metadata is not None]
    return Trace(
        pattern_id=admission.request.pattern_id,
        pattern_digest=admission.pattern_digest,
        pattern_version=pattern.version if pattern else None,
        **_pinned(state, admission),
        queued_ms=state.queued_ms if state.queued_ms or state.queued_at_ms else None,
        inputs=dict(admission.inputs),
        capabilities=dict(pattern.capabilities) if pattern else {},
        agents_used=_sorted(item.agent for item in metadata),
        capabilities_used=_capabilities_used(state, pattern),
        sources=_sorted(source for item in metadata for source in item.sources),
        warnings=_warnings(state),
        per_panel_staleness=_panels(state, pattern) if pattern else (),
        steps=_steps(state, pattern, limits) if pattern else (),
    )


def _pinned(state: Execution, admission: Admission) -> dict[str, Any]:
    pins = state.pins
    if pins is None:
        portfolio_id = admission.portfolio_id
        return {
            "portfolio_id": None if portfolio_id is None else str(portfolio_id),
            "asof_requested": state.asof_requested or admission.request.asof,
        }
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
        if record.attempts == 0:
            continue
        step = pattern.step_by_id.get(name)
        if step is not None:
            used.add(step.capability)
        elif (target := pattern.target(name)) is not None:
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
        found.append(f"stale: valued at the pack of {state.pins.asof}; that of {_day_meant(state)} is warming")
    for record in state.finished.values():
        if record.metadata is not None:
            found.extend(record.metadata.warnings)
    return tuple(dict.fromkeys(found))


def _day_meant(state: Execution) -> date | None:
    """Return the day whose pack a stale answer should have had: a Sunday asked for means its Friday's."""
    return state.resolution.pack.asof_date if state.resolution else state.asof_requested


def _panels(state: Execution, pattern: CompiledPattern) -> tuple[PanelStaleness, ...]:
    return tuple(
        _panel(name, pattern.step_by_id[step_id], state.finished.get(step_id), state)
        for name, step_id in pattern.outputs.items()
    )


def _panel(name: str, step: CompiledStep, record: StepRecord | None, state: Execution) -> PanelStaleness:
    stale = state.pins is not None and state.pins.stale
    if record is not None and record.status == StepStatus.SUCCEEDED:
        asof, ttl = (record.metadata.asof, record.metadata.ttl_s) if record.metadata else (None, None)
        if step.foreach is not None:
            together = _gathered(_metadata(step, record, state))
            asof, ttl = together.get("asof"), together.get("ttl")
        return PanelStaleness(
            output=name,
            capability=step.capability,
            asof=asof,
            ttl=ttl,
            stale=stale,
            status="stale" if stale else "fresh",
            reason=f"the pack of {_day_meant(state)} is warming" if stale else None,
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
        if step.part is not None and step.part.begins:
            continue
        record = state.finished.get(step.id)
        if record is None and step.part is not None and (begun := state.finished.get(step.id + BEGIN)):
            record = None if begun.status == StepStatus.SUCCEEDED else begun
        args = None
        if record is not None and 0 < record.args_bytes <= min(left, limits.args_bytes_in_trace):
            args = step.args.render(scope)
            left -= record.args_bytes
        kept = None if step.pure or step.output or record is None else _kept_output(record, state, left)
        if kept is not None:
            left -= kept[1]
        traced = _step(step.id, step.as_, step.capability, step.version, record, state, args)
        if kept is not None:
            traced = traced.model_copy(update=kept[0])
        if step.compensate is not None or step.foreach is not None:
            traced = traced.model_copy(update=_more(step, record, state))
        found.append(traced)
    return tuple(found)


def _kept_output(record: StepRecord, state: Execution, bytes_max: int) -> tuple[dict[str, Any], int] | None:
    """Return what a result keeps of an answer that cannot be computed again, and its size; None if it has no room."""
    if record.status != StepStatus.SUCCEEDED:
        return None
    if record.ref is not None:
        return {"output_ref": record.ref}, 0
    if record.count is None:
        records, value = [record], record.value
    else:
        records = [state.finished[item_name(record.step_id, index)] for index in range(record.count)]
        value = [item.value for item in records]
        if any(item.ref is not None for item in records):
            return None
    size = sum(len(item.encoded) for item in records)
    return ({"output": value}, size) if size <= min(bytes_max, _OUTPUT_BYTES_MAX) else None


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


def _more(step: CompiledStep, record: StepRecord | None, state: Execution) -> dict[str, Any]:
    """Return what only steps with items or an undoing have to tell."""
    more: dict[str, Any] = {}
    if step.foreach is not None and record is not None and record.count is not None:
        more |= _gathered(_metadata(step, record, state))
        more["items"] = _items_trace(step, record.count, state.finished)
    undo = _undo(step, state.finished)
    if undo is not None:
        more |= {"status": undo.status, "success": False, "compensation": undo}
    return more


def _metadata(step: CompiledStep, record: StepRecord, state: Execution) -> list[ResultMetadata]:
    records = [record] if step.foreach is None else [item for _, item in _items(step, state.finished)]
    return [item.metadata for item in records if item.metadata is not None]


def _undo(step: CompiledStep, finished: Mapping[str, StepRecord]) -> CompensationTrace | None:
    """Return how a step was undone, or all items of it together; None if it was not."""
    compensate = step.compensate
    if compensate is None:
        return None
    names = [UNDO + step.id] if step.foreach is None else [UNDO + name for name, _ in _items(step, finished)]
    records = [finished[name] for name in names if name in finished]
    if not records:
        return None
    failed = next((record for record in records if record.error is not None), None)
    error = failed.error if failed else None
    return CompensationTrace(
        capability=compensate.capability,
        version=compensate.version,
        status="compensation_failed" if failed else "compensated",
        attempts=sum(record.attempts for record in records),
        started_at_ms=min((at for record in records if (at := record.started_at_ms) is not None), default=None),
        finished_at_ms=max(record.finished_at_ms for record in records),
        error=None if error is None else StepError(code=error.code.value, message=error.message),
    )


def _items(step: CompiledStep, finished: Mapping[str, StepRecord]) -> Iterator[tuple[str, StepRecord]]:
    """Yield name and record of the items of a foreach step that were settled."""
    whole = finished.get(step.id)
    for index in range(whole.count or 0 if whole else 0):
        name = item_name(step.id, index)
        if name in finished:
            yield name, finished[name]


def _items_trace(step: CompiledStep, count: int, finished: Mapping[str, StepRecord]) -> ItemsTrace:
    numbers: dict[str, int] = {}
    failures: list[ItemError] = []
    attempts = 0
    for name, record in _items(step, finished):
        undo = finished.get(UNDO + name) if step.compensate else None
        shown = undo or record
        attempts += record.attempts
        numbers[shown.status.value] = numbers.get(shown.status.value, 0) + 1
        if shown.status not in (StepStatus.SUCCEEDED, StepStatus.COMPENSATED) and len(failures) < _FAILURES_SHOWN_MAX:
            body = shown.error
            error = None if body is None else StepError(code=body.code.value, message=body.message)
            index = int(name[len(step.id) + 1 : -1])
            failures.append(ItemError(index=index, status=shown.status.value, error=error))
    return ItemsTrace(count=count, attempts=attempts, failures=tuple(failures), **numbers)


def _gathered(metadata: list[ResultMetadata]) -> dict[str, Any]:
    """Return what the metadata of all items say together: the oldest day, the least confidence, any warning."""
    if not metadata:
        return {}
    first = metadata[0]
    caches = {item.cache for item in metadata}
    return {
        "agent": first.agent,
        "agent_version": first.agent_version,
        "cache": first.cache if len(caches) == 1 else "miss",
        "sources": _sorted(source for item in metadata for source in item.sources),
        "asof": min((item.asof for item in metadata if item.asof is not None), default=None),
        "ttl": min((item.ttl_s for item in metadata if item.ttl_s is not None), default=None),
        "confidence": min((item.confidence for item in metadata if item.confidence is not None), default=None),
        "warnings": tuple(dict.fromkeys(warning for item in metadata for warning in item.warnings)),
    }


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def digest_entry(step: CompiledStep, finished: Mapping[str, StepRecord]) -> Any:
    """Return what a step adds to the execution's digest; see `execution_digest`."""
    record = finished.get(step.id)
    if record is None:
        return ["blocked", None]
    undo = _undo(step, finished) if step.compensate is not None else None
    if record.digest is not None:
        return record.digest if undo is None else [undo.status, record.digest]
    reason = record.skip_reason or (record.error.code if record.error else None)
    return [undo.status if undo else record.status.value, None if reason is None else str(reason)]
