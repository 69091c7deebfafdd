"""Executions that find no room: queued, started later, ended in the queue; what a repeat does."""

from dataclasses import replace

import pytest

from orchestrator.events import Note, StartTimer
from orchestrator.execution import IN_FLIGHT, TERMINAL, Status
from orchestrator.machine import advance
from orchestrator.rows import encode_rows
from tests.orchestrator.player import START_MS, Player, noop, pattern_of, resolution
from topics.errors import Code
from topics.messages import Gate, GatePolicy

PINNED = {"steps": [{"capability": "charts.overview", "as": "charts"}], "outputs": ["charts"]}
PLAIN = {"steps": [noop("a", parallel=True), noop("b", parallel=True)], "outputs": ["a"]}
WAIT = Gate(policy=GatePolicy.WAIT, wait_s=60.0)


def queued(document: dict[str, object]) -> Player:
    one = Player(pattern_of(document))
    one.play(one.request_message(gate=WAIT), full=True)
    assert one.status == "queued"
    return one


def test_what_counts_against_the_limits_does_work() -> None:
    waiting = {Status.CANCELLED_EARLY, Status.QUEUED, Status.WAITING_FOR_PACK}
    assert set(Status) - TERMINAL - IN_FLIGHT == waiting


def test_a_queued_execution_asks_for_nothing_but_its_deadline() -> None:
    one = queued(PLAIN)
    assert one.last.emits == (StartTimer(START_MS + 360_000),)


def test_started_it_goes_on_as_if_just_admitted_and_says_how_long_it_was_queued() -> None:
    one = queued(PLAIN)
    one.at_ms += 4_000
    one.start()
    assert one.sent_ids == ["a", "b"]
    assert one.timers == [34_000]
    first = one.last.emits
    one.again()
    assert (one.last.emits, one.last.note) == (first, Note.REDELIVERED)
    one.at_ms += 1_000
    one.answer("a", 1)
    one.answer("b", 2)
    assert one.result.status == "succeeded"
    assert one.result.trace.queued_ms == 4_000
    assert one.result.started_at_ms == START_MS


def test_the_queue_is_not_part_of_the_digest() -> None:
    one, other = queued(PLAIN), Player(pattern_of(PLAIN))
    one.start()
    other.request(gate=WAIT)
    for each in (one, other):
        each.answer("a", 1)
        each.answer("b", 2)
    assert one.result.digest == other.result.digest
    assert other.result.trace.queued_ms is None


def test_pins_are_asked_for_when_it_starts() -> None:
    one = queued(PINNED)
    one.start()
    assert one.sent_ids == ["$resolve"]
    one.resolved()
    assert one.sent_ids == ["charts"]


def test_a_gate_that_opens_without_room_queues_with_its_pins_fixed() -> None:
    one = Player(pattern_of(PINNED))
    one.request(gate=WAIT)
    one.resolved(resolution("warming"))
    waited = one.state
    one.gate()
    assert one.status == "running"
    one.state, one.rows = waited, dict(encode_rows(None, waited))  # type: ignore[arg-type]
    one.at_ms += 2_000
    one.play_event(replace(one.events[-1], full=True, at_ms=one.at_ms))
    assert one.status == "queued"
    assert not one.sent
    assert one.state is not None
    assert one.state.pins is not None
    assert one.state.waiting_for_pack is None
    one.at_ms += 1_000
    one.gate(status="superseded")
    one.ignored(Note.LATE)
    one.start()
    assert one.sent_ids == ["charts"]
    one.answer("charts", [])
    assert one.result.trace.queued_ms == 1_000


def test_full_changes_nothing_for_what_does_not_begin_to_work() -> None:
    one = queued(PINNED)
    one.play(one.request_message(gate=WAIT), full=True)
    one.ignored(Note.DUPLICATE)
    one.start()
    one.resolved(resolution("warming"))
    event = replace(one.events[-1], full=True)
    assert one.status == "waiting_for_pack"
    one.play_event(event)
    assert one.status == "waiting_for_pack"


def test_a_bad_request_is_rejected_rather_than_queued() -> None:
    one = Player(pattern_of({**PLAIN, "inputs": {"n": {"type": "integer", "required": True}}}))
    one.play(one.request_message(inputs={"n": "x"}), full=True)
    assert one.result.status == "rejected"


def test_a_request_that_was_cancelled_before_is_not_queued() -> None:
    one = Player(pattern_of(PLAIN))
    one.cancel()
    one.play(one.request_message(), full=True)
    assert one.result.status == "cancelled"


def test_the_deadline_runs_in_the_queue() -> None:
    one = queued(PLAIN)
    one.timer(START_MS + 299_999)
    assert one.status == "queued"
    assert one.timers == [360_000]
    one.timer(START_MS + 360_000)
    assert one.result.status == "timed_out"
    assert one.result.error is not None
    assert one.result.error.code == Code.DEADLINE_EXCEEDED
    assert "queued" in one.result.error.message
    assert one.result.trace.queued_ms == 360_000
    one.start()
    assert one.last.state is None


def test_a_start_after_the_deadline_ends_it() -> None:
    one = queued(PLAIN)
    one.at_ms += 360_000
    one.start()
    assert one.result.status == "timed_out"


def test_a_queued_one_can_be_cancelled() -> None:
    one = queued({"steps": [noop("a", compensate={"capability": "t.undo"})], "outputs": ["a"]})
    one.cancel(reason="enough")
    assert one.result.status == "cancelled"
    assert all(step.status == "cancelled" or step.attempts == 0 for step in one.result.trace.steps)
    one.start()
    one.ignored(Note.LATE)


def test_a_second_start_is_late() -> None:
    one = queued(PLAIN)
    one.start()
    one.start()
    one.ignored(Note.LATE)


@pytest.mark.parametrize("full", [False, True])
def test_the_row_tells_what_the_shell_said(full: bool) -> None:
    one = Player(pattern_of(PLAIN))
    one.play(one.request_message(), full=full)
    assert one.state is not None
    event = replace(one.events[0], full=one.state.status == Status.QUEUED)
    again = advance(None, event, one.pattern, one.limits).state
    assert again is not None
    assert encode_rows(None, again) == encode_rows(None, one.state)
