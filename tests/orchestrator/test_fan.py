"""foreach: so many items at a time, answers in order, items that fail, lists that lie in the artifact store."""

from typing import Any

import pytest

from orchestrator.events import Note
from orchestrator.limits import Limits
from tests.orchestrator.player import SHA, START_MS, Player, noop, pattern_of
from topics.canonical import digest
from topics.errors import Code
from topics.messages import Projection


def each(**more: Any) -> dict[str, Any]:
    given = {"foreach": "inputs.list", "args": {"x": "{{item}}", "i": "{{index}}"}, "concurrency_max": 2}
    return noop("e", **{**given, **more})


def begun(values: Any, *after: dict[str, Any], limits: Limits | None = None, **more: Any) -> Player:
    document = {
        "inputs": {"list": {"type": "array", "default": []}},
        "steps": [each(**more), *after],
        "outputs": ["e"],
    }
    one = Player(pattern_of(document), limits or Limits())
    one.request(inputs={"list": values})
    return one


def test_so_many_at_a_time_and_results_in_the_order_of_the_items() -> None:
    one = begun([10, 11, 12, 13])
    assert [(request.step_id, request.args) for request in one.sent] == [
        ("e[0]", {"x": 10, "i": 0}),
        ("e[1]", {"x": 11, "i": 1}),
    ]
    assert one.sent[0].idempotency_key == f"{one.execution_id}/e[0]"
    one.answer("e[1]", "b")
    assert one.sent_ids == ["e[2]"]
    one.answer("e[2]", "c")
    assert one.sent_ids == ["e[3]"]
    one.answer("e[3]", "d")
    assert one.sent_ids == []
    one.answer("e[0]", "a")
    result = one.result
    assert result.data == {"e": ["a", "b", "c", "d"]}
    (step,) = result.trace.steps
    assert (step.step_id, step.status, step.agent, step.cache) == ("e", "succeeded", "tester", "miss")
    assert step.sources == ("made:e[0]", "made:e[1]", "made:e[2]", "made:e[3]")
    assert step.items is not None
    assert (step.items.count, step.items.succeeded, step.items.attempts) == (4, 4, 4)
    args = [digest({"args": {"x": 10 + index, "i": index}, "refs": {}}) for index in range(4)]
    assert step.args_digest == digest(args)
    assert step.output_digest == digest([digest(value) for value in "abcd"])
    assert step.digest == digest(["t.noop", 1, step.args_digest, None, step.output_digest])


def test_the_digest_does_not_depend_on_the_order_of_answers() -> None:
    digests = set()
    for order in ("0123", "1032"):
        one = begun([1, 2, 3, 4])
        for index in order:
            one.answer(f"e[{index}]", index)
        digests.add(one.result.digest)
    assert len(digests) == 1


def test_an_empty_list_is_settled_at_once() -> None:
    one = begun([], noop("after", args={"all": "{{state.e}}", "n": "{{state.e.length}}"}))
    assert [request.args for request in one.sent] == [{"all": [], "n": 0}]
    one.answer("after")
    assert one.result.data == {"e": []}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"a": 1}, "step e: expected a list from foreach state.v.list, got an object with 1 keys"),
        (5, "step e: expected a list from foreach state.v.list, got 5"),
        (None, "step e: expected a list from foreach state.v.list, got null"),
        (list(range(10_001)), "step e: expected at most 10000 items from state.v.list, got 10001"),
    ],
)
def test_what_is_no_list_or_too_long_fails_the_step(values: Any, text: str) -> None:
    one = Player(pattern_of({"steps": [noop("v"), each(foreach="state.v.list")], "outputs": ["e"]}))
    one.request()
    one.answer("v", {"list": values})
    assert one.result.error is not None
    assert (one.result.error.code, one.result.error.message) == (Code.TEMPLATE_FAILED, text)


def test_a_list_that_is_missing_says_which_keys_there_are() -> None:
    one = Player(pattern_of({"steps": [noop("v"), each(foreach="state.v.list")]}))
    one.request()
    one.answer("v", {"lost": []})
    assert one.result.error is not None
    assert one.result.error.message == "step e: foreach state.v.list does not exist; keys: lost"


def test_later_steps_read_the_list_one_item_or_its_length() -> None:
    args = {"all": "{{state.e}}", "one": "{{state.e[1].n}}", "text": "{{state.e.0.n}} of {{state.e.length}}"}
    one = begun([1, 2], noop("after", args=args, condition="state.e.length == 2"))
    one.answer("e[0]", {"n": 7})
    one.answer("e[1]", {"n": 8})
    assert [request.args for request in one.sent] == [{"all": [{"n": 7}, {"n": 8}], "one": 8, "text": "7 of 2"}]


# --- failures ---


def test_an_item_that_fails_ends_the_execution() -> None:
    one = begun([1, 2, 3])
    one.error("e[1]", retryable=False)
    result = one.result
    assert result.error is not None
    assert result.error.message == "item 1: it broke"
    (step,) = result.trace.steps
    assert step.status == "failed"
    assert step.items is not None
    assert (step.items.count, step.items.failed, step.items.cancelled, step.items.succeeded) == (3, 1, 1, 0)
    assert [(item.index, item.status) for item in step.items.failures] == [(0, "cancelled"), (1, "failed")]


