"""What each action of the transition table does, in the order an execution meets them."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import orjson

from orchestrator.admission import check_request
from orchestrator.ending import end_admitted, finish, fresh
from orchestrator.events import Decision, Event, EventMessage, IllegalTransition, Note, StartTimer
from orchestrator.execution import Admission, Ending, Execution, Outstanding, Status, StepStatus, early_cancel_of
from orchestrator.fan import count_settled, fail_item, succeed_item
from orchestrator.gate import ask_for_pins, meet_pack, warming
from orchestrator.items import record
from orchestrator.limits import Limits
from orchestrator.pattern import RESOLVE_STEP, CompiledPattern, Target
from orchestrator.progress import (
    attempt_failed,
    next_attempt,
    start_all,
    start_ready,
    timed_out,
)
from orchestrator.repeats import conflicting, repeated, turn_of
from orchestrator.settling import fail_step, succeed_step
from orchestrator.transitions import Action
from orchestrator.turn import Turn
from orchestrator.undo import fold_answer, fold_due, give_up, succeed
from orchestrator.versions import of_pinned_version
from topics.canonical import digest
from topics.errors import Code
from topics.messages import (
    CancelExecution,
    CapabilityResult,
    ErrorBody,
    ExecuteRequest,
    GateOpened,
    PackStatus,
    Resolution,
)

_M = TypeVar("_M", bound=EventMessage)
# Codes that say the request itself cannot be answered; other failures of `$resolve` are failures of the run.
_REJECTING = frozenset(
    {
        Code.INVALID_REQUEST,
        Code.INVALID_INPUT,
        Code.UNKNOWN_PORTFOLIO,
        Code.UNKNOWN_PACK,
        Code.UNKNOWN_LEDGER_COMMIT,
        Code.NO_PACK,
        Code.PACK_WARMING,
        Code.PACK_FAILED,
    }
)


def _admit(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    request = _message(event, ExecuteRequest)
    checked = check_request(request, pattern, event.at_ms, event.origin, limits, event.fault)
    if checked.error is not None or pattern is None:
        return end_admitted(checked.admission, pattern, Status.REJECTED, checked.error, limits)
    if state is not None and state.user_id == request.user_id:
        return end_admitted(checked.admission, pattern, Status.CANCELLED, early_cancel_of(state), limits)
    turn = _new_turn(checked.admission, pattern, event.at_ms, event.origin, limits)
    turn.remind(turn.deadline_at_ms)
    return _queued(turn) if event.full else _begin(turn)


def _start(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    turn = turn_of(state, event, pattern, limits)
    turn.leave_queue()
    return _begin(turn)


def _begin(turn: Turn) -> Decision:
    """Begin to work: ask for pins, or start the first steps. Pins are there when it was queued behind the gate."""
    if turn.pattern.needs_pins and turn.pins is None:
        return _decided(turn, ask_for_pins(turn, 1))
    turn.status = Status.RUNNING
    start_all(turn)
    return _after_steps(turn)


def _note_cancel(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    cancel = _message(event, CancelExecution)
    noted = Execution(
        execution_id=cancel.execution_id,
        tenant=cancel.tenant,
        user_id=cancel.user_id,
        status=Status.CANCELLED_EARLY,
        started_at_ms=event.at_ms,
        finished_at_ms=event.at_ms,
        origin=event.origin,
        reason=cancel.reason[:500],
    )
    return Decision(noted)


def _answer_resolve(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    turn = turn_of(state, event, pattern, limits)
    answer = of_pinned_version(_message(event, CapabilityResult), turn.pattern)
    command = turn.outstanding.get(RESOLVE_STEP)
    if answer.step_id != RESOLVE_STEP or command is None or answer.attempt < turn.resolve_attempt_min:
        return repeated(turn.before, event, pattern, limits, Note.LATE)
    if answer.error is not None:
        if answer.attempt != command.attempt or command.waiting:
            return repeated(turn.before, event, pattern, limits, Note.STALE_ERROR)
        final = attempt_failed(turn, RESOLVE_STEP, command, answer.error)
        return _decided(turn, Status.RESOLVING) if final is None else _resolve_failed(turn, final)
    resolution = _resolution(answer)
    if isinstance(resolution, str):
        message = f"expected a resolution from {turn.pattern.resolve and turn.pattern.resolve.name}: {resolution}"
        return _resolve_failed(turn, ErrorBody(code=Code.INVALID_OUTPUT, message=message))
    del turn.outstanding[RESOLVE_STEP]
    turn.resolution = resolution
    turn.resolve_record = record(
        RESOLVE_STEP,
        StepStatus.SUCCEEDED,
        max(command.attempt, answer.attempt),
        command.started_at_ms,
        turn.at_ms,
        value=answer.value,
        inline=True,
        output_digest=digest(answer.value),
        metadata=answer.metadata,
    )
    return _after_gate(turn, meet_pack(turn, resolution.pack))


def _open_gate(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    opened, turn = _message(event, GateOpened), turn_of(state, event, pattern, limits)
    if not turn.before.waits_for(opened.pack):
        return repeated(turn.before, event, pattern, limits, Note.OTHER_PACK)
    if opened.pack.status == PackStatus.WARMING:
        return repeated(turn.before, event, pattern, limits, Note.STILL_WARMING)
    return _after_gate(turn, meet_pack(turn, opened.pack), event.full)


def _answer_step(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    turn = turn_of(state, event, pattern, limits)
    answer = of_pinned_version(_message(event, CapabilityResult), turn.pattern)
    step = turn.pattern.step_by_id.get(answer.step_id)
    command = turn.outstanding.get(answer.step_id)
    if command is None:
        return repeated(turn.before, event, pattern, limits, _why_ignored(turn, answer.step_id))
    if step is None:
        return _answer_item(turn, event, answer, command)
    if answer.error is None:
        succeed_step(turn, step, command, answer)
    elif answer.attempt != command.attempt or command.waiting:
        return repeated(turn.before, event, pattern, limits, Note.STALE_ERROR)
    else:
        final = attempt_failed(turn, step.id, command, answer.error)
        if final is None:
            return _decided(turn, Status.RUNNING)
        fail_step(turn, step, command, final)
    start_ready(turn, list(step.readers))
    return _after_steps(turn)


def _answer_item(turn: Turn, event: Event, answer: CapabilityResult, command: Outstanding) -> Decision:
    target = _target(turn, answer.step_id)
    if answer.error is None:
        succeed_item(turn, target, command, answer)
    elif answer.attempt != command.attempt or command.waiting:
        return repeated(turn.before, event, turn.pattern, turn.limits, Note.STALE_ERROR)
    else:
        final = attempt_failed(turn, answer.step_id, command, answer.error)
        if final is None:
            return _decided(turn, Status.RUNNING)
        fail_item(turn, target, command, final)
    if count_settled(turn, target.step):
        start_ready(turn, list(target.step.readers))
    return _after_steps(turn)


def _target(turn: Turn, name: str) -> Target:
    target = turn.pattern.target(name)
    if target is None:
        raise IllegalTransition(f"expected a command of pattern {turn.pattern.id}, got {name}")
    return target


def _why_ignored(turn: Turn, name: str) -> Note:
    if name in turn.finished:
        return Note.DUPLICATE
    known = name == RESOLVE_STEP or turn.pattern.target(name) is not None
    return Note.LATE if known else Note.UNKNOWN_STEP


def _not_due(turn: Turn, event: Event, limits: Limits) -> Decision:
    """Arm an early timer again, unless the same event is only delivered again."""
    decision = repeated(turn.before, event, turn.pattern, limits, Note.NOT_DUE)
    if decision.note == Note.REDELIVERED:
        return decision
    next_due_at_ms = turn.before.next_due_at_ms()
    return Decision(None, (StartTimer(next_due_at_ms),) if next_due_at_ms else (), Note.NOT_DUE)


def _settle_due(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    turn = turn_of(state, event, pattern, limits)
    due = [name for name in turn.under_way() if turn.outstanding[name].due_at_ms <= event.at_ms]
    if turn.parked is not None and turn.parked.until_ms <= event.at_ms:
        pack = turn.resolution.pack if turn.resolution else None
        if pack is None:
            raise IllegalTransition("parked without a resolution")
        return finish(turn, Status.REJECTED, warming(turn, pack, f"and was so for {turn.admission.gate.wait_s:g} s"))
    if not due:
        return _not_due(turn, event, limits)
    for name in due:
        command = turn.outstanding[name]
        if command.waiting:
            next_attempt(turn, name, command)
            continue
        final = attempt_failed(turn, name, command, timed_out(name, command))
        if final is None:
            continue
        if name == RESOLVE_STEP:
            return _resolve_failed(turn, final)
        step = turn.pattern.step_by_id.get(name)
        if step is not None:
            fail_step(turn, step, command, final)
            start_ready(turn, list(step.readers))
            continue
        target = _target(turn, name)
        fail_item(turn, target, command, final)
        if count_settled(turn, target.step):
            start_ready(turn, list(target.step.readers))
    if turn.status == Status.RUNNING:
        return _after_steps(turn, rearm=True)
    return _decided(turn, turn.status, rearm=True)


def _cancel(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    cancel, turn = _message(event, CancelExecution), turn_of(state, event, pattern, limits)
    if cancel.user_id != turn.before.user_id:
        return Decision(None, (), Note.NOT_THE_OWNER)
    reason = cancel.reason[:500] or "cancelled by its user"
    return give_up(turn, Status.CANCELLED, ErrorBody(code=Code.CANCELLED, message=reason))


def _answer_compensation(
    state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits
) -> Decision:
    turn = turn_of(state, event, pattern, limits)
    answer = of_pinned_version(_message(event, CapabilityResult), turn.pattern)
    if answer.step_id not in turn.outstanding:
        return repeated(turn.before, event, pattern, limits, _why_ignored(turn, answer.step_id))
    decision = fold_answer(turn, _ending(turn), answer.step_id, answer)
    return decision or repeated(turn.before, event, pattern, limits, Note.STALE_ERROR)


def _settle_compensation_due(
    state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits
) -> Decision:
    turn = turn_of(state, event, pattern, limits)
    due = [name for name in turn.under_way() if turn.outstanding[name].due_at_ms <= event.at_ms]
    return fold_due(turn, _ending(turn), due) if due else _not_due(turn, event, limits)


def _ending(turn: Turn) -> Ending:
    if turn.ending is None:
        raise IllegalTransition("compensating without an ending")
    return turn.ending


def _repeat_request(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    request = _message(event, ExecuteRequest)
    if state is None:
        raise IllegalTransition("a repeated request needs an execution")
    again = repeated(state, event, pattern, limits, Note.DUPLICATE)
    answers = conflicting(state, request, event.fault)
    return Decision(None, (*again.emits, *answers), Note.CONFLICT) if answers else again


def _repeat(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    if state is None:
        raise IllegalTransition("a repeated event needs an execution")
    return repeated(state, event, pattern, limits, Note.DUPLICATE if state.origin == event.origin else Note.LATE)


def _ignore_unknown(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Decision:
    return Decision(None, (), Note.UNKNOWN_EXECUTION)


Handler = Callable[[Execution | None, Event, CompiledPattern | None, Limits], Decision]
HANDLERS: Mapping[Action, Handler] = {
    Action.ADMIT: _admit,
    Action.NOTE_CANCEL: _note_cancel,
    Action.START: _start,
    Action.ANSWER_RESOLVE: _answer_resolve,
    Action.OPEN_GATE: _open_gate,
    Action.ANSWER_STEP: _answer_step,
    Action.SETTLE_DUE: _settle_due,
    Action.ANSWER_COMPENSATION: _answer_compensation,
    Action.SETTLE_COMPENSATION_DUE: _settle_compensation_due,
    Action.CANCEL: _cancel,
    Action.REPEAT_REQUEST: _repeat_request,
    Action.REPEAT: _repeat,
    Action.IGNORE_UNKNOWN: _ignore_unknown,
}


def _after_gate(turn: Turn, status: Status, full: bool = False) -> Decision:
    if status == Status.REJECTED:
        return finish(turn, Status.REJECTED, turn.failure)
    if status != Status.RUNNING:
        return _decided(turn, status)
    if full:
        return _queued(turn)
    start_all(turn)
    return _after_steps(turn)


def _after_steps(turn: Turn, rearm: bool = False) -> Decision:
    if turn.failure is not None:
        return give_up(turn, Status.FAILED, turn.failure)
    if turn.prefix == len(turn.pattern.steps):
        return succeed(turn)
    return _decided(turn, Status.RUNNING, rearm)


def _decided(turn: Turn, status: Status, rearm: bool = False) -> Decision:
    state = turn.close(status, rearm)
    return Decision(state, tuple(turn.emits))


def _queued(turn: Turn) -> Decision:
    state = turn.queue()
    return Decision(state, tuple(turn.emits))


def _resolve_failed(turn: Turn, error: ErrorBody) -> Decision:
    command = turn.outstanding[RESOLVE_STEP]
    failed = record(RESOLVE_STEP, StepStatus.FAILED, command.attempt, command.started_at_ms, turn.at_ms, error=error)
    turn.settle(failed)
    return finish(turn, Status.REJECTED if error.code in _REJECTING else Status.FAILED, error)


def _new_turn(admission: Admission, pattern: CompiledPattern, at_ms: int, origin: str, limits: Limits) -> Turn:
    status = Status.RESOLVING if pattern.needs_pins else Status.RUNNING
    return Turn(fresh(admission, status), admission, pattern, at_ms, origin, limits)


def _message(event: Event, kind: type[_M]) -> _M:
    if not isinstance(event.message, kind):
        raise IllegalTransition(f"expected {kind.__name__}, got {type(event.message).__name__}")
    return event.message


def _resolution(answer: CapabilityResult) -> Resolution | str:
    try:
        return Resolution.model_validate_json(orjson.dumps(answer.value))
    except (ValueError, TypeError) as error:
        return str(error).replace("\n", " ")[:500]
