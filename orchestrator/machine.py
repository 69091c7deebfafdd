"""The engine's one entry: `advance(state, event, pattern) -> Decision`.

Pure: no clock but the event's, no randomness, no I/O; nothing is changed in place. The table in `transitions.py`
chooses the handler in `handlers.py`.
"""

from dataclasses import replace

from orchestrator.admission import check_request
from orchestrator.ending import end_admitted, fresh, internal_digest, result_of
from orchestrator.events import Decision, Event, IllegalTransition, Note, PublishResult
from orchestrator.execution import Execution, Status
from orchestrator.handlers import HANDLERS
from orchestrator.limits import DEFAULT_LIMITS, Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.repeats import conflicting, turn_of
from orchestrator.transitions import TABLE
from orchestrator.undo import time_out
from topics.errors import Code
from topics.messages import ErrorBody, ExecuteRequest


def advance(
    state: Execution | None, event: Event, pattern: CompiledPattern | None, limits: Limits = DEFAULT_LIMITS
) -> Decision:
    """Fold one event into an execution and decide what happens next.

    Args:
        state: snapshot before the event; None for an unknown execution.
        event: about the same execution.
        pattern: for a new request the newest version of the pattern it names, else the version the state names by
            digest; None if there is none.
        limits: bounds; the same ones for all events of an execution.

    Returns:
        The new state (None: unchanged), the emits in publish order, and a note when the event changed nothing.

    Raises:
        IllegalTransition: no row for (status, event), a handler left its row, or the pattern is not the one the
            execution was admitted with. Answer it with `internal_failure`.

    Time: the event's. Cost: O(steps that change), and copying one dict of the settled steps.
    """
    status = state.status if state is not None else None
    row = TABLE.get((status, type(event.message)))
    if row is None:
        raise IllegalTransition(f"no row for ({status}, {type(event.message).__name__})")
    if state is not None and event.message.tenant != state.tenant:
        return Decision(None, (), Note.NOT_THE_OWNER)
    running = state is not None and state.admission is not None and not state.is_terminal
    if running and state is not None:
        _check_pattern(state, pattern)
        if _is_over(state, event):
            decision = time_out(turn_of(state, event, pattern, limits), event)
            if isinstance(event.message, ExecuteRequest):
                # Whoever asks for something else under this id is answered all the same.
                return replace(decision, emits=(*decision.emits, *conflicting(state, event.message, event.fault)))
            return decision
    decision = HANDLERS[row.action](state, event, pattern, limits)
    if decision.state is not None and decision.state.status not in row.to:
        name = type(event.message).__name__
        raise IllegalTransition(f"({status}, {name}) led to {decision.state.status}, outside its row")
    return decision


def rejected(
    request: ExecuteRequest, code: Code, message: str, at_ms: int, origin: str, limits: Limits = DEFAULT_LIMITS
) -> Decision:
    """Return the terminal decision on a request that cannot be admitted, without a pattern."""
    checked = check_request(request, None, at_ms, origin, limits)
    return end_admitted(checked.admission, None, Status.REJECTED, ErrorBody(code=code, message=message), limits)


def internal_failure(
    state: Execution | None,
    event: Event,
    pattern: CompiledPattern | None,
    message: str,
    limits: Limits = DEFAULT_LIMITS,
) -> Decision:
    """Return the decision that ends an execution which hit a bug in the core. Never raises.

    Args:
        state: before the event.
        event: that could not be processed; the shell dead-letters it as well.
        pattern: of the execution.
        message: what went wrong, for people.
        limits: bounds.
    """
    error = ErrorBody(code=Code.INTERNAL, message=message[:2000])
    if state is None or state.admission is None:
        if not isinstance(event.message, ExecuteRequest):
            return Decision(None, (), Note.UNKNOWN_EXECUTION)
        admission = check_request(event.message, None, event.at_ms, event.origin, limits).admission
        state = fresh(admission, Status.RUNNING)
    elif state.is_terminal:
        return Decision(None, (), Note.LATE)
    broken = replace(
        state,
        status=Status.FAILED,
        outstanding={},
        parked=None,
        ending=None,
        fans={},
        error=error,
        finished_at_ms=event.at_ms,
        origin=event.origin,
        digest=internal_digest(state),
    )
    return Decision(broken, (PublishResult(result_of(broken, pattern, limits)),))


def cut(state: Execution) -> Execution:
    """Return the terminal record of an execution whose result is confirmed: enough to recognise what comes late."""
    return Execution(
        execution_id=state.execution_id,
        tenant=state.tenant,
        user_id=state.user_id,
        status=state.status,
        started_at_ms=state.started_at_ms,
        digest=state.digest,
        finished_at_ms=state.finished_at_ms,
        origin=state.origin,
        cut=True,
        request_sha256=state.request_sha256,
        reason=state.reason,
    )


def _is_over(state: Execution, event: Event) -> bool:
    ends_at_ms = state.ends_at_ms
    return ends_at_ms is not None and event.at_ms >= ends_at_ms


def _check_pattern(state: Execution, pattern: CompiledPattern | None) -> None:
    if pattern is None or pattern.digest != state.pattern_digest:
        got = None if pattern is None else pattern.digest
        raise IllegalTransition(f"expected pattern {state.pattern_digest} for {state.execution_id}, got {got}")
    if state.pattern_versions not in ("", pattern.versions):
        raise IllegalTransition(
            f"expected pattern {pattern.id} with capability versions {state.pattern_versions} for "
            f"{state.execution_id}, got {pattern.versions}"
        )
