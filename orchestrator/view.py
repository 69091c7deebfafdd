"""What people see of an execution under way: its steps as they stand, and in one line what it waits for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orchestrator.execution import Execution, Outstanding, Status, StepRecord, early_cancel_of
from orchestrator.pattern import RESOLVE_STEP, UNDO, CompiledPattern

BLOCKED = "blocked"
REQUESTED = "requested"
RETRY_WAIT = "retry_wait"
_WAITS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as it stands.

    Attributes:
        capability: None when the pattern's version is not known here.
        status: `blocked`, `requested`, `retry_wait`, or how it was settled.
        attempt: the newest attempt; 0 before the first.
        due_at_ms: when the attempt times out, or the next one starts; None when nothing is under way.
        items: of a foreach step under way: (there are, settled).
    """

    step_id: str
    as_: str
    capability: str | None
    status: str
    attempt: int = 0
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    due_at_ms: int | None = None
    items: tuple[int, int] | None = None
    error_code: str | None = None
    error: str | None = None
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """One execution as it stands.

    Attributes:
        status: never `cancelled_early`, which only the engine needs to tell from `cancelled`: nothing will run.
        request_id … portfolio_id: None when only the terminal record is left, or its request has not come.
        asof: day of its prices; before they are pinned, the day asked for.
        waits_for: in one line, what has to happen next; None when it has ended.
        deadline_at_ms: when it ends in any case.
    """

    execution_id: str
    tenant: str
    user_id: str
    status: Status
    started_at_ms: int
    finished_at_ms: int | None = None
    request_id: str | None = None
    pattern_id: str | None = None
    pattern_digest: str | None = None
    portfolio_id: str | None = None
    deadline_at_ms: int | None = None
    pricing_pack_id: str | None = None
    asof: str | None = None
    waits_for: str | None = None
    waits_for_pack: UUID | None = None
    error_code: str | None = None
    error: str | None = None
    steps: tuple[StepView, ...] = ()


def view_of(execution: Execution, pattern: CompiledPattern | None) -> ExecutionView:
    """Return what people see of an execution.

    Args:
        execution: from its rows.
        pattern: the version it runs, for steps that were not reached; None when it is not known here.

    Cost: O(steps).
    """
    admission = execution.admission
    early = execution.status is Status.CANCELLED_EARLY
    error = early_cancel_of(execution) if early else execution.error
    asof = execution.asof or execution.asof_requested
    return ExecutionView(
        execution_id=execution.execution_id,
        tenant=execution.tenant,
        user_id=str(execution.user_id),
        status=Status.CANCELLED if early else execution.status,
        started_at_ms=execution.started_at_ms,
        finished_at_ms=execution.finished_at_ms,
        request_id=admission.request.request_id if admission else None,
        pattern_id=admission.request.pattern_id if admission else None,
        pattern_digest=execution.pattern_digest,
        portfolio_id=str(admission.portfolio_id) if admission and admission.portfolio_id else None,
        deadline_at_ms=execution.ends_at_ms,
        pricing_pack_id=str(execution.pins.pricing_pack_id) if execution.pins else None,
        asof=asof.isoformat() if asof else None,
        waits_for=None if early or execution.is_terminal else waits_for(execution, pattern),
        waits_for_pack=execution.waiting_for_pack,
        error_code=error.code.value if error else None,
        error=error.message if error else None,
        steps=tuple(_steps(execution, pattern)),
    )


