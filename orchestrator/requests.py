"""The commands an execution sends: one attempt of a step, of undoing one, or of resolving the pins."""

import hashlib

from orchestrator.catalogue import RetryPolicy
from orchestrator.events import SendRequest
from orchestrator.execution import Outstanding
from orchestrator.pattern import RESOLVE_STEP, UNDO, CompiledStep, Target, item_name
from orchestrator.references import ItemScope
from orchestrator.turn import Turn
from topics.messages import ARTIFACT_BYTES_MIN, CapabilityRequest

_MS = 1000


def request_for(turn: Turn, name: str, command: Outstanding) -> SendRequest:
    """Return the request of a command under way, whatever it is about.

    Raises:
        TemplateFailed: an argument names something that does not exist.
    """
    step = turn.pattern.step_by_id.get(name)
    if step is not None:
        return request_of(turn, step, command)
    if name == RESOLVE_STEP:
        return resolve_request(turn, command)
    target = turn.pattern.target(name)
    if target is None:
        raise AssertionError(f"pattern {turn.pattern.id} has no command {name}")
    if target.undo:
        return undo_request(turn, target, command.attempt, command.due_at_ms)
    return _item_request(turn, target, command)


def item_scope(turn: Turn, step: CompiledStep, index: int) -> ItemScope:
    """Return what one item of a foreach step can read."""
    if step.foreach is None:
        raise AssertionError(f"step {step.id} has no items")
    return ItemScope(turn.scope, step.foreach.source, index, item_name(step.id, index))


def request_of(turn: Turn, step: CompiledStep, command: Outstanding) -> SendRequest:
    """Return the request for one attempt of a step.

    Raises:
        TemplateFailed: an argument names something that does not exist.
    """
    args, refs = step.args.render(turn.scope)
    execution_id = turn.before.execution_id
    request = CapabilityRequest(
        execution_id=execution_id,
        tenant=turn.before.tenant,
        user_id=turn.before.user_id,
        step_id=step.id,
        attempt=command.attempt,
        capability=step.capability,
        version=step.version,
        args=args,
        refs=refs,
        pins=turn.pins,
        deadline_at_ms=command.due_at_ms,
        idempotency_key=f"{execution_id}/{step.id}",
        projections=step.projections,
        inline_bytes_max=turn.limits.output_bytes if step.output else turn.limits.inline_bytes,
        artifact_bytes_min=max(ARTIFACT_BYTES_MIN, turn.limits.output_bytes // step.places if step.places else 0),
    )
    return SendRequest(step.agent, request, step.compensate is not None)


def _item_request(turn: Turn, target: Target, command: Outstanding) -> SendRequest:
    step, limits = target.step, turn.limits
    scope = item_scope(turn, step, target.item or 0)
    args, refs = step.args.render(scope)
    fan = turn.fans.get(step.id)
    count = max(1, (fan.count if fan else turn.finished[step.id].count) or 1)
    share = min(limits.output_bytes // count, limits.output_bytes if step.output else limits.inline_bytes)
    execution_id = turn.before.execution_id
    request = CapabilityRequest(
        execution_id=execution_id,
        tenant=turn.before.tenant,
        user_id=turn.before.user_id,
        step_id=target.name,
        attempt=command.attempt,
        capability=step.capability,
        version=step.version,
        args=args,
        refs=refs,
        picks=scope.picks or None,
        pins=turn.pins,
        deadline_at_ms=command.due_at_ms,
        idempotency_key=f"{execution_id}/{target.name}",
        projections=step.projections,
        inline_bytes_max=max(limits.item_bytes_min, share),
    )
    return SendRequest(step.agent, request, step.compensate is not None)


def undo_request(turn: Turn, target: Target, attempt: int, due_at_ms: int) -> SendRequest:
    """Return the request that undoes a step, or one item of it.

    Raises:
        TemplateFailed: an argument names something that does not exist, as the output of a step that timed out.
    """
    undo = target.step.compensate
    if undo is None:
        raise AssertionError(f"step {target.step.id} cannot be undone")
    item = None if target.item is None else item_scope(turn, target.step, target.item)
    args, refs = undo.args.render(item or turn.scope)
    execution_id = turn.before.execution_id
    name = UNDO + target.done
    request = CapabilityRequest(
        execution_id=execution_id,
        tenant=turn.before.tenant,
        user_id=turn.before.user_id,
        step_id=name,
        attempt=attempt,
        capability=undo.capability,
        version=undo.version,
        args=args,
        refs=refs,
        picks=(item.picks or None) if item else None,
        pins=turn.pins,
        deadline_at_ms=due_at_ms,
        idempotency_key=f"{execution_id}/{name}",
        inline_bytes_max=turn.limits.inline_bytes,
    )
    return SendRequest(undo.agent, request, True)


def resolve_request(turn: Turn, command: Outstanding) -> SendRequest:
    """Return the request that asks for the pins."""
    spec = turn.pattern.resolve
    if spec is None:
        raise AssertionError(f"pattern {turn.pattern.id} resolves pins without {RESOLVE_STEP}")
    asked, portfolio_id = turn.admission.request, turn.admission.portfolio_id
    execution_id = turn.before.execution_id
    request = CapabilityRequest(
        execution_id=execution_id,
        tenant=turn.before.tenant,
        user_id=turn.before.user_id,
        step_id=RESOLVE_STEP,
        attempt=command.attempt,
        capability=spec.name,
        version=spec.version,
        args={
            "portfolio_id": None if portfolio_id is None else str(portfolio_id),
            "asof": None if asked.asof is None else asked.asof.isoformat(),
            "pack_id": None if asked.pack_id is None else str(asked.pack_id),
            "ledger_commit": asked.ledger_commit,
        },
        deadline_at_ms=command.due_at_ms,
        idempotency_key=f"{execution_id}/{RESOLVE_STEP}",
        inline_bytes_max=turn.limits.output_bytes,
    )
    return SendRequest(spec.agent, request)


def backoff_ms(retry: RetryPolicy, execution_id: str, step_id: str, attempt: int) -> int:
    """Return the pause after a failed attempt: exponential, between half and all of it, the same for the same ids."""
    seconds = min(retry.cap_s, retry.backoff_s * retry.factor ** (attempt - 1))
    drawn = hashlib.sha256(f"{execution_id}/{step_id}/{attempt}".encode()).digest()
    share = int.from_bytes(drawn[:4], "big") / 2**32
    return max(1, round(seconds * _MS * (0.5 + share / 2)))
