"""The freshness gate: three policies, every pack status, before and after parking."""

import json
from datetime import date
from uuid import UUID

import pytest

from orchestrator.events import Note, StartTimer, WatchPack
from orchestrator.limits import Limits
from orchestrator.view import waits_for
from tests.orchestrator.player import (
    NEW_PACK,
    OLD_PACK,
    PACK,
    START_MS,
    Player,
    noop,
    pack,
    pattern_of,
    resolution,
)
from topics.errors import Code
from topics.messages import Gate, GatePolicy

PINNED = {"steps": [{"capability": "charts.overview", "as": "charts"}], "outputs": ["charts"]}


def resolving(policy: str, wait_s: float = 60.0, limits: Limits | None = None) -> Player:
    one = Player(pattern_of(PINNED), limits or Limits())
    one.request(gate=Gate(policy=GatePolicy(policy), wait_s=wait_s))
    return one


@pytest.mark.parametrize(
    ("policy", "pack_status", "previous", "status", "code"),
    [
        ("reject", "fresh", True, "running", None),
        ("reject", "warming", True, "rejected", Code.PACK_WARMING),
        ("reject", "failed", True, "rejected", Code.PACK_FAILED),
        ("reject", "superseded", True, "resolving", None),
        ("wait", "fresh", True, "running", None),
        ("wait", "warming", True, "waiting_for_pack", None),
        ("wait", "failed", True, "rejected", Code.PACK_FAILED),
        ("wait", "superseded", True, "resolving", None),
        ("serve_stale", "fresh", True, "running", None),
        ("serve_stale", "warming", True, "running", None),
        ("serve_stale", "warming", False, "rejected", Code.PACK_WARMING),
        ("serve_stale", "failed", True, "rejected", Code.PACK_FAILED),
        ("serve_stale", "superseded", True, "resolving", None),
    ],
)
def test_decision_table(policy: str, pack_status: str, previous: bool, status: str, code: Code | None) -> None:
    one = resolving(policy)
    one.resolved(resolution(pack_status, previous))
    assert one.status == status
    if code is not None:
        error = one.result.error
        assert error is not None
        assert error.code == code
        assert error.details["pack_id"] == str(PACK)
        assert (error.retry_after_s is not None) == (code == Code.PACK_WARMING)


def test_waiting_watches_the_pack_until_the_wait_ends() -> None:
    one = resolving("wait", 45.0)
    one.resolved(resolution("warming"))
    assert one.last.emits == (WatchPack(PACK),)
    assert one.state is not None
    assert one.state.waiting_for_pack == PACK
    assert one.state.next_due_at_ms() == START_MS + 45_000
    one.timer(START_MS + 5_000)
    assert one.last.emits == (StartTimer(START_MS + 45_000),)
    one.timer(START_MS + 45_000)
    assert one.status == "rejected"
    assert one.result.error is not None
    assert one.result.error.code == Code.PACK_WARMING
    assert [step.step_id for step in one.result.trace.steps] == ["$resolve", "charts"]


def test_the_deadline_comes_before_the_wait_ends() -> None:
    one = Player(pattern_of(PINNED))
    one.request(gate=Gate(policy=GatePolicy.WAIT, wait_s=60.0), deadline_s=10.0)
    one.resolved(resolution("warming"))
    one.timer(START_MS + 10_000)
    assert one.result.status == "timed_out"


def test_a_wait_of_nothing_is_a_rejection() -> None:
    one = resolving("wait", 0.0)
    one.resolved(resolution("warming"))
    assert one.status == "rejected"


def test_the_pack_opens_and_its_hash_is_pinned() -> None:
    one = resolving("wait")
    one.resolved(resolution("warming"))
    one.gate()
    assert one.status == "running"
    assert one.state is not None
    assert one.state.pins is not None
    assert one.state.pins.pack_sha256 == pack()["content_sha256"]
    assert not one.state.pins.stale
    assert one.state.waiting_for_pack is None


@pytest.mark.parametrize(
    ("pack_id", "status", "day", "note"),
    [
        (PACK, "warming", "2026-01-02", Note.STILL_WARMING),
        (NEW_PACK, "warming", "2026-01-02", Note.OTHER_PACK),
        (NEW_PACK, "failed", "2026-01-02", Note.OTHER_PACK),
        (NEW_PACK, "fresh", "2026-01-05", Note.OTHER_PACK),
    ],
)
def test_news_that_open_nothing(pack_id: UUID, status: str, day: str, note: Note) -> None:
    one = resolving("wait")
    one.resolved(resolution("warming"))
    one.gate(pack_id, status, day)
    one.ignored(note)


