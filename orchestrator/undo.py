"""Compensation: an execution that cannot succeed takes back what its steps did, then ends.

First the steps under way that can be undone are settled: each gets its answer or runs into its time limit, but is not
tried again. Those that cannot be undone are dropped at once. Then steps are undone one after the other, from the last
in the pattern to the first, so a step is undone before those it built on, whatever order they finished in. What is
undone: steps that succeeded, and steps of which nobody knows what they did. What an agent refused for good was not
done. A compensation therefore has to cope with there being nothing to undo.

An undoing that fails is tried again by the policy of its capability, then recorded as failed for good; the others go
on. All of it ends when its own time is up, which begins at the deadline, or now if that has passed.
"""

from dataclasses import replace

from orchestrator import items
from orchestrator.ending import finish
from orchestrator.events import Decision, Event
from orchestrator.execution import Ending, Outstanding, Status, StepRecord, StepStatus
from orchestrator.fan import end_fans, fail_item, succeed_item
from orchestrator.outputs import fits
from orchestrator.pattern import RESOLVE_STEP, UNDO, CompiledStep, Target, item_name
from orchestrator.progress import attempt_failed, next_attempt, timed_out
from orchestrator.requests import undo_request
from orchestrator.settling import fail_step, succeed_step
from orchestrator.templates import TemplateFailed
from orchestrator.turn import Turn
from topics.canonical import NotCanonical
from topics.errors import Code
from topics.messages import CapabilityResult, ErrorBody


def succeed(turn: Turn) -> Decision:
    """End an execution whose steps are all settled; one whose outputs cannot be published has failed."""
    problem = fits(turn.finished, turn.pattern, turn.limits)
    if problem is None:
        return finish(turn, Status.SUCCEEDED, None)
    code = Code.OUTPUT_TOO_LARGE if problem.startswith("expected outputs") else Code.INVALID_OUTPUT
    return give_up(turn, Status.FAILED, ErrorBody(code=code, message=problem))


def time_out(turn: Turn, event: Event) -> Decision:
    """End an execution that has reached its deadline, or the end of the time to compensate."""
    if turn.ending is not None:
        return _expire(turn, turn.ending)
    seconds = (turn.deadline_at_ms - turn.admission.at_ms) / 1000
    # Kept in whole milliseconds: a shorter one would read as none at all.
    said = f"{seconds:g} s" if seconds > 0 else "less than 0.001 s"
    message = f"the execution did not end within its deadline of {said}; it was {turn.before.status}"
    answer = event.message
    if turn.pattern.compensates and isinstance(answer, CapabilityResult) and answer.error is None:
        # It came too late to go on with, but tells what has to be undone.
        _fold_answer(turn, answer.step_id, answer)
    return give_up(turn, Status.TIMED_OUT, ErrorBody(code=Code.DEADLINE_EXCEEDED, message=message))


def give_up(turn: Turn, status: Status, error: ErrorBody | None) -> Decision:
    """End an execution that cannot succeed; if there is anything to undo, after that.

    Commands of this very event were not sent yet and are dropped.

    Args:
        turn: of this event.
        status: it ends with.
        error: why.
    """
    if not turn.pattern.compensates or turn.status != Status.RUNNING:
        return finish(turn, status, error)
    turn.emits.clear()
    for name in turn.under_way():
        _settle_or_drop(turn, name, turn.outstanding[name])
    end_fans(turn)
    last = len(turn.pattern.steps) - 1
    if not turn.outstanding and not any(_is_due_for_undo(turn, step) for step in turn.pattern.steps):
        return finish(turn, status, error)
    until_ms = max(turn.deadline_at_ms, turn.at_ms) + round(turn.limits.compensation_s * 1000)
    turn.ending = Ending(status, error, until_ms, last)
    return proceed(turn, turn.ending, rearm=True)


def proceed(turn: Turn, ending: Ending, rearm: bool = False) -> Decision:
    """Undo what comes next; end the execution when nothing is left.

    Args:
        turn: of this event.
        ending: how it ends.
        rearm: the armed timer has fired or is no longer the right one.

    Cost: O(steps passed over), which is O(steps of the pattern) for all events together.
    """
    if all(name.startswith(UNDO) for name in turn.outstanding):
        index, item = ending.step, ending.item
        while index >= 0:
            step = turn.pattern.steps[index]
            item = _start_undoing(turn, step, item, turn.at_ms >= ending.until_ms)
            if turn.outstanding:
                break
            index, item = index - 1, None
        turn.ending = replace(ending, step=index, item=item)
    if turn.outstanding:
        return Decision(turn.close(Status.COMPENSATING, rearm), tuple(turn.emits))
    return finish(turn, ending.status, ending.error)


def fold_answer(turn: Turn, ending: Ending, name: str, answer: CapabilityResult) -> Decision | None:
    """Fold the answer to a command under way; None if it is an error of an earlier attempt."""
    command = turn.outstanding[name]
    if answer.error is not None and (answer.attempt != command.attempt or command.waiting):
        return None
    if name.startswith(UNDO):
        _fold_undo(turn, name, command, answer)
    else:
        _fold_answer(turn, name, answer)
    return proceed(turn, ending)


