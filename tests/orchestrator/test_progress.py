"""Running steps: order, parallel starts, skips, failures, retries, timeouts."""

import pytest

from orchestrator.events import Note, StartTimer
from orchestrator.limits import Limits
from tests.orchestrator.player import PORTFOLIO, SHA, START_MS, Player, noop, pattern_of, resolution
from topics.canonical import digest
from topics.errors import Code
from topics.messages import Projection


def begun(document: dict, **changes: object) -> Player:
    one = Player(pattern_of(document))
    one.request(**changes)
    return one


def flaky(**more: object) -> dict:
    return {"steps": [{"capability": "t.flaky", "as": "a", **more}], "outputs": ["a"]}


# --- order ---


def test_sequential_steps_wait_for_all_earlier_ones() -> None:
    one = begun({"steps": [noop("a"), noop("b"), noop("c")], "outputs": ["c"]})
    seen = [one.sent_ids]
    for name in "abc":
        one.answer(name, 1)
        seen.append(one.sent_ids)
    assert seen == [["a"], ["b"], ["c"], []]
    assert one.result.data == {"c": 1}


def test_parallel_steps_start_when_their_references_are_met() -> None:
    steps = [
        noop("a"),
        noop("b", parallel=True, args={"x": "{{state.a}}"}),
        noop("c", parallel=True, args={"x": "{{state.a}}"}),
        noop("d", parallel=True),
        noop("e", parallel=True, depends_on=["b", "d"]),
        noop("join"),
    ]
    one = begun({"steps": steps, "outputs": ["join"]})
    assert one.sent_ids == ["a", "d"]
    one.answer("a", 1)
    assert one.sent_ids == ["b", "c"]
    one.answer("d", 1)
    assert one.sent_ids == []
    one.answer("b", 1)
    assert one.sent_ids == ["e"]
    one.answer("e", 1)
    assert one.sent_ids == []
    one.answer("c", 1)
    assert one.sent_ids == ["join"]
    one.answer("join", 9)
    assert one.result.status == "succeeded"
    assert [step.step_id for step in one.result.trace.steps] == ["a", "b", "c", "d", "e", "join"]


def test_the_last_unnamed_output_is_state_last() -> None:
    steps = [
        {"capability": "t.noop"},
        {"capability": "t.noop", "args": {"x": "{{state.last}}"}},
        {"capability": "t.noop", "args": {"x": "{{state.last}}"}},
    ]
    one = begun({"steps": steps, "outputs": ["last"]})
    one.answer("step_0", "first")
    assert one.sent[0].args == {"x": "first"}
    one.answer("step_1", "second")
    assert one.sent[0].args == {"x": "second"}
    one.answer("step_2", "third")
    assert one.result.data == {"last": "third"}


# --- skips ---

SKIPPING = {
    "inputs": {"go": {"type": "boolean", "default": False}},
    "steps": [
        noop("a", condition="inputs.go"),
        noop("b", args={"x": "{{state.a}}"}),
        noop("c", condition="has(state.a) && state.a == 1"),
        noop("d", condition="!has(state.a)"),
        noop("e", depends_on=["b"]),
        noop("f"),
    ],
    "outputs": ["a", "b", "d", "f"],
}


def test_dependants_of_a_skipped_step_are_skipped_unless_they_test_for_it() -> None:
    one = begun(SKIPPING)
    assert one.sent_ids == ["d"]
    one.answer("d", "instead")
    assert one.sent_ids == ["f"]
    one.answer("f", 2)
    result = one.result
    assert result.data == {"a": None, "b": None, "d": "instead", "f": 2}
    reasons = {step.step_id: step.skip_reason for step in result.trace.steps if step.skipped}
    assert reasons == {
        "a": "condition is false: inputs.go",
        "b": "needs a, which was skipped",
        "c": "condition is false: has(state.a) && state.a == 1",
        "e": "needs b, which was skipped",
    }
    panels = {panel.output: (panel.status, panel.reason) for panel in result.trace.per_panel_staleness}
    assert panels["a"] == ("unavailable", "skipped: condition is false: inputs.go")
    assert panels["d"] == ("fresh", None)


