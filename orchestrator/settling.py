"""How a step ends: with its answer, or as failed."""

import hashlib

from orchestrator import items
from orchestrator.execution import Outstanding, StepRecord, StepStatus
from orchestrator.pattern import CompiledStep
from orchestrator.references import ItemScope, Scope
from orchestrator.turn import Turn
from topics.canonical import NotCanonical, canonical_bytes, digest
from topics.errors import Code
from topics.messages import CapabilityResult, ErrorBody

_EMPTY_REFS_BYTES = len('{"args":,"refs":{}}')


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
        turn.settle(success(turn, step, step.id, turn.scope, command, answer))
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


def success(
    turn: Turn,
    step: CompiledStep,
    name: str,
    scope: Scope,
    command: Outstanding,
    answer: CapabilityResult,
    whole: bool = True,
) -> StepRecord:
    """Return the record of a step, or of one item of it, that was answered.

    Args:
        turn: of this event.
        step: that was asked for.
        name: of the command.
        scope: its arguments were made in.
        command: under way.
        answer: without error.
        whole: false for an item: the step has the digest over all of them.

    Raises:
        NotCanonical, TypeError: the answer cannot be kept.
    """
    args, refs = step.args.render(scope)
    given: dict[str, object] = {"args": args, "refs": refs}
    if not whole and isinstance(scope, ItemScope) and scope.picks:
        given["picks"] = scope.picks
    data = canonical_bytes(given)
    args_bytes = len(data) - _EMPTY_REFS_BYTES if not refs else len(canonical_bytes(args))
    args_digest = hashlib.sha256(data).hexdigest()
    ref = answer.refs.get("")
    inline = answer.value is not None or ref is None
    output_digest = answer.digest or digest(answer.value)
    return items.record(
        name,
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
        digest=step_digest(step.digest_head, args_digest, turn.pins_json, output_digest) if whole else None,
        metadata=answer.metadata,
    )


def step_digest(head: bytes, args_digest: str, pins_json: bytes, output_digest: str) -> str:
    """Return the digest of canonical `[capability, version, args_digest, pins or null, output_digest]`.

    The list is put together from canonical parts: canonical JSON of a list is its items' with commas between.
    """
    parts = b'%s,"%s",%s,"%s"]' % (head, args_digest.encode(), pins_json or b"null", output_digest.encode())
    return hashlib.sha256(parts).hexdigest()