def fold_due(turn: Turn, ending: Ending, due: list[str]) -> Decision:
    """Settle or try again what has run out of time."""
    for name in due:
        command = turn.outstanding[name]
        if command.waiting:
            next_attempt(turn, name, command)
        elif name.startswith(UNDO):
            final = attempt_failed(turn, name, command, timed_out(name, command))
            if final is not None:
                _undone(turn, name, command, None, final)
        else:
            _cancel(turn, name, command, lost=True)
    return proceed(turn, ending, rearm=True)


def _settle_or_drop(turn: Turn, name: str, command: Outstanding) -> None:
    """Leave a command whose answer tells whether there is something to undo; drop any other."""
    target = turn.pattern.target(name)
    undoable = target is not None and target.step.compensate is not None
    sent = not command.waiting and command.origin != turn.origin
    if undoable and sent and command.due_at_ms > turn.at_ms:
        turn.remind(command.due_at_ms)
    else:
        _cancel(turn, name, command, lost=undoable and (sent or command.lost))


def _cancel(turn: Turn, name: str, command: Outstanding, lost: bool) -> None:
    attempt, started_at_ms = command.attempt, command.started_at_ms
    turn.settle(items.record(name, StepStatus.CANCELLED, attempt, started_at_ms, turn.at_ms, lost=lost))


def _is_due_for_undo(turn: Turn, step: CompiledStep) -> bool:
    return step.compensate is not None and any(
        _was_done(turn.finished.get(name)) for name in (_doing(step, item) for item in range(_count(turn, step)))
    )


def _was_done(record: StepRecord | None) -> bool:
    return record is not None and (record.status == StepStatus.SUCCEEDED or record.lost)


def _count(turn: Turn, step: CompiledStep) -> int:
    """Return how many commands a step may have had: one, or one for each item."""
    if step.foreach is None:
        return 1
    record = turn.finished.get(step.id)
    return 0 if record is None else record.count or 0


def _doing(step: CompiledStep, item: int) -> str:
    return step.id if step.foreach is None else item_name(step.id, item)


def _start_undoing(turn: Turn, step: CompiledStep, item: int | None, expired: bool) -> int | None:
    """Undo a step, or its items from the last on, as many at a time as they ran; returns the item to go on with."""
    if step.compensate is None:
        return None
    at_once = step.foreach.concurrency_max if step.foreach else 1
    left = _count(turn, step) - 1 if item is None else item
    while left >= 0 and len(turn.outstanding) < at_once:
        if _was_done(turn.finished.get(_doing(step, left))):
            _start(turn, Target(step, True, None if step.foreach is None else left), expired)
        left -= 1
    return left


def _start(turn: Turn, target: Target, expired: bool) -> None:
    undo, name = target.step.compensate, target.name
    if undo is None:
        raise AssertionError(f"step {target.step.id} cannot be undone")
    if expired:
        _undone(turn, name, None, None, _too_late(turn))
        return
    command = turn.command(name, 1, False, turn.at_ms, turn.at_ms + undo.timeout_ms)
    try:
        turn.emits.append(undo_request(turn, target, 1, command.due_at_ms))
    except (TemplateFailed, NotCanonical) as error:
        message = f"undoing step {target.done}: {error}"
        _undone(turn, name, None, None, ErrorBody(code=Code.TEMPLATE_FAILED, message=message))


def _fold_undo(turn: Turn, name: str, command: Outstanding, answer: CapabilityResult) -> None:
    if answer.error is None:
        _undone(turn, name, command, answer, None)
        return
    final = attempt_failed(turn, name, command, answer.error)
    if final is not None:
        _undone(turn, name, command, answer, final)


def _fold_answer(turn: Turn, name: str, answer: CapabilityResult) -> None:
    """Settle a step under way that will not be gone on with."""
    target, command = turn.pattern.target(name), turn.outstanding.get(name)
    if target is None or target.undo or command is None:
        return
    if target.item is not None:
        if answer.error is None:
            succeed_item(turn, target, command, answer)
        else:
            fail_item(turn, target, command, answer.error)
    elif answer.error is None:
        succeed_step(turn, target.step, command, answer)
    else:
        fail_step(turn, target.step, command, answer.error)
    turn.failure = None


def _undone(
    turn: Turn, name: str, command: Outstanding | None, answer: CapabilityResult | None, error: ErrorBody | None
) -> None:
    record: StepRecord = items.record(
        name,
        StepStatus.COMPENSATED if error is None else StepStatus.COMPENSATION_FAILED,
        command.attempt if command else 0,
        command.started_at_ms if command else None,
        turn.at_ms,
        metadata=answer.metadata if answer else None,
        error=error,
    )
    turn.settle(record)


def _expire(turn: Turn, ending: Ending) -> Decision:
    for name in turn.under_way():
        command = turn.outstanding[name]
        if name.startswith(UNDO):
            _undone(turn, name, command, None, _too_late(turn))
        else:
            _cancel(turn, name, command, lost=name != RESOLVE_STEP)
    return proceed(turn, ending)


def _too_late(turn: Turn) -> ErrorBody:
    seconds = turn.limits.compensation_s
    message = f"not undone within the {seconds:g} s that compensating may take after the deadline"
    return ErrorBody(code=Code.DEADLINE_EXCEEDED, message=message)