def test_the_same_with_the_condition_true() -> None:
    one = begun(SKIPPING, inputs={"go": True})
    assert one.sent_ids == ["a"]
    one.answer("a", 1)
    assert one.sent_ids == ["b"]
    one.answer("b", 1)
    assert one.sent_ids == ["c"]


def test_a_pattern_whose_steps_are_all_skipped_succeeds_at_once() -> None:
    one = begun({"steps": [noop("a", condition="false"), noop("b", parallel=True, condition="1 > 2")]})
    assert one.result.status == "succeeded"
    assert one.result.trace.agents_used == ()


# --- errors of the pattern at run time ---


def test_a_missing_path_fails_the_step_and_names_the_nearest_keys() -> None:
    one = begun({"steps": [noop("a"), noop("b", args={"deep": [{"x": "{{state.a.total.value}}"}]})]})
    one.answer("a", {"total": {"amount": 1, "ccy": "CAD"}})
    error = one.result.error
    assert error is not None
    assert error.code == Code.TEMPLATE_FAILED
    assert error.message == (
        "step b: args/deep/0/x: {{state.a.total.value}} does not exist; keys below 'total': amount, ccy"
    )


def test_a_condition_that_cannot_be_answered_fails_the_step() -> None:
    one = begun({"steps": [noop("a"), noop("b", condition="state.a.ok")]})
    one.answer("a", {"ok": "yes"})
    assert one.result.error is not None
    assert one.result.error.code == Code.CONDITION_FAILED
    assert "expected true or false" in one.result.error.message


@pytest.mark.parametrize(
    ("on_error", "sent", "data"),
    [("continue", ["c"], {"a": None, "c": 5}), ({"value": {"n": 0}}, ["b"], {"a": {"n": 0}, "c": 5})],
)
def test_on_error(on_error: object, sent: list[str], data: dict) -> None:
    steps = [noop("a", on_error=on_error), noop("b", args={"x": "{{state.a}}"}), noop("c")]
    one = begun({"steps": steps, "outputs": ["a", "c"]})
    one.error("a", retryable=False)
    assert one.sent_ids == sent
    if sent == ["b"]:
        assert one.sent[0].args == {"x": {"n": 0}}
        one.answer("b", 1)
    one.answer("c", 5)
    assert one.result.status == "succeeded"
    assert one.result.data == data
    assert one.result.trace.per_panel_staleness[0].status == "unavailable"
    assert one.result.trace.steps[0].error is not None


def test_a_failure_cancels_what_is_under_way() -> None:
    one = begun({"steps": [noop("a", parallel=True), noop("b", parallel=True), noop("c")], "outputs": ["c"]})
    one.error("b", retryable=False)
    assert {step.step_id: step.status for step in one.result.trace.steps} == {
        "a": "cancelled",
        "b": "failed",
        "c": "blocked",
    }
    assert one.result.error is not None
    assert one.result.error.message == "it broke"
    one.answer("a", 1)
    one.ignored(Note.LATE)


# --- retries and timeouts ---


def test_a_retryable_error_is_tried_again_after_a_pause() -> None:
    one = begun(flaky())
    one.error("a")
    assert one.sent == []
    (pause_ms,) = one.timers
    assert 500 <= pause_ms <= 1000
    one.timer(START_MS + pause_ms - 1)
    assert one.last.emits == (StartTimer(START_MS + pause_ms),)
    one.timer(START_MS + pause_ms)
    assert [(request.step_id, request.attempt) for request in one.sent] == [("a", 2)]
    assert one.sent[0].idempotency_key == f"{one.execution_id}/a"
    one.again()
    assert [(request.step_id, request.attempt) for request in one.sent] == [("a", 2)]
    one.answer("a", 1, attempt=2)
    assert one.result.trace.steps[0].attempts == 2