@pytest.mark.parametrize(("policy", "stands"), [("continue", None), ({"value": "instead"}, "instead")])
def test_an_item_that_fails_may_be_gone_on_without(policy: Any, stands: Any) -> None:
    one = begun([1, 2, 3], noop("after", args={"x": "{{state.e}}"}), on_error=policy)
    one.error("e[0]", retryable=False)
    assert one.sent_ids == ["e[2]"]
    one.answer("e[1]", "b")
    one.answer("e[2]", "c")
    assert [request.args for request in one.sent] == [{"x": [stands, "b", "c"]}]
    one.answer("after")
    assert one.result.data == {"e": [stands, "b", "c"]}
    items = one.result.trace.steps[0].items
    assert items is not None
    assert items.failed == 1
    assert items.failures[0].error is not None


def test_an_item_whose_args_cannot_be_made_fails_like_any_other() -> None:
    one = begun([{"n": 1}, {}, {"n": 3}], args={"n": "{{item.n}}"}, on_error="continue")
    assert one.sent_ids == ["e[0]", "e[2]"]
    one.answer("e[0]", 1)
    one.answer("e[2]", 3)
    assert one.result.data == {"e": [1, None, 3]}
    failed = begun([{}], args={"n": "{{item.n}}"})
    assert failed.result.error is not None
    assert failed.result.error.message == "item 0: step e[0]: args/n: {{item.n}} does not exist; there are no keys"


def test_items_are_retried_and_timed_out_one_by_one() -> None:
    one = begun([1, 2], capability="t.flaky", timeout_s=5)
    one.error("e[0]")
    assert one.state is not None
    one.timer(one.state.next_due_at_ms() or 0)
    assert [(request.step_id, request.attempt) for request in one.sent] == [("e[0]", 2)]
    one.error("e[0]", attempt=1)
    one.ignored(Note.STALE_ERROR)
    one.timer(START_MS + 5_000)
    sent = []
    for _ in range(2):
        one.timer(one.state.next_due_at_ms() or 0)
        sent.extend((request.step_id, request.attempt) for request in one.sent)
    assert ("e[1]", 2) in sent
    one.answer("e[1]", "late but first", attempt=1)
    one.answer("e[0]", 1, attempt=2)
    assert one.result.data == {"e": [1, "late but first"]}


def test_answers_for_items_there_are_not() -> None:
    one = begun([1, 2])
    for name in ("e", "e[7]", "e[01]", "f[0]", "e[0][0]", "$undo:e[0]"):
        one.answer(name, 1)
        assert one.last.state is None
        assert one.last.note in (Note.LATE, Note.UNKNOWN_STEP)
    one.answer("e[0]", 1)
    one.answer("e[0]", 1)
    one.ignored(Note.DUPLICATE)


def test_every_event_delivered_again_emits_the_same() -> None:
    one = begun([1, 2, 3, 4, 5])
    first = one.last
    one.again()
    assert one.last.emits == first.emits
    for name in ("e[1]", "e[0]", "e[2]"):
        one.answer(name, name)
        first = one.last
        one.again()
        assert (one.last.state, one.last.emits) == (None, first.emits)


# --- the artifact store ---


def test_a_list_in_the_artifact_store_sends_ref_and_place_not_copies() -> None:
    args = {"item": "{{item}}", "symbol": "{{item.symbol}}", "i": "{{index}}"}
    steps = [noop("v"), each(foreach="state.v.rows", args=args)]
    one = Player(pattern_of({"steps": steps, "outputs": ["e"]}))
    one.request()
    assert one.sent[0].projections == ("rows", "rows.length")
    one.stored("v", "ef" * 32, rows=Projection(ref=SHA), rows__length=Projection(value=3))
    assert [(request.args, request.refs, request.picks) for request in one.sent] == [
        (
            {"item": None, "symbol": None, "i": index},
            {"/item": SHA, "/symbol": SHA},
            {"/item": f"{index}", "/symbol": f"{index}.symbol"},
        )
        for index in (0, 1)
    ]
    digests = [digest({"args": sent.args, "refs": sent.refs, "picks": sent.picks}) for sent in one.sent]
    for index in range(3):
        one.answer(f"e[{index}]", index)
    third = digest(
        {"args": {"item": None, "symbol": None, "i": 2}, "refs": {"/item": SHA, "/symbol": SHA}}
        | {"picks": {"/item": "2", "/symbol": "2.symbol"}}
    )
    assert one.result.trace.steps[1].args_digest == digest([*digests, third])


def test_outputs_in_the_artifact_store_travel_as_references_item_by_item() -> None:
    one = begun([1, 2, 3], noop("after", args={"x": {"all": "{{state.e}}", "n": "{{state.e.1.n}}"}}))
    assert one.sent[0].projections == ("n",)
    one.answer("e[0]", "small")
    one.stored("e[1]", SHA, n=Projection(value=4))
    one.answer("e[2]", "last")
    assert [(sent.args, sent.refs) for sent in one.sent] == [
        ({"x": {"all": ["small", None, "last"], "n": 4}}, {"/x/all/1": SHA})
    ]
    one.answer("after")
    assert one.result.data == {"e": ["small", None, "last"]}
    assert one.result.refs == {"/data/e/1": SHA}


