"""Running the steps: start what is ready, fold answers in, try again, skip, fail."""

from orchestrator import items
from orchestrator.catalogue import RetryPolicy
from orchestrator.execution import Outstanding, StepStatus
from orchestrator.fan import end_fans, start_fan
from orchestrator.inputs import check_inputs
from orchestrator.operators import ConditionFailed
from orchestrator.pattern import BEGIN, RESOLVE_STEP, CompiledStep, Part
from orchestrator.requests import backoff_ms, request_for, request_of
from orchestrator.settling import fail_step, is_lost
from orchestrator.templates import TemplateFailed
from orchestrator.turn import Turn
from topics.canonical import NotCanonical
from topics.errors import Code
from topics.messages import ErrorBody

_FAULTS_SHOWN_MAX = 5
_MESSAGE_CHARS_MAX = 2000
_REFUSALS_EXTRA_MAX = 3


def start_all(turn: Turn) -> None:
    """Start every step that is ready at the beginning of a run."""
    free = [step.index for step in turn.pattern.steps if step.parallel and not step.after]
    start_ready(turn, free)


def start_ready(turn: Turn, candidates: list[int]) -> None:
    """Start those candidates that are ready, and the next sequential step; follow what settles at once.

    Args:
        turn: of this event.
        candidates: indices of parallel steps that may have become ready.

    Cost: O(candidates and what they lead to); independent of the pattern's length.
    """
    steps = turn.pattern.steps
    queue = list(candidates)
    while turn.failure is None:
        if turn.prefix < len(steps) and not steps[turn.prefix].parallel:
            following = steps[turn.prefix]
            if following.id not in turn.outstanding and following.id not in turn.fans:
                queue.append(following.index)
        if not queue:
            return
        queue.sort(reverse=True)
        step = steps[queue.pop()]
        if step.id in turn.finished or step.id in turn.outstanding or step.id in turn.fans:
            continue
        if step.parallel and any(needed not in turn.finished for needed in step.after):
            continue
        if not step.parallel and step.index != turn.prefix:
            continue
        if _start(turn, step):
            queue.extend(step.readers)


def _start(turn: Turn, step: CompiledStep) -> bool:
    """Ask for a step, or settle it without asking; returns whether it is settled."""
    missing = next((name for name in step.requires if not turn.finished[name].has_output), None)
    if missing is not None:
        how = "was skipped" if turn.finished[missing].status == StepStatus.SKIPPED else "failed"
        _skip(turn, step, _not_begun(turn, step, missing) or f"needs {missing.removesuffix(BEGIN)}, which {how}")
        return True
    try:
        if step.condition is not None and not step.condition.holds(turn.scope):
            _skip(turn, step, f"condition is false: {step.condition.text}")
            return True
        if step.part is not None:
            _settle_part(turn, step, step.part)
            return True
        if step.foreach is not None:
            return start_fan(turn, step, step.foreach)
        command = turn.command(step.id, 1, False, turn.at_ms, turn.at_ms + step.timeout_ms)
        turn.emits.append(request_of(turn, step, command))
        return False
    except ConditionFailed as error:
        fail_step(turn, step, None, ErrorBody(code=Code.CONDITION_FAILED, message=f"step {step.id}: {error}"))
    except (TemplateFailed, NotCanonical) as error:
        fail_step(turn, step, None, ErrorBody(code=Code.TEMPLATE_FAILED, message=f"step {step.id}: {error}"))
    return True


def _not_begun(turn: Turn, step: CompiledStep, missing: str) -> str | None:
    """Return why a sub-pattern as a whole was skipped, for its end."""
    if step.part is None or step.part.begins or missing != step.id + BEGIN:
        return None
    return turn.finished[missing].skip_reason