def test_attempts_are_bounded() -> None:
    one = begun(flaky())
    for attempt in (1, 2):
        one.error("a", attempt)
        assert one.state is not None
        one.timer(one.state.next_due_at_ms() or 0)
    one.error("a", 3)
    assert one.result.status == "failed"
    assert one.result.trace.steps[0].attempts == 3


def test_retry_after_is_honoured() -> None:
    one = begun(flaky())
    one.error("a", retry_after_s=20.0)
    assert one.timers == [20_000]


def test_refusals_of_an_open_circuit_are_waited_out() -> None:
    one = begun(flaky())
    one.error("a")
    for attempt in (2, 3, 4, 5):
        assert one.state is not None
        one.timer(one.state.next_due_at_ms() or 0)
        one.error("a", attempt, code=Code.AGENT_UNAVAILABLE, retry_after_s=20.0)
        assert one.state is not None
        # Not all at the same moment: only one call is let through at the end of the pause.
        assert (one.state.next_due_at_ms() or 0) > one.at_ms + 20_000
    one.timer(one.state.next_due_at_ms() or 0)
    one.error("a", 6, code=Code.AGENT_UNAVAILABLE, retry_after_s=20.0)
    assert one.result.status == "failed"
    assert one.result.trace.steps[0].attempts == 6


def test_a_pattern_that_wants_one_attempt_gets_one() -> None:
    one = begun(flaky(retry={"attempts_max": 1}))
    one.error("a", code=Code.AGENT_UNAVAILABLE, retry_after_s=20.0)
    assert one.result.status == "failed"


def test_a_retry_that_could_not_start_before_the_deadline_is_not_made() -> None:
    one = begun(flaky(), deadline_s=10.0)
    one.error("a", retry_after_s=20.0)
    assert one.result.status == "failed"


def test_errors_that_are_not_retryable_are_not_retried() -> None:
    one = begun(flaky())
    one.error("a", code=Code.INVALID_ARGS, retryable=False)
    assert one.result.error is not None
    assert one.result.error.code == Code.INVALID_ARGS


def test_a_step_without_an_answer_times_out_and_is_tried_again() -> None:
    one = begun(flaky(timeout_s=2))
    assert one.timers == [2_000]
    assert one.sent[0].deadline_at_ms == START_MS + 2_000
    one.timer(START_MS + 2_000)
    assert one.state is not None
    due_at_ms = one.state.next_due_at_ms() or 0
    one.timer(due_at_ms)
    assert one.sent[0].attempt == 2
    one.timer(due_at_ms + 2_000)
    one.timer(one.state.next_due_at_ms() or 0)
    one.timer((one.state.next_due_at_ms() or 0) + 1)
    assert one.result.error is not None
    assert one.result.error.code == Code.STEP_TIMEOUT


def test_the_first_success_of_any_attempt_wins() -> None:
    one = begun(flaky(timeout_s=2))
    one.timer(START_MS + 2_000)
    one.answer("a", "slow", attempt=1)
    assert one.result.data == {"a": "slow"}
    again = begun(flaky(timeout_s=2))
    again.timer(START_MS + 2_000)
    assert again.state is not None
    again.timer(again.state.next_due_at_ms() or 0)
    again.error("a", attempt=1)
    again.ignored(Note.STALE_ERROR)
    again.answer("a", "first", attempt=1)
    assert again.result.data == {"a": "first"}
    again.answer("a", "second", attempt=2)
    again.ignored(Note.LATE)


def test_an_error_that_comes_twice_counts_once() -> None:
    one = begun(flaky())
    one.error("a")
    one.error("a")
    one.ignored(Note.STALE_ERROR)


def test_the_pause_is_the_same_for_the_same_ids_and_differs_between_steps() -> None:
    pauses = set()
    for name in "abcdef":
        one = begun({"steps": [{"capability": "t.flaky", "as": name}]})
        one.error(name)
        first = one.timers
        two = begun({"steps": [{"capability": "t.flaky", "as": name}]})
        two.error(name)
        assert two.timers == first
        pauses.update(first)
    assert len(pauses) > 3


