"""Ending an execution: the terminal state and its one result."""

from dataclasses import replace

from orchestrator.events import Decision, PublishResult
from orchestrator.execution import Admission, Execution, Status
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.progress import cancel_outstanding
from orchestrator.result import build_result, execution_digest, fits
from orchestrator.turn import Turn
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
    if status == Status.SUCCEEDED:
        problem = fits(state, turn.pattern, turn.limits)
        if problem is not None:
            code = Code.OUTPUT_TOO_LARGE if problem.startswith("expected outputs") else Code.INVALID_OUTPUT
            state = replace(state, status=Status.FAILED, error=ErrorBody(code=code, message=problem))
    return Decision(state, (PublishResult(build_result(state, turn.pattern, turn.limits)),))


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


def time_out(turn: Turn) -> Decision:
    """End an execution that has reached its deadline."""
    seconds = (turn.deadline_at_ms - turn.admission.at_ms) / 1000
    message = f"the execution did not end within its deadline of {seconds:g} s; it was {turn.before.status}"
    return finish(turn, Status.TIMED_OUT, ErrorBody(code=Code.DEADLINE_EXCEEDED, message=message))


def result_of(state: Execution, pattern: CompiledPattern | None, limits: Limits) -> ExecutionResult:
    """Return the result of a terminal execution; one that ended by a bug may have no trace to tell."""
    if state.error is None or state.error.code != Code.INTERNAL:
        return build_result(state, pattern, limits)
    return build_result(state, None, limits)


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
