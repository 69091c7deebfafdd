"""The checker, on records as a run leaves them: it must be silent on a good run and name what is wrong in a bad one."""

import struct
from dataclasses import replace
from typing import Any

import orjson
import pytest

from chaos.checker import Evidence, Findings, check
from chaos.reading import Record
from chaos.record import Submission

AT = 1_700_000_000_000


def submission(number: int, **changes: Any) -> Submission:
    return replace(
        Submission(
            number=number,
            execution_id=f"00000000-0000-0000-0000-{number:012d}",
            tenant="t",
            request_id=f"r{number}",
            pattern_id="chaos_sequence",
            inputs={"n": number},
            asof=None,
            cancelled=False,
            tries=1,
            confirmed_at_ms=AT + number * 1000,
            partition=number % 4,
            deadline_s=10.0,
            parks=False,
        ),
        **changes,
    )


def result(each: Submission, *, offset: int = 0, after_ms: int = 500, **changes: Any) -> Record:
    body = {
        "execution_id": each.execution_id,
        "request_id": each.request_id,
        "status": "succeeded",
        "data": {"answer": each.inputs["n"] + 2},
    }
    at_ms = each.confirmed_at_ms + after_ms
    key = each.execution_id.encode()
    return Record("execution-results", each.partition, offset, at_ms, key, orjson.dumps(body | changes))


def row(each: Submission, epoch: int, version: int, status: str, *, partition: int | None = None) -> Record:
    value = struct.pack(">Q", epoch << 40 | version) + orjson.dumps({"s": status})
    where = each.partition if partition is None else partition
    return Record("changelog", where, version, each.confirmed_at_ms, each.execution_id.encode(), value)


ASKED = [submission(number) for number in range(5)]
GOOD = Evidence(
    submissions=ASKED,
    results=[result(each) for each in ASKED],
    changelog=[row(each, 1, n, status) for each in ASKED for n, status in enumerate(("running", "succeeded"), 1)],
    read_at_ms=AT + 3_600_000,
)


def faults(findings: Findings) -> dict[str, tuple[str, ...]]:
    return {kind: lines for kind, lines in findings.faults.items() if lines}


def test_a_good_run_has_no_faults() -> None:
    found = check(GOOD)
    assert found.ok and faults(found) == {}
    assert found.submitted == 5 and found.statuses == {"succeeded": 5} and found.duplicates == 0


def test_a_lost_result_is_named() -> None:
    found = check(replace(GOOD, results=GOOD.results[1:]))
    assert not found.ok and list(faults(found)) == ["lost"]
    assert "r0" in found.faults["lost"][0] and ASKED[0].execution_id in found.faults["lost"][0]


def test_a_second_different_result_is_a_conflict_and_an_equal_one_a_duplicate() -> None:
    again = check(replace(GOOD, results=[*GOOD.results, result(ASKED[2], offset=9)]))
    assert again.ok and again.duplicates == 1
    other = result(ASKED[2], offset=9, status="failed")
    found = check(replace(GOOD, results=[*GOOD.results, other]))
    assert list(faults(found)) == ["conflicting"]
    assert "r2" in found.faults["conflicting"][0] and "2/9" in found.faults["conflicting"][0]


def test_a_live_row_past_its_end_is_stuck() -> None:
    live = [*GOOD.changelog[:-1]]
    found = check(replace(GOOD, changelog=live))
    assert list(faults(found)) == ["stuck"] and "r4" in found.faults["stuck"][0]
    # Its time (deadline, undoing, a margin for failover) is not over yet.
    assert check(replace(GOOD, changelog=live, read_at_ms=ASKED[4].confirmed_at_ms + 60_000)).ok


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": {"answer": 1}}, "expected {'answer': 5}"),
        ({"request_id": "another"}, "answers request another"),
        ({"status": "cancelled"}, "nobody cancelled"),
    ],
)
def test_what_was_answered_must_be_what_follows_from_the_inputs(changes: dict[str, Any], says: str) -> None:
    results = [result(each, **(changes if each.number == 3 else {})) for each in ASKED]
    found = check(replace(GOOD, results=results))
    assert list(faults(found)) == ["wrong_answer"] and says in found.faults["wrong_answer"][0]


def test_a_pattern_that_must_fail_may_not_succeed() -> None:
    undo = submission(0, pattern_id="chaos_undo")
    found = check(Evidence(submissions=[undo], results=[result(undo)]))
    assert "always fails" in found.faults["wrong_answer"][0]


def test_rows_of_a_former_owner_are_counted_and_only_those_that_stand_last_are_faults() -> None:
    each = ASKED[0]
    rewritten = [row(each, 2, 1, "running"), row(each, 1, 7, "running"), row(each, 2, 2, "succeeded")]
    found = check(replace(GOOD, changelog=rewritten))
    assert found.ok and found.late_rows == 1
    found = check(replace(GOOD, changelog=[row(each, 2, 1, "succeeded"), row(each, 1, 7, "running")]))
    assert list(faults(found)) == ["outranked_rows"]


def test_records_elsewhere_than_the_request_are_misplaced() -> None:
    wrong = row(ASKED[1], 1, 3, "succeeded", partition=3)
    found = check(replace(GOOD, changelog=[*GOOD.changelog, wrong]))
    assert list(faults(found)) == ["wrong_partition"]
    assert "its request is in partition 1" in found.faults["wrong_partition"][0]


def test_dead_letters_second_effects_and_unasked_results_are_faults() -> None:
    letter = Record("dead-letters", 0, 0, AT, b"k", b"v", (("dlq-stage", b"process"), ("dlq-reason", b"bug")))
    stranger = result(submission(99))
    found = check(replace(GOOD, dead_letters=[letter], effects={"a": 1, "b": 2}, results=[*GOOD.results, stranger]))
    assert set(faults(found)) == {"dead_letters", "effects_twice", "unasked"}
    assert "process: bug" in found.faults["dead_letters"][0]
    assert found.faults["effects_twice"] == ("b: done 2 times",)


def test_the_worst_pause_counts_only_while_something_is_under_way() -> None:
    slow = submission(1, confirmed_at_ms=AT + 2_000)
    parked = submission(2, confirmed_at_ms=AT + 20_000, parks=True)
    later = submission(3, confirmed_at_ms=AT + 60_000)
    findings = check(
        Evidence(
            submissions=[submission(0), slow, parked, later],
            results=[
                result(submission(0), after_ms=3_000),
                result(slow, after_ms=8_000),
                result(parked, after_ms=30_000),
                result(later, after_ms=100),
            ],
        )
    )
    assert findings.pause_s == 7.0 and findings.pause_at_ms == AT + 3_000