def test_a_condition_cannot_look_into_a_list_that_is_not_at_hand() -> None:
    one = begun([1], noop("after", condition="state.e == inputs.list"))
    one.stored("e[0]", SHA)
    assert one.result.error is not None
    assert one.result.error.code == Code.CONDITION_FAILED


def test_one_foreach_feeds_another() -> None:
    more = noop("f", foreach="state.e", args={"y": "{{item}}"}, concurrency_max=5)
    one = begun([1, 2, 3], more, noop("g", args={"x": "{{state.f}}"}), on_error="continue")
    one.answer("e[0]", {"n": 1})
    one.stored("e[1]", SHA)
    one.error("e[2]", retryable=False)
    assert [(sent.step_id, sent.args, sent.refs, sent.picks) for sent in one.sent] == [
        ("f[0]", {"y": {"n": 1}}, {}, None),
        ("f[1]", {"y": None}, {"/y": SHA}, None),
        ("f[2]", {"y": None}, {}, None),
    ]


def test_many_items_share_what_may_be_inline() -> None:
    assert begun([1, 2]).sent[0].inline_bytes_max == 768 * 1024 // 2
    one = begun(list(range(10_000)))
    assert one.sent[0].inline_bytes_max == 128
    unseen = Player(pattern_of({"inputs": {"list": {"type": "array"}}, "steps": [each()]}))
    unseen.request(inputs={"list": [1, 2]})
    assert unseen.sent[0].inline_bytes_max == 8 * 1024


# --- undoing ---


def test_items_are_undone_from_the_last_on_as_many_at_a_time_as_they_ran() -> None:
    compensate = {"capability": "t.undo", "args": {"id": "{{output.id}}", "x": "{{item}}", "i": "{{index}}"}}
    one = begun([10, 11, 12, 13, 14], noop("after"), compensate=compensate)
    for index in range(5):
        one.answer(f"e[{index}]", {"id": f"I{index}"})
    one.error("after", retryable=False)
    assert [(sent.step_id, sent.args) for sent in one.sent] == [
        ("$undo:e[4]", {"id": "I4", "x": 14, "i": 4}),
        ("$undo:e[3]", {"id": "I3", "x": 13, "i": 3}),
    ]
    one.again()
    assert one.sent_ids == ["$undo:e[4]", "$undo:e[3]"]
    one.answer("$undo:e[3]")
    assert one.sent_ids == ["$undo:e[2]"]
    one.error("$undo:e[4]", retryable=False)
    assert one.sent_ids == ["$undo:e[1]"]
    one.answer("$undo:e[1]")
    one.answer("$undo:e[2]")
    one.answer("$undo:e[0]")
    step = one.result.trace.steps[0]
    assert step.status == "compensation_failed"
    assert step.items is not None
    assert (step.items.compensated, step.items.compensation_failed, step.items.succeeded) == (4, 1, 0)
    assert [(item.index, item.status) for item in step.items.failures] == [(4, "compensation_failed")]
    assert [letter.step_id for letter in one.dead_letters] == ["e[4]"]
    assert one.dead_letters[0].request is not None
    assert one.dead_letters[0].request.args == {"id": "I4", "x": 14, "i": 4}


def test_items_under_way_when_one_fails_are_settled_and_undone_and_no_more_start() -> None:
    one = begun([1, 2, 3, 4], compensate={"capability": "t.undo"})
    one.answer("e[0]", 0)
    assert one.sent_ids == ["e[2]"]
    one.error("e[1]", retryable=False)
    assert (one.status, one.sent_ids) == ("compensating", [])
    one.answer("e[2]", 2)
    assert one.sent_ids == ["$undo:e[2]", "$undo:e[0]"]
    one.answer("$undo:e[0]")
    one.answer("$undo:e[2]")
    step = one.result.trace.steps[0]
    assert step.status == "compensated"
    assert step.items is not None
    assert (step.items.compensated, step.items.failed) == (2, 1)


def test_a_cancel_ends_a_foreach_step() -> None:
    one = begun([1, 2, 3])
    one.answer("e[0]", 0)
    one.cancel()
    (step,) = one.result.trace.steps
    assert step.status == "cancelled"
    assert step.items is not None
    assert (step.items.succeeded, step.items.cancelled, step.items.count) == (1, 2, 3)


# --- cost ---


def test_state_is_written_once_per_item_and_the_header_stays_small() -> None:
    count = 400
    one = begun(list(range(count)))
    headers, written = 0, 0
    for index in range(count):
        known = set(one.rows)
        one.answer(f"e[{index}]", {"n": index})
        headers = max(headers, len(one.rows[b""]))
        written += sum(len(row) for suffix, row in one.rows.items() if suffix not in known)
    assert headers <= 6 * 1024
    assert written / count < 700
    assert len(one.result.data["e"]) == count
