"""Compensation: what was done is undone, from the last step to the first, and what could not be is said."""

from typing import Any

import pytest

from orchestrator.describe import describe
from orchestrator.events import Note
from orchestrator.limits import Limits
from orchestrator.rows import RowsDamaged, decode_rows
from tests.orchestrator.player import SHA, START_MS, Player, noop, pattern_of
from topics.canonical import digest
from topics.errors import Code
from topics.messages import Projection


def undoable(as_: str, args: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return noop(as_, compensate={"capability": "t.undo", "args": args or {}}, **more)


BOOKING = {
    "inputs": {"n": {"type": "integer", "default": 1}},
    "steps": [
        undoable("flight", {"id": "{{state.flight.id}}", "n": "{{inputs.n}}"}),
        undoable("hotel", {"id": "{{state.hotel.id}}", "after": "{{state.flight.id}}"}),
        noop("mail"),
        noop("pay"),
    ],
    "outputs": ["pay"],
}


def begun(document: dict[str, Any], limits: Limits | None = None, **changes: Any) -> Player:
    one = Player(pattern_of(document), limits or Limits())
    one.request(**changes)
    return one


def booked(limits: Limits | None = None, **changes: Any) -> Player:
    one = begun(BOOKING, limits, **changes)
    one.answer("flight", {"id": "F1"})
    one.answer("hotel", {"id": "H1"})
    one.answer("mail", None)
    return one


def statuses(one: Player) -> dict[str, str]:
    return {step.step_id: step.status for step in one.result.trace.steps}


def test_a_failure_undoes_what_succeeded_from_last_to_first() -> None:
    one = booked()
    one.error("pay", retryable=False, code=Code.INVALID_ARGS)
    assert one.status == "compensating"
    (undo,) = one.sent
    assert (undo.step_id, undo.capability, undo.attempt) == ("$undo:hotel", "t.undo", 1)
    assert undo.args == {"id": "H1", "after": "F1"}
    assert undo.idempotency_key == f"{one.execution_id}/$undo:hotel"
    one.answer("$undo:hotel", "done")
    assert [(request.step_id, request.args) for request in one.sent] == [("$undo:flight", {"id": "F1", "n": 1})]
    one.answer("$undo:flight")
    result = one.result
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.code == Code.INVALID_ARGS
    assert statuses(one) == {"flight": "compensated", "hotel": "compensated", "mail": "succeeded", "pay": "failed"}
    flight = result.trace.steps[0]
    assert not flight.success
    assert flight.args_digest == digest({"args": {}, "refs": {}})
    assert flight.compensation is not None
    assert (flight.compensation.capability, flight.compensation.attempts) == ("t.undo", 1)
    assert result.trace.capabilities == {"t.noop": 1, "t.undo": 1}
    assert result.trace.capabilities_used == ("t.noop", "t.undo")
    assert one.dead_letters == []


def test_the_digest_says_what_was_undone_and_can_be_made_again_from_the_result() -> None:
    one = booked()
    one.error("pay", retryable=False)
    one.answer("$undo:hotel")
    one.error("$undo:flight", retryable=False)
    trace = one.result.trace
    parts: list[Any] = []
    for step in trace.steps:
        reason = step.skip_reason or (step.error.code if step.error else None)
        if step.compensation is not None:
            parts.append([step.status, step.digest or reason])
        else:
            parts.append(step.digest or [step.status, reason])
    assert [part[0] for part in parts if isinstance(part, list)] == ["compensation_failed", "compensated", "failed"]
    assert one.result.digest == digest([trace.pattern_digest, trace.inputs, None, parts])


def test_a_success_undoes_nothing() -> None:
    one = booked()
    one.answer("pay", 1)
    assert one.result.status == "succeeded"
    assert statuses(one)["flight"] == "succeeded"


def test_outputs_that_cannot_be_published_are_a_failure_too() -> None:
    one = booked(Limits(message_bytes_max=1000))
    one.answer("pay", "x" * 2000)
    assert one.status == "compensating"
    one.answer("$undo:hotel")
    one.answer("$undo:flight")
    assert one.result.error is not None
    assert one.result.error.code == Code.OUTPUT_TOO_LARGE


def test_an_answer_under_way_is_waited_for_and_undone() -> None:
    document = {"steps": [undoable("a", {"id": "{{state.a.id}}"}, parallel=True), noop("b", parallel=True)]}
    one = begun(document)
    one.cancel(reason="enough")
    assert (one.status, one.sent_ids) == ("compensating", [])
    one.answer("a", {"id": 7})
    assert [request.args for request in one.sent] == [{"id": 7}]
    one.answer("$undo:a")
    assert one.result.status == "cancelled"
    assert statuses(one) == {"a": "compensated", "b": "cancelled"}


def test_an_error_under_way_is_not_tried_again_and_undone_if_it_may_have_had_its_effect() -> None:
    one = begun({"steps": [undoable("a", parallel=True), noop("b", parallel=True)]})
    one.error("b", retryable=False)
    one.error("a", retryable=True)
    assert one.sent_ids == ["$undo:a"]


def test_a_refusal_under_way_is_not_undone() -> None:
    one = begun({"steps": [undoable("a", parallel=True), noop("b", parallel=True)]})
    one.error("b", retryable=False)
    one.error("a", retryable=False)
    assert one.result.status == "failed"
    assert statuses(one) == {"a": "failed", "b": "failed"}


def test_an_answer_that_does_not_come_is_undone_after_its_time() -> None:
    one = begun({"steps": [undoable("a", parallel=True, timeout_s=5), noop("b", parallel=True)]})
    one.error("b", retryable=False)
    assert one.timers == [5_000]
    one.timer(START_MS + 5_000)
    assert one.sent_ids == ["$undo:a"]
    one.answer("a", "late")
    one.ignored(Note.DUPLICATE)
    one.answer("$undo:a")
    assert statuses(one) == {"a": "compensated", "b": "failed"}


def test_a_step_that_timed_out_for_good_is_undone() -> None:
    one = begun({"steps": [undoable("a", timeout_s=5, retry={"attempts_max": 1})]})
    one.timer(START_MS + 5_000)
    assert one.sent_ids == ["$undo:a"]
    one.answer("$undo:a")
    assert one.result.error is not None
    assert one.result.error.code == Code.STEP_TIMEOUT


def test_an_early_attempt_without_answer_is_remembered() -> None:
    one = begun({"steps": [undoable("a", timeout_s=5)]})
    one.timer(START_MS + 5_000)
    assert one.state is not None
    one.timer(one.state.next_due_at_ms() or 0)
    assert one.sent[0].attempt == 2
    one.error("a", attempt=2, retryable=False)
    assert one.sent_ids == ["$undo:a"]


def test_what_an_agent_refused_was_not_done() -> None:
    one = begun({"steps": [undoable("a")]})
    one.error("a", retryable=False)
    assert statuses(one) == {"a": "failed"}


def test_a_pause_between_attempts_ends_at_once() -> None:
    one = begun({"steps": [undoable("a", parallel=True), noop("b", parallel=True)]})
    one.error("a")
    one.error("b", retryable=False)
    assert one.sent_ids == ["$undo:a"]
    one.answer("$undo:a")
    assert statuses(one) == {"a": "compensated", "b": "failed"}


def test_a_command_of_the_failing_event_itself_is_never_sent() -> None:
    steps = [
        noop("a"),
        undoable("b", parallel=True, depends_on=["a"]),
        noop("c", parallel=True, args={"x": "{{state.a.no}}"}),
    ]
    one = begun({"steps": steps})
    one.answer("a", {})
    assert one.sent_ids == []
    assert statuses(one) == {"a": "succeeded", "b": "cancelled", "c": "failed"}


def test_a_failing_undo_is_retried_then_dead_lettered_and_the_others_go_on() -> None:
    one = booked()
    one.error("pay", retryable=False)
    one.error("$undo:hotel")
    assert one.state is not None
    one.timer(one.state.next_due_at_ms() or 0)
    assert [(request.step_id, request.attempt) for request in one.sent] == [("$undo:hotel", 2)]
    one.error("$undo:hotel", attempt=1)
    one.ignored(Note.STALE_ERROR)
    one.error("$undo:hotel", attempt=2)
    assert one.sent_ids == ["$undo:flight"]
    one.answer("$undo:flight")
    assert statuses(one)["hotel"] == "compensation_failed"
    hotel = one.result.trace.steps[1].compensation
    assert hotel is not None
    assert hotel.error is not None
    assert (hotel.attempts, hotel.error.code) == (2, "UPSTREAM_FAILED")
    (letter,) = one.dead_letters
    assert letter.step_id == "hotel"
    assert letter.agent == "tester"
    assert letter.reason == "step hotel could not be undone: UPSTREAM_FAILED: it broke"
    assert letter.request is not None
    assert letter.request.args == {"id": "H1", "after": "F1"}
    first = one.last.emits
    one.again()
    assert one.last.emits == first


def test_an_undo_that_reads_an_output_nobody_knows_fails_with_a_reason() -> None:
    one = begun({"steps": [undoable("a", {"id": "{{state.a.id}}"}, timeout_s=5, retry={"attempts_max": 1})]})
    one.timer(START_MS + 5_000)
    assert statuses(one) == {"a": "compensation_failed"}
    (letter,) = one.dead_letters
    assert letter.request is None
    assert "{{state.a.id}} has no value" in letter.reason


def test_the_deadline_undoes_and_has_its_own_minute() -> None:
    one = booked(deadline_s=10.0)
    one.timer(START_MS + 10_000)
    assert one.status == "compensating"
    assert one.sent_ids == ["$undo:hotel"]
    one.timer(START_MS + 40_000)
    assert one.state is not None
    one.timer(one.state.next_due_at_ms() or 0)
    assert [(request.step_id, request.attempt) for request in one.sent] == [("$undo:hotel", 2)]
    one.play(one.answer_message("$undo:hotel", attempt=2), START_MS + 70_000)
    assert one.result.status == "timed_out"
    assert statuses(one)["hotel"] == "compensation_failed"
    assert statuses(one)["flight"] == "compensation_failed"
    assert [(letter.step_id, letter.request is None) for letter in one.dead_letters] == [
        ("hotel", False),
        ("flight", False),
    ]
    assert "60 s" in one.dead_letters[0].reason


def test_a_deadline_noticed_late_leaves_the_minute_whole() -> None:
    one = booked(deadline_s=10.0)
    one.timer(START_MS + 500_000)
    assert one.state is not None
    assert one.state.ends_at_ms == START_MS + 560_000


def test_an_answer_that_brings_the_deadline_tells_what_to_undo() -> None:
    one = begun({"steps": [undoable("a", {"id": "{{state.a.id}}"})]}, deadline_s=10.0)
    one.play(one.answer_message("a", {"id": 5}), START_MS + 10_000)
    assert [request.args for request in one.sent] == [{"id": 5}]
    one.answer("$undo:a")
    assert one.result.status == "timed_out"


def test_an_answer_that_cannot_be_kept_had_its_effect() -> None:
    one = begun({"steps": [undoable("a")]})
    one.play(one.answer_message("a").model_copy(update={"value": 2**70}))
    assert one.sent_ids == ["$undo:a"]


def test_a_failed_step_that_was_gone_on_without_is_undone_if_nobody_knows() -> None:
    steps = [undoable("a", timeout_s=5, retry={"attempts_max": 1}, on_error="continue"), noop("b")]
    one = begun({"steps": steps})
    one.timer(START_MS + 5_000)
    assert one.sent_ids == ["b"]
    one.error("b", retryable=False)
    assert one.sent_ids == ["$undo:a"]


def test_a_cancel_while_compensating_changes_nothing() -> None:
    one = booked()
    one.error("pay", retryable=False)
    one.cancel()
    one.ignored(Note.LATE)
    one.answer("$undo:nobody")
    one.ignored(Note.UNKNOWN_STEP)
    one.answer("$undo:mail")
    one.ignored(Note.UNKNOWN_STEP)
    one.answer("$undo:flight")
    one.ignored(Note.LATE)


def test_every_event_delivered_again_emits_the_same() -> None:
    one = booked()
    for play in (
        lambda: one.error("pay", retryable=False),
        lambda: one.error("$undo:hotel"),
        lambda: one.timer((one.state and one.state.next_due_at_ms()) or 0),
        lambda: one.answer("$undo:hotel", attempt=2),
        lambda: one.answer("$undo:flight"),
    ):
        play()
        first = one.last
        one.again()
        assert one.last.emits == first.emits
        assert one.last.state is None


def test_undoing_reads_stored_outputs_by_reference_and_projection() -> None:
    one = begun({"steps": [undoable("a", {"id": "{{state.a.id}}", "all": "{{state.a}}"}), noop("b")]})
    assert one.sent[0].projections == ("id",)
    one.stored("a", SHA, id=Projection(value="X"))
    one.error("b", retryable=False)
    assert one.sent[0].args == {"id": "X", "all": None}
    assert one.sent[0].refs == {"/all": SHA}


def test_what_undoing_reads_exists_before_the_step_runs() -> None:
    steps = [noop("a", parallel=True), undoable("b", {"x": "{{state.a}}"}, parallel=True)]
    one = begun({"steps": steps})
    assert one.sent_ids == ["a"]
    one.answer("a", 1)
    assert one.sent_ids == ["b"]


def test_pins_are_needed_and_described_when_undoing_needs_them() -> None:
    pattern = pattern_of({"steps": [noop("a", compensate={"capability": "charts.overview"})]})
    assert pattern.needs_pins
    assert pattern.capabilities == {"charts.overview": 1, "context.resolve": 1, "t.noop": 1}
    assert "undone by charts.overview@1 on analyst, 3 attempts" in describe(pattern)


def test_rows_of_another_pattern_while_compensating() -> None:
    one = booked()
    one.error("pay", retryable=False)
    other = pattern_of({"steps": [noop("flight"), noop("hotel"), noop("mail"), noop("pay")]})
    with pytest.raises(RowsDamaged, match="expected steps of p"):
        decode_rows(one.rows, lambda digest: other)
