"""Running the steps: start what is ready, fold answers in, try again, skip, fail."""

import hashlib

from orchestrator import items
from orchestrator.catalogue import RetryPolicy
from orchestrator.execution import Outstanding, StepRecord, StepStatus
from orchestrator.operators import ConditionFailed
from orchestrator.pattern import RESOLVE_STEP, CompiledStep
from orchestrator.requests import backoff_ms, request_for, request_of
from orchestrator.templates import TemplateFailed
from orchestrator.turn import Turn
from topics.canonical import NotCanonical, canonical_bytes, digest
from topics.errors import Code
from topics.messages import CapabilityResult, ErrorBody

_MESSAGE_CHARS_MAX = 2000
_EMPTY_REFS_BYTES = len('{"args":,"refs":{}}')


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
            if following.id not in turn.outstanding:
                queue.append(following.index)
        if not queue:
            return
        queue.sort(reverse=True)
        step = steps[queue.pop()]
        if step.id in turn.finished or step.id in turn.outstanding:
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
        _skip(turn, step, f"needs {missing}, which {how}")
        return True
    try:
        if step.condition is not None and not step.condition.holds(turn.scope):
            _skip(turn, step, f"condition is false: {step.condition.text}")
            return True
        command = turn.command(step.id, 1, False, turn.at_ms, turn.at_ms + step.timeout_ms)
        turn.emits.append(request_of(turn, step, command))
        return False
    except ConditionFailed as error:
        fail_step(turn, step, None, ErrorBody(code=Code.CONDITION_FAILED, message=f"step {step.id}: {error}"))
    except (TemplateFailed, NotCanonical) as error:
        fail_step(turn, step, None, ErrorBody(code=Code.TEMPLATE_FAILED, message=f"step {step.id}: {error}"))
    return True


def _skip(turn: Turn, step: CompiledStep, reason: str) -> None:
    turn.settle(items.record(step.id, StepStatus.SKIPPED, 0, None, turn.at_ms, skip_reason=reason))


def fail_step(
    turn: Turn, step: CompiledStep, command: Outstanding | None, error: ErrorBody, lost: bool = False
) -> None:
    """Settle a step as failed; by its `on_error` the execution fails with it or goes on.

    Args:
        turn: of this event.
        step: that failed.
        command: under way; None when it was never asked for.
        error: why.
        lost: it may have had its effect nevertheless.
    """
    policy = step.on_error
    value = policy.value if policy.action == "value" else None
    failed = items.record(
        step.id,
        StepStatus.FAILED,
        command.attempt if command else 0,
        command.started_at_ms if command else None,
        turn.at_ms,
        value=value,
        inline=policy.action == "value",
        output_digest=digest(value) if policy.action == "value" else None,
        error=error,
        lost=step.compensate is not None and (lost or is_lost(command, error)),
    )
    turn.settle(failed)
    if policy.action == "fail":
        turn.failure = error


def succeed_step(turn: Turn, step: CompiledStep, command: Outstanding, answer: CapabilityResult) -> None:
    """Settle a step with its answer."""
    try:
        turn.settle(_success(turn, step, command, answer))
    except (NotCanonical, TypeError) as error:
        wanted = "JSON with finite numbers and integers within 2^53"
        message = f"step {step.id}: expected {wanted} from {step.capability}: {error}"
        fail_step(turn, step, command, ErrorBody(code=Code.INVALID_OUTPUT, message=message), lost=True)


def is_lost(command: Outstanding | None, error: ErrorBody | None) -> bool:
    """Whether nobody knows what a command did.

    An attempt that got no answer may have had its effect, and so may one whose upstream failed half-way; besides, the
    broker may have delivered it twice. Only an error that no repetition would change says that nothing was done.
    """
    return (command is not None and command.lost) or (error is not None and error.retryable)


def _success(turn: Turn, step: CompiledStep, command: Outstanding, answer: CapabilityResult) -> StepRecord:
    args, refs = step.args.render(turn.scope)
    whole = canonical_bytes({"args": args, "refs": refs})
    args_bytes = len(whole) - _EMPTY_REFS_BYTES if not refs else len(canonical_bytes(args))
    args_digest = hashlib.sha256(whole).hexdigest()
    ref = answer.refs.get("")
    inline = answer.value is not None or ref is None
    output_digest = answer.digest or digest(answer.value)
    return items.record(
        step.id,
        StepStatus.SUCCEEDED,
        answer.attempt,
        command.started_at_ms,
        turn.at_ms,
        value=answer.value if inline else None,
        inline=inline,
        ref=ref,
        projections=answer.projections if not inline else None,
        args_bytes=args_bytes,
        args_digest=args_digest,
        output_digest=output_digest,
        digest=step_digest(step.digest_head, args_digest, turn.pins_json, output_digest),
        metadata=answer.metadata,
    )


def step_digest(head: bytes, args_digest: str, pins_json: bytes, output_digest: str) -> str:
    """Return the digest of canonical `[capability, version, args_digest, pins or null, output_digest]`.

    The list is put together from canonical parts: canonical JSON of a list is its items' with commas between.
    """
    parts = b'%s,"%s",%s,"%s"]' % (head, args_digest.encode(), pins_json or b"null", output_digest.encode())
    return hashlib.sha256(parts).hexdigest()


def attempt_failed(turn: Turn, step_id: str, command: Outstanding, error: ErrorBody) -> ErrorBody | None:
    """Plan the next attempt after an error; returns the final error when there is none.

    `retry_after_s` of the upstream is honoured; a next attempt that could not start before the deadline is not made.
    """
    if len(error.message) > _MESSAGE_CHARS_MAX:
        error = error.model_copy(update={"message": error.message[:_MESSAGE_CHARS_MAX] + "…"})
    retry = _policy(turn, step_id)[1]
    if not error.retryable or command.attempt >= retry.attempts_max:
        return error
    pause_ms = backoff_ms(retry, turn.before.execution_id, step_id, command.attempt)
    if error.retry_after_s is not None:
        pause_ms = max(pause_ms, round(error.retry_after_s * 1000))
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
    """Settle every command under way as cancelled; their answers will come late and be ignored."""
    for step_id in turn.under_way():
        command = turn.outstanding[step_id]
        cancelled = items.record(step_id, StepStatus.CANCELLED, command.attempt, command.started_at_ms, turn.at_ms)
        turn.settle(cancelled)