def test_another_revision_of_the_day_that_is_fresh_is_as_good() -> None:
    one = resolving("wait")
    one.resolved(resolution("warming"))
    one.gate(NEW_PACK)
    assert one.status == "resolving"
    one.resolved(resolution("fresh", pack_id=NEW_PACK), attempt=2)
    assert one.state is not None
    assert one.state.pins is not None
    assert one.state.pins.pricing_pack_id == NEW_PACK


def test_who_asked_for_a_pack_by_id_waits_for_that_one() -> None:
    one = Player(pattern_of(PINNED))
    one.request(pack_id=PACK, gate=Gate(policy=GatePolicy.WAIT, wait_s=60.0))
    one.resolved(resolution("warming"))
    one.gate(NEW_PACK)
    one.ignored(Note.OTHER_PACK)
    one.gate()
    assert one.status == "running"


def test_what_an_execution_waits_for_names_the_policy_and_the_day() -> None:
    one = resolving("wait")
    one.resolved(resolution("warming"))
    assert one.state is not None
    asked = resolution("warming")["pack"]
    named = f"{asked['policy']} of {asked['asof_date']} ({PACK})"
    assert waits_for(one.state, None) == f"pricing pack {named} to become fresh"


def test_a_pack_that_fails_while_waiting_ends_it() -> None:
    one = resolving("wait")
    one.resolved(resolution("warming"))
    one.gate(status="failed")
    assert one.result.error is not None
    assert one.result.error.code == Code.PACK_FAILED


def test_a_pack_superseded_while_waiting_is_resolved_again() -> None:
    one = resolving("wait", 45.0)
    one.resolved(resolution("warming"))
    one.at_ms += 20_000
    one.gate(status="superseded")
    assert one.status == "resolving"
    assert [(request.step_id, request.attempt) for request in one.sent] == [("$resolve", 2)]
    one.resolved(resolution("fresh"), attempt=1)
    one.ignored(Note.LATE)
    one.resolved(resolution("warming", pack_id=NEW_PACK), attempt=2)
    assert one.state is not None
    assert one.state.waiting_for_pack == NEW_PACK
    assert one.state.parked is not None
    assert one.state.parked.until_ms == START_MS + 45_000, "the wait is counted once"
    one.gate(NEW_PACK)
    assert one.state.pins is not None
    assert one.state.pins.pricing_pack_id == NEW_PACK


def test_a_pack_that_keeps_changing_is_given_up() -> None:
    one = resolving("wait", limits=Limits(resolve_rounds_max=3))
    for attempt in (1, 2, 3):
        one.resolved(resolution("superseded"), attempt=attempt)
    assert one.status == "rejected"


def test_a_superseded_pack_runs_when_it_was_asked_for() -> None:
    one = Player(pattern_of(PINNED))
    one.request(pack_id=PACK)
    assert one.sent[0].args["pack_id"] == str(PACK)
    one.resolved({**resolution("superseded"), "warnings": ["pack was superseded"]})
    one.answer("charts", [])
    assert one.result.trace.warnings == ("pack was superseded",)


def test_stale_labels_every_panel() -> None:
    document = {
        "steps": [{"capability": "charts.overview", "as": "charts"}, noop("other")],
        "outputs": ["charts", "other"],
    }
    one = Player(pattern_of(document))
    one.request(gate=Gate(policy=GatePolicy.SERVE_STALE))
    one.resolved(resolution("warming"))
    one.answer("charts", [{"mark": "bar"}])
    one.answer("other", 1)
    trace = one.result.trace
    assert trace.pricing_pack_id == str(OLD_PACK)
    assert (str(trace.asof), str(trace.asof_requested), trace.stale) == ("2025-12-31", "2026-01-02", True)
    assert [(panel.output, panel.status, panel.stale) for panel in trace.per_panel_staleness] == [
        ("charts", "stale", True),
        ("other", "stale", True),
    ]
    assert trace.warnings[0].startswith("stale:")
    assert all(step.stale for step in trace.steps)