def waits_for(execution: Execution, pattern: CompiledPattern | None) -> str:
    """Return in one line what has to happen before an execution goes on."""
    status = execution.status
    if status is Status.QUEUED:
        return "room: as many executions as the limits allow are in flight"
    if execution.parked is not None:
        pack = execution.resolution.pack if execution.resolution else None
        named = f"{pack.policy} of {pack.asof_date} ({pack.pack_id})" if pack else execution.parked.pack_id
        return f"pricing pack {named} to become fresh"
    commands = sorted(execution.outstanding.items(), key=lambda item: (item[1].due_at_ms, item[0]))
    if not commands:
        return "the orchestrator"
    shown = [_command(name, command, pattern) for name, command in commands[:_WAITS_SHOWN_MAX]]
    more = f" and {len(commands) - _WAITS_SHOWN_MAX} more" if len(commands) > _WAITS_SHOWN_MAX else ""
    return "; ".join(shown) + more


def _command(name: str, command: Outstanding, pattern: CompiledPattern | None) -> str:
    capability, agent = _capability(name, pattern)
    of = f" ({capability})" if capability else ""
    if command.waiting:
        return f"the next attempt of {name}{of} after attempt {command.attempt} failed"
    who = f"agent {agent}" if agent else "an agent"
    what = f"undo {name.removeprefix(UNDO)}" if name.startswith(UNDO) else f"answer {name}"
    again = f", attempt {command.attempt}" if command.attempt > 1 else ""
    return f"{who} to {what}{of}{again}"


def _capability(name: str, pattern: CompiledPattern | None) -> tuple[str | None, str | None]:
    if pattern is None:
        return None, None
    if name == RESOLVE_STEP:
        return (pattern.resolve.name, pattern.resolve.agent) if pattern.resolve else (None, None)
    target = pattern.target(name)
    if target is None:
        return None, None
    doer: Any = target.step.compensate if target.undo else target.step
    return doer.capability, doer.agent


def _steps(execution: Execution, pattern: CompiledPattern | None) -> Iterator[StepView]:
    names = list(_names(execution, pattern))
    known = {name for name, _ in names}
    undoings = sorted(name for name in (*execution.finished, *execution.outstanding) if name.startswith(UNDO))
    for name, as_ in (*names, *((name, name) for name in undoings if name not in known)):
        record = execution.finished.get(name)
        if record is None and name == RESOLVE_STEP:
            record = execution.resolve_record
        yield _step(name, as_, record, execution, pattern)


def _names(execution: Execution, pattern: CompiledPattern | None) -> Iterator[tuple[str, str]]:
    if pattern is None:
        seen = {*execution.finished, *execution.fans, *(n for n in execution.outstanding if not n.endswith("]"))}
        yield from ((name, name) for name in sorted(seen) if not name.startswith(UNDO) and not name.endswith("]"))
        return
    if pattern.resolve is not None:
        yield RESOLVE_STEP, RESOLVE_STEP
    for step in pattern.steps:
        if step.part is None or not step.part.begins:
            yield step.id, step.as_


def _step(
    name: str, as_: str, record: StepRecord | None, execution: Execution, pattern: CompiledPattern | None
) -> StepView:
    capability = _capability(name, pattern)[0]
    if record is not None:
        return StepView(
            step_id=name,
            as_=as_,
            capability=capability,
            status=record.status.value,
            attempt=record.attempts,
            started_at_ms=record.started_at_ms,
            finished_at_ms=record.finished_at_ms,
            items=None if record.count is None else (record.count, record.count),
            error_code=record.error.code.value if record.error else None,
            error=record.error.message if record.error else None,
            skip_reason=record.skip_reason,
        )
    fan = execution.fans.get(name)
    if fan is not None:
        return StepView(
            step_id=name,
            as_=as_,
            capability=capability,
            status=REQUESTED,
            attempt=1,
            started_at_ms=fan.started_at_ms,
            items=(fan.count, fan.settled),
        )
    command = execution.outstanding.get(name)
    if command is None:
        return StepView(name, as_, capability, BLOCKED)
    return StepView(
        step_id=name,
        as_=as_,
        capability=capability,
        status=RETRY_WAIT if command.waiting else REQUESTED,
        attempt=command.attempt,
        started_at_ms=command.started_at_ms,
        due_at_ms=command.due_at_ms,
    )
