"""Ending an execution: the terminal state and its one result."""

from dataclasses import replace

from orchestrator.events import DeadLetter, Decision, Emit, PublishResult
from orchestrator.execution import Admission, Execution, Status, StepStatus
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.progress import cancel_outstanding
from orchestrator.requests import undo_request
from orchestrator.result import build_result, execution_digest
from orchestrator.templates import TemplateFailed
from orchestrator.turn import Turn
from topics.canonical import NotCanonical
from topics.canonical import digest as digest_of
from topics.codec import execution_id_of
from topics.errors import Code
from topics.messages import ErrorBody, ExecutionResult


def finish(turn: Turn, status: Status, error: ErrorBody | None) -> Decision:
    """End the execution; commands of this very event that were not sent yet are dropped."""
    cancel_outstanding(turn)
    if turn.resolve_record is not None:
        turn.settle(turn.resolve_record)
        turn.resolve_record = None
    digest = execution_digest(turn.admission, turn.pins_json, turn.finished, turn.pattern)
    state = turn.end(status, error, digest)
    return Decision(state, closing_emits(state, turn.pattern, turn.at_ms, turn.limits))


def closing_emits(state: Execution, pattern: CompiledPattern | None, at_ms: int, limits: Limits) -> tuple[Emit, ...]:
    """Return what the event that ends an execution emits, also when it is delivered again: its result comes last.

    Args:
        state: terminal and not cut.
        pattern: it was admitted with; None if it is unknown.
        at_ms: of that event.
        limits: bounds.
    """
    result = PublishResult(result_of(state, pattern, limits))
    if pattern is None or not pattern.compensates or state.admission is None or _is_internal(state):
        return (result,)
    turn = Turn(state, state.admission, pattern, at_ms, state.origin or "", limits)
    return (*_dead_letters(turn), result)


def _dead_letters(turn: Turn) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    for name, record in turn.finished.items():
        target = turn.pattern.target(name) if record.status == StepStatus.COMPENSATION_FAILED else None
        if target is None or target.step.compensate is None or record.error is None:
            continue
        reason = f"step {target.done} could not be undone: {record.error.code}: {record.error.message}"
        attempt = max(1, record.attempts)
        try:
            send = undo_request(turn, target, attempt, turn.at_ms + target.step.compensate.timeout_ms)
            found.append(DeadLetter(target.done, reason, send.agent, send.request))
        except (TemplateFailed, NotCanonical):
            found.append(DeadLetter(target.done, reason, "", None))
    return found


def end_admitted(
    admission: Admission, pattern: CompiledPattern | None, status: Status, error: ErrorBody | None, limits: Limits
) -> Decision:
    """End an execution in the event that asked for it, before any step."""
    state = replace(
        fresh(admission, status),
        error=error,
        finished_at_ms=admission.at_ms,
        origin=admission.origin,
        digest=execution_digest(admission, b"", {}, pattern),
    )
    return Decision(state, (PublishResult(build_result(state, pattern, limits)),))


def result_of(state: Execution, pattern: CompiledPattern | None, limits: Limits) -> ExecutionResult:
    """Return the result of a terminal execution; one that ended by a bug may have no trace to tell."""
    return build_result(state, None if _is_internal(state) else pattern, limits)


def internal_digest(state: Execution) -> str:
    """Return the digest of an execution that a bug in the core ended: its steps are not to be trusted."""
    return digest_of([state.pattern_digest, Code.INTERNAL.value, state.execution_id])


def _is_internal(state: Execution) -> bool:
    """Whether a bug in the core ended it; one in an agent has the same code, but a trace to tell."""
    return state.error is not None and state.error.code == Code.INTERNAL and state.digest == internal_digest(state)


def fresh(admission: Admission, status: Status) -> Execution:
    """Return an execution that was admitted and has done nothing yet."""
    request = admission.request
    return Execution(
        execution_id=execution_id_of(request.tenant, request.request_id),
        tenant=request.tenant,
        user_id=request.user_id,
        status=status,
        started_at_ms=admission.at_ms,
        admission=admission,
        tail_bytes=len(admission.encoded) + 1,
        request_sha256=admission.request_sha256,
    )