def _settle_part(turn: Turn, step: CompiledStep, part: Part) -> None:
    """Begin a sub-pattern with valid inputs, or end it. Inputs in the artifact store cannot be looked at."""
    if part.begins:
        args, refs = step.args.render(turn.scope)
        found = [] if refs else check_inputs(part.inputs, args, None)
        if isinstance(found, list) and found:
            faults = "; ".join(f"{fault.pointer}: {fault.message}" for fault in found[:_FAULTS_SHOWN_MAX])
            message = f"step {part.step} ({step.capability}): {faults}"
            fail_step(turn, step, None, ErrorBody(code=Code.INVALID_INPUT, message=message))
            return
    turn.settle(items.record(step.id, StepStatus.SUCCEEDED, 0, None, turn.at_ms, inline=True))


def _skip(turn: Turn, step: CompiledStep, reason: str) -> None:
    turn.settle(items.record(step.id, StepStatus.SKIPPED, 0, None, turn.at_ms, skip_reason=reason))


def attempt_failed(turn: Turn, step_id: str, command: Outstanding, error: ErrorBody) -> ErrorBody | None:
    """Plan the next attempt after an error; returns the final error when there is none.

    `retry_after_s` of the upstream is honoured; a next attempt that could not start before the deadline is not made.
    AGENT_UNAVAILABLE says that nothing was tried because a circuit is open. It may be repeated beyond the policy's
    attempts, and each execution comes back at a moment of its own: all are told the same end of the pause, and only
    the first to come is let through until its outcome is known.
    """
    if len(error.message) > _MESSAGE_CHARS_MAX:
        error = error.model_copy(update={"message": error.message[:_MESSAGE_CHARS_MAX] + "…"})
    retry = _policy(turn, step_id)[1]
    refused = error.code is Code.AGENT_UNAVAILABLE and retry.attempts_max > 1
    if not error.retryable or command.attempt >= retry.attempts_max + (_REFUSALS_EXTRA_MAX if refused else 0):
        return error
    pause_ms = backoff_ms(retry, turn.before.execution_id, step_id, command.attempt)
    if error.retry_after_s is not None:
        asked_ms = round(error.retry_after_s * 1000)
        pause_ms = asked_ms + pause_ms if refused else max(pause_ms, asked_ms)
    due_at_ms = turn.at_ms + pause_ms
    if due_at_ms >= turn.deadline_at_ms:
        return error
    turn.command(step_id, command.attempt, True, command.started_at_ms, due_at_ms, is_lost(command, error))
    return None


def timed_out(step_id: str, command: Outstanding) -> ErrorBody:
    """Return the error of an attempt that got no answer in time."""
    message = f"step {step_id}: no answer to attempt {command.attempt} in time"
    return ErrorBody(code=Code.STEP_TIMEOUT, message=message, retryable=True)


def next_attempt(turn: Turn, step_id: str, command: Outstanding) -> None:
    """Send the attempt a pause was waiting for."""
    timeout_ms = _policy(turn, step_id)[0]
    due_at_ms = turn.at_ms + timeout_ms
    again = turn.command(step_id, command.attempt + 1, False, command.started_at_ms, due_at_ms, command.lost)
    turn.emits.append(request_for(turn, step_id, again))


def _policy(turn: Turn, step_id: str) -> tuple[int, RetryPolicy]:
    if step_id != RESOLVE_STEP:
        target = turn.pattern.target(step_id)
        if target is None:
            raise AssertionError(f"pattern {turn.pattern.id} has no command {step_id}")
        how = target.step.compensate if target.undo and target.step.compensate else target.step
        return how.timeout_ms, how.retry
    spec = turn.pattern.resolve
    if spec is None:
        raise AssertionError(f"pattern {turn.pattern.id} resolves pins without {RESOLVE_STEP}")
    return round(spec.timeout_s * 1000), spec.retry


def cancel_outstanding(turn: Turn) -> None:
    """Settle everything under way as cancelled; answers will come late and be ignored."""
    for step_id in turn.under_way():
        command = turn.outstanding[step_id]
        cancelled = items.record(step_id, StepStatus.CANCELLED, command.attempt, command.started_at_ms, turn.at_ms)
        turn.settle(cancelled)
    end_fans(turn)
