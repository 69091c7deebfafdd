"""foreach: one command per item of a list, at most so many at a time, answers kept in the order of the items.

A foreach step is *under way* as a `Fan`: how many items there are, have been started and are settled. Its items are
commands and records of their own, named `step[index]`, so they are answered, tried again, timed out and redelivered as
steps are, and one event costs what one item costs. The step is settled when its last item is; its output is the list
of its items' outputs, which nobody copies: whoever reads it reads the items' records. An item that failed and was gone
on without stands in the list as null, or as the value `on_error` gives.

Digests: the step's args digest is that of the list of its items' args digests, its output digest that of the list of
its items' output digests (null for an item without output).
"""

from orchestrator import items
from orchestrator.execution import Fan, Outstanding, StepStatus
from orchestrator.pattern import CompiledStep, Foreach, Target, item_name
from orchestrator.references import Absent, NoList
from orchestrator.requests import item_scope, request_for
from orchestrator.settling import fail_step, is_lost, step_digest, success
from orchestrator.templates import TemplateFailed, explain_missing
from orchestrator.turn import Turn
from orchestrator.validation import shown
from topics.canonical import NotCanonical, digest
from topics.errors import Code
from topics.messages import CapabilityResult, ErrorBody
from topics.paths import Missing


def start_fan(turn: Turn, step: CompiledStep, foreach: Foreach) -> bool:
    """Start the first items of a step; returns whether the step is settled."""
    count = turn.scope.count(foreach.source, foreach.length)
    if isinstance(count, (Missing, Absent)):
        message = f"step {step.id}: foreach {foreach.text} {explain_missing(count)}"
    elif isinstance(count, NoList):
        message = f"step {step.id}: expected a list from foreach {foreach.text}, got {shown(count.found)}"
    elif count > turn.limits.items_max:
        message = f"step {step.id}: expected at most {turn.limits.items_max} items from {foreach.text}, got {count}"
    else:
        turn.fan(step.id, Fan(count, 0, 0, turn.at_ms))
        return fill(turn, step)
    fail_step(turn, step, None, ErrorBody(code=Code.TEMPLATE_FAILED, message=message))
    return True


def fill(turn: Turn, step: CompiledStep) -> bool:
    """Start items until as many are under way as may be; settle the step after the last; returns whether it is settled.

    Cost: O(items started).
    """
    fan, foreach = turn.fans.get(step.id), step.foreach
    if fan is None or foreach is None:
        return step.id in turn.finished
    started, settled = fan.started, fan.settled
    while started < fan.count and started - settled < foreach.concurrency_max:
        settled += _start_item(turn, Target(step, False, started))
        started += 1
        if turn.failure is not None:
            return True
    fan = Fan(fan.count, started, settled, fan.started_at_ms)
    turn.fan(step.id, fan)
    if settled < fan.count:
        return False
    _settle(turn, step, fan)
    return True


def _start_item(turn: Turn, target: Target) -> bool:
    """Ask for an item; returns whether it is settled at once."""
    name = target.name
    command = turn.command(name, 1, False, turn.at_ms, turn.at_ms + target.step.timeout_ms)
    try:
        turn.emits.append(request_for(turn, name, command))
    except (TemplateFailed, NotCanonical) as error:
        message = f"step {name}: {error}"
        fail_item(turn, target, None, ErrorBody(code=Code.TEMPLATE_FAILED, message=message))
        return True
    return False


def succeed_item(turn: Turn, target: Target, command: Outstanding, answer: CapabilityResult) -> None:
    """Settle an item with its answer."""
    step, name = target.step, target.name
    try:
        scope = item_scope(turn, step, target.item or 0)
        turn.settle(success(turn, step, name, scope, command, answer, whole=False))
    except (NotCanonical, TypeError) as error:
        wanted = "JSON with finite numbers and integers within 2^53"
        message = f"step {name}: expected {wanted} from {step.capability}: {error}"
        fail_item(turn, target, command, ErrorBody(code=Code.INVALID_OUTPUT, message=message), lost=True)


def fail_item(turn: Turn, target: Target, command: Outstanding | None, error: ErrorBody, lost: bool = False) -> None:
    """Settle an item as failed; by the step's `on_error` the step and the execution fail with it or go on."""
    step, policy = target.step, target.step.on_error
    substitute = policy.action == "value"
    failed = items.record(
        target.name,
        StepStatus.FAILED,
        command.attempt if command else 0,
        command.started_at_ms if command else None,
        turn.at_ms,
        value=policy.value if substitute else None,
        inline=substitute,
        output_digest=digest(policy.value) if substitute else None,
        error=error,
        lost=step.compensate is not None and (lost or is_lost(command, error)),
    )
    turn.settle(failed)
    if policy.action == "fail":
        body = error.model_copy(update={"message": f"item {target.item}: {error.message}"})
        end_fan(turn, step, StepStatus.FAILED, body)
        turn.failure = body


def count_settled(turn: Turn, step: CompiledStep) -> bool:
    """Count one more item as settled and start the next; returns whether the step is settled."""
    fan = turn.fans.get(step.id)
    if fan is not None:
        turn.fan(step.id, Fan(fan.count, fan.started, fan.settled + 1, fan.started_at_ms))
    return fill(turn, step)


def end_fan(turn: Turn, step: CompiledStep, status: StepStatus, error: ErrorBody | None = None) -> None:
    """Settle a foreach step that will not come to its end."""
    fan = turn.fans.get(step.id)
    if fan is not None:
        attempts, began_ms = min(fan.started, 1), fan.started_at_ms
        turn.settle(items.record(step.id, status, attempts, began_ms, turn.at_ms, error=error, count=fan.count))


def end_fans(turn: Turn) -> None:
    """Settle every foreach step under way as cancelled."""
    for step_id in tuple(turn.fans):
        end_fan(turn, turn.pattern.step_by_id[step_id], StepStatus.CANCELLED)


def _settle(turn: Turn, step: CompiledStep, fan: Fan) -> None:
    records = [turn.finished[item_name(step.id, index)] for index in range(fan.count)]
    args_digest = digest([record.args_digest for record in records])
    output_digest = digest([record.output_digest for record in records])
    settled = items.record(
        step.id,
        StepStatus.SUCCEEDED,
        min(fan.count, 1),
        fan.started_at_ms,
        turn.at_ms,
        args_digest=args_digest,
        output_digest=output_digest,
        digest=step_digest(step.digest_head, args_digest, turn.pins_json, output_digest),
        count=fan.count,
    )
    turn.settle(settled)