def test_the_resolution_is_retried_too() -> None:
    one = begun({"steps": [{"capability": "charts.overview", "as": "charts"}]})
    one.timer(START_MS + 5_000)
    assert one.state is not None
    one.timer(one.state.next_due_at_ms() or 0)
    assert [(request.step_id, request.attempt) for request in one.sent] == [("$resolve", 2)]
    one.resolved(resolution(), attempt=2)
    assert one.status == "running"


# --- large values ---


def test_a_stored_output_travels_as_a_reference() -> None:
    steps = [
        noop("a"),
        noop("b", args={"whole": "{{state.a}}", "in": [{"it": "{{state.a}}"}], "n": "{{state.a.items.length}}"}),
        noop("c", condition="state.a.items.length > 1", args={"part": "{{state.a.items}}"}),
    ]
    one = begun({"steps": [{**steps[0], "capability": "t.typed"}, *steps[1:]], "outputs": ["a"]})
    assert one.sent[0].projections == ("items", "items.length")
    assert one.sent[0].inline_bytes_max == 768 * 1024
    part = "cd" * 32
    one.stored("a", SHA, items__length=Projection(value=2), items=Projection(ref=part))
    assert one.sent[0].args == {"whole": None, "in": [{"it": None}], "n": 2}
    assert one.sent[0].refs == {"/whole": SHA, "/in/0/it": SHA}
    args_digest = digest({"args": one.sent[0].args, "refs": one.sent[0].refs})
    one.answer("b", 1)
    assert (one.sent[0].args, one.sent[0].refs) == ({"part": None}, {"/part": part})
    one.answer("c", 1)
    assert one.result.data == {"a": None}
    assert one.result.refs == {"/data/a": SHA}
    assert one.result.trace.steps[1].args_digest == args_digest
    assert one.result.trace.steps[1].refs == {"/whole": SHA, "/in/0/it": SHA}