@pytest.mark.parametrize(
    ("asked", "pack_status", "requested", "asof"),
    [
        # The resolution answers Friday 2 January; the fresh pack before it is of 31 December.
        ("2026-01-04", "fresh", "2026-01-04", "2026-01-02"),
        ("2026-01-04", "warming", "2026-01-04", "2025-12-31"),
        ("2026-01-02", "fresh", "2026-01-02", "2026-01-02"),
        (None, "fresh", "2026-01-02", "2026-01-02"),
    ],
)
def test_the_day_asked_for_is_the_request_s_own(asked: str | None, pack_status: str, requested: str, asof: str) -> None:
    one = Player(pattern_of(PINNED))
    one.request(asof=asked and date.fromisoformat(asked), gate=Gate(policy=GatePolicy.SERVE_STALE))
    assert one.state is not None
    assert one.state.asof_requested == (asked and date.fromisoformat(asked))
    one.resolved(resolution(pack_status))
    assert str(one.state.asof_requested) == requested
    one.answer("charts", [])
    trace = one.result.trace
    assert (str(trace.asof_requested), str(trace.asof)) == (requested, asof)
    if trace.stale:
        assert trace.per_panel_staleness[0].reason == "the pack of 2026-01-02 is warming", "Sundays have none"
        assert trace.warnings == ("stale: valued at the pack of 2025-12-31; that of 2026-01-02 is warming",)


def test_who_waits_for_a_pack_still_asked_for_their_own_day() -> None:
    one = Player(pattern_of(PINNED))
    one.request(asof=date(2026, 1, 4), gate=Gate(policy=GatePolicy.WAIT, wait_s=45.0))
    one.resolved(resolution("warming"))
    assert one.state is not None and one.state.asof_requested == date(2026, 1, 4)
    one.timer(START_MS + 45_000)
    assert (one.result.trace.asof, one.result.trace.asof_requested) == (None, date(2026, 1, 4))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.NO_PACK, "rejected"),
        (Code.UNKNOWN_PORTFOLIO, "rejected"),
        (Code.UNKNOWN_LEDGER_COMMIT, "rejected"),
        (Code.AGENT_UNAVAILABLE, "failed"),
    ],
)
def test_a_failed_resolution(code: Code, status: str) -> None:
    one = resolving("reject")
    one.error("$resolve", code=code, retryable=False)
    assert one.result.status == status
    assert one.result.error is not None
    assert one.result.error.code == code


@pytest.mark.parametrize("value", [None, [], {}, {**resolution(), "pack": None}, {**resolution(), "base_ccy": "cad"}])
def test_an_answer_that_is_no_resolution(value: object) -> None:
    one = resolving("reject")
    one.answer("$resolve", value)
    assert one.result.status == "failed"
    assert one.result.error is not None
    assert one.result.error.code == Code.INVALID_OUTPUT


def test_the_pattern_s_gate_counts_unless_the_request_has_one() -> None:
    one = Player(pattern_of({**PINNED, "gate": {"policy": "serve_stale"}}))
    one.request()
    one.resolved(resolution("warming"))
    assert one.status == "running"
    other = Player(pattern_of({**PINNED, "gate": {"policy": "serve_stale"}}))
    other.request(gate=Gate())
    other.resolved(resolution("warming"))
    assert other.status == "rejected"


def test_the_resolution_is_asked_for_what_the_request_names() -> None:
    one = Player(pattern_of(PINNED))
    message = one.request_message().model_dump(mode="json")
    asked = {"asof": "2026-01-05", "ledger_commit": "d0" * 20, "portfolio_id": str(PACK)}
    one.play(type(one.request_message()).model_validate_json(json.dumps({**message, **asked})))
    assert one.sent[0].args == {**asked, "pack_id": None}
    assert one.sent[0].idempotency_key == f"{one.execution_id}/$resolve"


def test_waiting_comes_on_top_of_the_default_deadline_and_not_of_one_s_own() -> None:
    """A gate that may wait for ten minutes must not be cut by a deadline nobody asked for."""
    limits = Limits(deadline_s_default=120.0)
    one = resolving("wait", wait_s=600.0, limits=limits)
    one.resolved(resolution("warming", True))
    assert one.state is not None and one.state.admission is not None
    assert one.state.admission.deadline_at_ms == START_MS + 720_000
    rejecting = resolving("reject", wait_s=600.0, limits=limits)
    assert rejecting.state is not None and rejecting.state.admission is not None
    assert rejecting.state.admission.deadline_at_ms == START_MS + 120_000
    own = Player(pattern_of(PINNED), limits)
    own.request(gate=Gate(policy=GatePolicy.WAIT, wait_s=600.0), deadline_s=30.0)
    assert own.state is not None and own.state.admission is not None
    assert own.state.admission.deadline_at_ms == START_MS + 30_000
