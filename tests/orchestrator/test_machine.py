"""The transition table, cell by cell, and what repeats and latecomers do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.events import Event, IllegalTransition, Note, PublishResult, SendRequest
from orchestrator.execution import Status
from orchestrator.limits import Limits
from orchestrator.machine import advance, cut, internal_failure, rejected
from orchestrator.rows import encode_rows
from orchestrator.transitions import TABLE
from tests.orchestrator.player import OTHER_USER, PACK, PORTFOLIO, START_MS, Player, noop, pattern_of, resolution
from topics.errors import Code
from topics.messages import (
    CancelExecution,
    CapabilityResult,
    ExecuteRequest,
    Gate,
    GateOpened,
    GatePolicy,
    StartExecution,
    TimerFired,
)

PINNED = {"steps": [{"capability": "charts.overview", "as": "charts"}], "outputs": ["charts"]}
UNDOABLE = {"steps": [noop("a", compensate={"capability": "t.undo"}), noop("b")], "outputs": ["b"]}
WAIT = Gate(policy=GatePolicy.WAIT, wait_s=60.0)


def player() -> Player:
    return Player(pattern_of(PINNED))


def queued() -> Player:
    one = player()
    one.play(one.request_message(gate=WAIT), full=True)
    return one


def resolving() -> Player:
    one = player()
    one.request(gate=WAIT)
    return one


def waiting() -> Player:
    one = resolving()
    one.resolved(resolution("warming"))
    return one


def running() -> Player:
    one = resolving()
    one.resolved()
    return one


def compensating() -> Player:
    one = Player(pattern_of(UNDOABLE))
    one.request(gate=WAIT)
    one.answer("a", 1)
    one.error("b", retryable=False)
    return one


def succeeded() -> Player:
    one = running()
    one.answer("charts", [{"mark": "line"}])
    return one


def failed() -> Player:
    one = running()
    one.error("charts", retryable=False)
    return one


def rejected_one() -> Player:
    one = resolving()
    one.resolved(resolution("failed"))
    return one


def cancelled() -> Player:
    one = running()
    one.cancel()
    return one


def timed_out() -> Player:
    one = running()
    one.timer(START_MS + 360_000)
    return one


def cancelled_early() -> Player:
    one = player()
    one.cancel(reason="not needed")
    return one


STARTS: dict[Status | None, Callable[[], Player]] = {
    None: player,
    Status.CANCELLED_EARLY: cancelled_early,
    Status.QUEUED: queued,
    Status.RESOLVING: resolving,
    Status.WAITING_FOR_PACK: waiting,
    Status.RUNNING: running,
    Status.COMPENSATING: compensating,
    Status.SUCCEEDED: succeeded,
    Status.FAILED: failed,
    Status.REJECTED: rejected_one,
    Status.CANCELLED: cancelled,
    Status.TIMED_OUT: timed_out,
}
EVENTS: dict[type, Callable[[Player], Any]] = {
    ExecuteRequest: lambda one: one.play(one.request_message(gate=WAIT), START_MS + 5),
    CapabilityResult: lambda one: one.play(one.answer_message(asked_for(one), []), START_MS + 5),
    TimerFired: lambda one: one.timer(START_MS + 5),
    GateOpened: lambda one: one.gate(),
    StartExecution: lambda one: one.start(),
    CancelExecution: lambda one: one.cancel(),
}


def asked_for(one: Player) -> str:
    return "$undo:a" if one.state is not None and one.state.status == Status.COMPENSATING else "charts"


IGNORED = "ignored"
EXPECTED: dict[tuple[Status | None, type], tuple[str, Note | None]] = {
    (None, ExecuteRequest): ("resolving", None),
    (None, CapabilityResult): (IGNORED, Note.UNKNOWN_EXECUTION),
    (None, TimerFired): (IGNORED, Note.UNKNOWN_EXECUTION),
    (None, GateOpened): (IGNORED, Note.UNKNOWN_EXECUTION),
    (None, StartExecution): (IGNORED, Note.UNKNOWN_EXECUTION),
    (None, CancelExecution): ("cancelled_early", None),
    (Status.CANCELLED_EARLY, ExecuteRequest): ("cancelled", None),
    (Status.CANCELLED_EARLY, CapabilityResult): (IGNORED, Note.UNKNOWN_EXECUTION),
    (Status.CANCELLED_EARLY, TimerFired): (IGNORED, Note.UNKNOWN_EXECUTION),
    (Status.CANCELLED_EARLY, GateOpened): (IGNORED, Note.UNKNOWN_EXECUTION),
    (Status.CANCELLED_EARLY, StartExecution): (IGNORED, Note.UNKNOWN_EXECUTION),
    (Status.CANCELLED_EARLY, CancelExecution): (IGNORED, Note.LATE),
    (Status.QUEUED, ExecuteRequest): (IGNORED, Note.DUPLICATE),
    (Status.QUEUED, CapabilityResult): (IGNORED, Note.LATE),
    (Status.QUEUED, TimerFired): (IGNORED, Note.NOT_DUE),
    (Status.QUEUED, GateOpened): (IGNORED, Note.LATE),
    (Status.QUEUED, StartExecution): ("resolving", None),
    (Status.QUEUED, CancelExecution): ("cancelled", None),
    (Status.RESOLVING, ExecuteRequest): (IGNORED, Note.DUPLICATE),
    (Status.RESOLVING, CapabilityResult): (IGNORED, Note.LATE),
    (Status.RESOLVING, TimerFired): (IGNORED, Note.NOT_DUE),
    (Status.RESOLVING, GateOpened): (IGNORED, Note.LATE),
    (Status.RESOLVING, StartExecution): (IGNORED, Note.LATE),
    (Status.RESOLVING, CancelExecution): ("cancelled", None),
    (Status.WAITING_FOR_PACK, ExecuteRequest): (IGNORED, Note.DUPLICATE),
    (Status.WAITING_FOR_PACK, CapabilityResult): (IGNORED, Note.LATE),
    (Status.WAITING_FOR_PACK, TimerFired): (IGNORED, Note.NOT_DUE),
    (Status.WAITING_FOR_PACK, GateOpened): ("running", None),
    (Status.WAITING_FOR_PACK, StartExecution): (IGNORED, Note.LATE),
    (Status.WAITING_FOR_PACK, CancelExecution): ("cancelled", None),
    (Status.RUNNING, ExecuteRequest): (IGNORED, Note.DUPLICATE),
    (Status.RUNNING, CapabilityResult): ("succeeded", None),
    (Status.RUNNING, TimerFired): (IGNORED, Note.NOT_DUE),
    (Status.RUNNING, GateOpened): (IGNORED, Note.LATE),
    (Status.RUNNING, StartExecution): (IGNORED, Note.LATE),
    (Status.RUNNING, CancelExecution): ("cancelled", None),
    (Status.COMPENSATING, ExecuteRequest): (IGNORED, Note.DUPLICATE),
    (Status.COMPENSATING, CapabilityResult): ("failed", None),
    (Status.COMPENSATING, TimerFired): (IGNORED, Note.NOT_DUE),
    (Status.COMPENSATING, GateOpened): (IGNORED, Note.LATE),
    (Status.COMPENSATING, StartExecution): (IGNORED, Note.LATE),
    (Status.COMPENSATING, CancelExecution): (IGNORED, Note.LATE),
    **{
        (status, kind): (IGNORED, Note.DUPLICATE if kind is ExecuteRequest else Note.LATE)
        for status in (Status.SUCCEEDED, Status.FAILED, Status.REJECTED, Status.CANCELLED, Status.TIMED_OUT)
        for kind in EVENTS
    },
}


def test_every_cell_is_in_the_table_and_in_this_test() -> None:
    cells = {(status, kind) for status in STARTS for kind in EVENTS}
    assert set(TABLE) == cells
    assert set(EXPECTED) == cells
    assert set(STARTS) - {None} == set(Status)


@pytest.mark.parametrize(("status", "kind"), EXPECTED, ids=lambda part: getattr(part, "__name__", str(part)))
def test_cell(status: Status | None, kind: type) -> None:
    one = STARTS[status]()
    before = one.state
    assert (before.status if before else None) == status
    EVENTS[kind](one)
    expected, note = EXPECTED[(status, kind)]
    assert one.last.note == note
    if expected == IGNORED:
        assert one.last.state is None
        assert one.state is before
        assert not any(isinstance(emit, (SendRequest, PublishResult)) for emit in one.last.emits)
    else:
        assert one.status == expected
        if one.state is not None and one.state.is_terminal:
            assert one.result.status.value == expected


@pytest.mark.parametrize("status", [status for status in STARTS if status is not None])
def test_the_event_that_led_here_emits_the_same_when_delivered_again(status: Status) -> None:
    one = STARTS[status]()
    first = one.last
    one.again()
    assert one.last.state is None
    assert one.last.emits == first.emits
    assert one.last.note == (Note.DUPLICATE if status == Status.CANCELLED_EARLY else Note.REDELIVERED)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.REJECTED])
def test_a_cut_execution_answers_nothing_but_still_knows_its_request(status: Status) -> None:
    one = STARTS[status]()
    assert one.state is not None
    whole = one.state
    one.state = cut(one.state)
    rows = encode_rows(whole, one.state)
    assert rows[-1][0] == b""
    assert rows[-1][1] is not None
    assert len(rows[-1][1]) <= 600
    one.rows = {b"": rows[-1][1]}
    one.again()
    assert not one.last.emits
    one.play(one.request_message(gate=WAIT))
    one.ignored(Note.DUPLICATE)
    one.play(one.request_message(gate=WAIT, deadline_s=7.0))
    assert one.last.note == Note.CONFLICT


def test_another_body_under_the_same_id_is_a_conflict_that_does_not_touch_the_first() -> None:
    one = running()
    one.play(one.request_message(gate=WAIT, deadline_s=7.0))
    assert (one.last.state, one.last.note) == (None, Note.CONFLICT)
    result = one.result
    assert result.status == "rejected"
    assert result.error is not None
    assert result.error.code == Code.REQUEST_CONFLICT
    assert result.execution_id != one.execution_id
    assert result.error.details["execution_id"] == one.execution_id
    one.answer("charts", [])
    assert one.result.status == "succeeded"


def test_a_repeat_may_be_stamped_anew() -> None:
    one = running()
    one.at_ms += 5_000
    one.play(one.request_message(gate=WAIT))
    one.ignored(Note.DUPLICATE)


def test_a_request_older_than_the_retention_is_expired() -> None:
    one = player()
    one.play(one.request_message(), START_MS + 900_001)
    assert one.result.error is not None
    assert one.result.error.code == Code.REQUEST_EXPIRED
    assert one.status == "rejected"


def test_a_request_from_the_future_is_refused() -> None:
    one = player()
    one.play(one.request_message(), START_MS - 301_000)
    assert one.result.error is not None
    assert one.result.error.code == Code.INVALID_REQUEST


def test_an_unknown_pattern_is_rejected_with_a_result() -> None:
    one = Player(None)
    one.request(pattern_id="nope", inputs={"a": 1})
    assert one.result.error is not None
    assert one.result.error.code == Code.UNKNOWN_PATTERN
    assert one.result.trace.inputs == {"a": 1}
    one.again()
    assert one.result.error is not None


def test_a_cancel_by_someone_else_does_nothing() -> None:
    one = running()
    one.cancel(OTHER_USER)
    one.ignored(Note.NOT_THE_OWNER)
    early = player()
    early.cancel(OTHER_USER)
    early.request()
    assert early.status == "resolving"


def test_a_message_of_another_tenant_does_nothing() -> None:
    one = running()
    one.play(one.answer_message("charts", [], tenant="evil"))
    one.ignored(Note.NOT_THE_OWNER)


def test_an_answer_for_a_step_the_pattern_does_not_have() -> None:
    one = running()
    one.answer("nobody", 1)
    one.ignored(Note.UNKNOWN_STEP)


def test_the_deadline_ends_it_whatever_arrives() -> None:
    one = running()
    one.play(one.answer_message("charts", []), START_MS + 360_000)
    assert one.result.status == "timed_out"
    assert one.result.error is not None
    assert one.result.error.code == Code.DEADLINE_EXCEEDED
    steps = {step.step_id: step.status for step in one.result.trace.steps}
    assert steps == {"$resolve": "succeeded", "charts": "cancelled"}


def test_the_wrong_pattern_is_a_programmer_error() -> None:
    one = running()
    other = pattern_of({"steps": [noop("a")]})
    with pytest.raises(IllegalTransition, match="expected pattern"):
        advance(one.state, Event(one.answer_message("charts"), START_MS, "c:9"), other)
    with pytest.raises(IllegalTransition, match="no row"):
        advance(None, Event("no message", START_MS, "c:9"), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", list(STARTS))
def test_a_bug_in_the_core_ends_the_execution_and_is_answered_again(status: Status | None) -> None:
    one = STARTS[status]()
    event = Event(one.request_message(gate=WAIT), START_MS + 9, "r:99")
    decision = internal_failure(one.state, event, one.pattern, "boom")
    if one.state is not None and one.state.is_terminal:
        assert decision.note == Note.LATE
        return
    assert decision.state is not None
    assert decision.state.status == Status.FAILED
    (emit,) = decision.emits
    assert isinstance(emit, PublishResult)
    assert emit.result.error is not None
    assert emit.result.error.code == Code.INTERNAL
    again = advance(decision.state, event, one.pattern)
    assert again.emits == decision.emits


def test_a_bug_without_an_execution_answers_nothing() -> None:
    one = player()
    decision = internal_failure(None, Event(one.answer_message("a"), START_MS, "c:1"), None, "boom")
    assert decision == replace(decision, state=None, emits=())


def test_rejected_by_the_shell() -> None:
    one = player()
    decision = rejected(one.request_message(), Code.INVALID_REQUEST, "no such thing", START_MS, "r:1")
    assert decision.state is not None
    assert decision.state.status == Status.REJECTED
    (emit,) = decision.emits
    assert isinstance(emit, PublishResult)
    assert emit.result.error is not None
    assert emit.result.error.message == "no such thing"


def test_a_terminal_record_is_kept_for_the_retention() -> None:
    one = succeeded()
    assert one.state is not None
    assert one.state.expires_at_ms(900) == START_MS + 900_000
    assert one.state.next_due_at_ms() is None
    assert running().state.expires_at_ms(900) is None  # type: ignore[union-attr]


def test_integers_beyond_2_53_in_inputs_are_refused() -> None:
    one = Player(pattern_of({"inputs": {"n": {"type": "integer"}}, "steps": [noop("a")]}))
    one.request(inputs={"n": 2**60})
    assert one.result.error is not None
    assert one.result.error.code == Code.INVALID_INPUT


def test_outputs_too_large_without_artifacts_fail() -> None:
    one = Player(pattern_of({"steps": [noop("a")], "outputs": ["a"]}), Limits(message_bytes_max=1000))
    one.request()
    one.answer("a", "x" * 2000)
    assert one.result.error is not None
    assert one.result.error.code == Code.OUTPUT_TOO_LARGE


def test_pins_and_portfolio_travel() -> None:
    one = resolving()
    assert one.sent[0].args == {"portfolio_id": None, "asof": None, "pack_id": None, "ledger_commit": None}
    one.resolved()
    assert one.sent[0].pins is not None
    assert one.sent[0].pins.pricing_pack_id == PACK
    assert one.sent[0].pins.portfolio_id == PORTFOLIO