def test_an_output_no_step_reads_needs_no_artifact_as_long_as_all_fit_into_one_result() -> None:
    steps = [
        noop("read"),
        noop("plain", args={"x": "{{state.read}}"}),
        noop("asked", compensate={"capability": "t.undo", "args": {"id": "{{state.asked}}"}}),
        noop("inner"),
    ]
    one = begun({"steps": steps, "outputs": ["read", "plain", "asked"]})
    least = []
    for name in ("read", "plain", "asked", "inner"):
        assert one.sent_ids == [name]
        least.append(one.sent[0].artifact_bytes_min)
        one.answer(name, 1)
    # Three outputs, charts would stand twice, and stored numbers may be twice as long.
    assert least == [8192, 768 * 1024 // 8, 8192, 8192]


def test_beside_outputs_of_many_items_every_large_one_has_an_artifact() -> None:
    steps = [noop("plain"), noop("each", foreach="inputs.list")]
    inputs = {"list": {"type": "array", "default": [1]}}
    one = begun({"inputs": inputs, "steps": steps, "outputs": ["plain", "each"]})
    assert one.sent[0].artifact_bytes_min == 8192


def test_what_has_no_artifact_has_its_room_in_a_result_before_what_has_one() -> None:
    steps = [noop("kept"), noop("alone")]
    one = begun({"steps": [*steps, noop("reader", args={"x": "{{state.kept}}"})], "outputs": ["kept", "alone"]})
    one.answer("kept", "x" * 700_000, refs={"": SHA})
    one.answer("alone", "y" * 90_000)
    one.answer("reader", 1)
    assert one.result.data == {"kept": None, "alone": "y" * 90_000}
    assert one.result.refs == {"/data/kept": SHA}


def test_a_path_that_is_missing_in_a_stored_output_says_which_keys_there_are() -> None:
    one = begun({"steps": [noop("a"), noop("b", args={"x": "{{state.a.q}}"})]})
    one.stored("a", SHA, q=Projection(missing=("items", "total")))
    assert one.result.error is not None
    assert one.result.error.message.endswith("does not exist; keys: items, total")


def test_an_output_inline_and_stored_goes_on_as_a_reference_and_out_inline() -> None:
    one = begun({"steps": [noop("a"), noop("b", args={"x": "{{state.a}}"})], "outputs": ["a", "b"]})
    one.answer("a", {"n": 1}, refs={"": SHA})
    assert one.sent[0].refs == {"/x": SHA}
    one.answer("b", None)
    assert one.result.data == {"a": {"n": 1}, "b": None}
    assert one.result.refs == {}


def test_outputs_beyond_the_limit_come_as_references() -> None:
    document = {"steps": [noop("a"), noop("charts")], "outputs": ["a", "charts"]}
    one = Player(pattern_of(document), Limits(output_bytes=2_000))
    one.request()
    one.answer("a", "x" * 1_000, refs={"": SHA})
    one.answer("charts", ["y" * 600], refs={"": "ef" * 32})
    assert one.result.refs == {"/data/charts": "ef" * 32, "/charts": "ef" * 32}
    assert one.result.charts == []
    assert len(one.result.data["a"]) == 1_000


def test_an_answer_a_row_cannot_hold_fails_the_step() -> None:
    one = begun({"steps": [noop("a")]})
    one.play(one.answer_message("a").model_copy(update={"value": 2**70}))
    assert one.result.error is not None
    assert one.result.error.code == Code.INVALID_OUTPUT


def test_charts_stand_beside_the_data() -> None:
    for value, charts in (
        ([{"mark": "bar"}], [{"mark": "bar"}]),
        ({"charts": [1]}, [1]),
        ({"mark": "bar"}, [{"mark": "bar"}]),
    ):
        one = begun({"steps": [noop("charts")], "outputs": ["charts"]})
        one.answer("charts", value)
        assert one.result.charts == charts
        assert one.result.data == {"charts": value}


def test_the_output_schema_is_enforced() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    one = begun({"steps": [noop("a")], "outputs": ["a"], "output_schema": schema})
    one.answer("a", "text")
    assert one.result.error is not None
    assert one.result.error.code == Code.INVALID_OUTPUT


# --- digests ---


def test_digests_can_be_made_again_from_the_result_alone() -> None:
    document = {
        "inputs": {"portfolio_id": {"type": "uuid", "required": True}},
        "steps": [
            {"capability": "ledger.positions", "as": "positions", "args": {"portfolio_id": "{{inputs.portfolio_id}}"}},
            {"capability": "pricing.apply_pack", "as": "v", "args": {"p": "{{state.positions}}"}},
            noop("s", condition="state.v.count > 5"),
        ],
        "outputs": ["v", "s"],
    }
    one = begun(document, inputs={"portfolio_id": str(PORTFOLIO)})
    one.resolved()
    one.answer("positions", {"items": []})
    one.answer("v", {"count": 1, "total": "2.50"})
    trace = one.result.trace
    pins = {
        "pricing_pack_id": trace.pricing_pack_id,
        "pack_sha256": trace.pack_sha256,
        "ledger_commit_hash": trace.ledger_commit_hash,
        "portfolio_id": trace.portfolio_id,
        "base_ccy": trace.base_ccy,
        "benchmark_id": trace.benchmark_id,
        "asof": str(trace.asof),
        "asof_requested": str(trace.asof_requested),
        "stale": trace.stale,
    }
    parts = []
    for step in trace.steps[1:]:
        if step.skipped:
            parts.append(["skipped", step.skip_reason])
            continue
        assert step.args_digest == digest({"args": step.args, "refs": step.refs})
        assert step.digest == digest([step.capability, step.version, step.args_digest, pins, step.output_digest])
        parts.append(step.digest)
    assert one.result.digest == digest([trace.pattern_digest, trace.inputs, pins, parts])


def test_times_attempts_and_cache_do_not_touch_the_digest() -> None:
    digests = set()
    for tries in (1, 2):
        one = begun(flaky())
        if tries == 2:
            one.error("a")
            assert one.state is not None
            one.timer(one.state.next_due_at_ms() or 0)
        one.answer("a", {"n": 1}, attempt=tries)
        digests.add(one.result.digest)
    assert len(digests) == 1
