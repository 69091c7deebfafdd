"""Events that come again: emit what they emitted the first time if that may be lost, else nothing."""

from uuid import UUID, uuid5

from orchestrator.admission import request_sha256
from orchestrator.ending import closing_emits
from orchestrator.events import Decision, Emit, Event, IllegalTransition, Note, PublishResult, StartTimer, WatchPack
from orchestrator.execution import Execution
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.requests import request_for
from orchestrator.turn import Turn
from topics.canonical import digest
from topics.errors import Code
from topics.messages import ErrorBody, ExecuteRequest, ExecutionResult, ExecutionStatus
from topics.trace import Trace


def repeated(state: Execution, event: Event, pattern: CompiledPattern | None, limits: Limits, note: Note) -> Decision:
    """Return what the event emitted the first time, if it is the one that emitted what is still open; else nothing."""
    if state.cut or state.admission is None:
        return Decision(None, (), note)
    if state.is_terminal:
        if state.origin != event.origin:
            return Decision(None, (), note)
        return Decision(None, closing_emits(state, pattern, event.at_ms, limits), Note.REDELIVERED)
    emits: list[Emit] = []
    turn = turn_of(state, event, pattern, limits)
    for name in turn.under_way():
        command = state.outstanding[name]
        if command.origin != event.origin or command.waiting:
            continue
        emits.append(request_for(turn, name, command))
    if state.parked is not None and state.parked.origin == event.origin:
        emits.append(WatchPack(state.parked.pack_id))
    if state.timer_origin == event.origin:
        emits.append(StartTimer(state.timer_at_ms))
    if not emits:
        return Decision(None, (), note)
    return Decision(None, tuple(emits), Note.REDELIVERED)


def conflicting(state: Execution, request: ExecuteRequest, fault: str = "") -> tuple[PublishResult, ...]:
    """Return the answer to a request if it is another one under the execution's id; else nothing."""
    arrived = request_sha256(request, fault)
    if state.request_sha256 in (None, arrived):
        return ()
    return (PublishResult(conflict(state, request, arrived)),)


def conflict_id(execution_id: str, arrived: str) -> str:
    """Return the id of the answer to another request under a used id.

    Args:
        execution_id: that both requests lead to.
        arrived: `request_sha256` of the second one.
    """
    return str(uuid5(UUID(execution_id), arrived))


def conflict(state: Execution, request: ExecuteRequest, arrived: str) -> ExecutionResult:
    """Return the answer to another request under a used id.

    It must not be taken for the first request's result, so it has an execution id of its own and names the other. Its
    times are the other's beginning: asked again, it gives the same bytes.
    """
    execution_id = conflict_id(state.execution_id, arrived)
    message = f"request_id {request.request_id!r} was used for another request; expected a new id or the same body"
    details = {"execution_id": state.execution_id, "request_sha256": arrived}
    return ExecutionResult(
        execution_id=execution_id,
        request_id=request.request_id,
        tenant=request.tenant,
        user_id=request.user_id,
        pattern_id=request.pattern_id,
        status=ExecutionStatus.REJECTED,
        error=ErrorBody(code=Code.REQUEST_CONFLICT, message=message, details=details),
        trace=Trace(pattern_id=request.pattern_id, asof_requested=request.asof),
        digest=digest([None, arrived, None, []]),
        started_at_ms=state.started_at_ms,
        finished_at_ms=state.started_at_ms,
    )


def turn_of(state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits) -> Turn:
    """Return the work of an event on an admitted execution."""
    if state is None or state.admission is None or pattern is None:
        raise IllegalTransition("expected an admitted execution and its pattern")
    return Turn(state, state.admission, pattern, event.at_ms, event.origin, limits)
