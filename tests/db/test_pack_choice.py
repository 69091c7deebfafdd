"""The decision table, row by row."""

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest

from db.pack_choice import PackFacts, choose_pack
from db.pack_content import pack_id_of
from tests.db.market import FRIDAY, MONDAY, POLICY, SATURDAY, SUNDAY, THURSDAY
from topics.errors import Code, TerminalError
from topics.messages import PackRef, PackStatus

KNOWN = (date(2024, 1, 1), date(2024, 1, 31))


def ref(status: str, day: date = FRIDAY, revision: int = 1) -> PackRef:
    frozen = "a" * 64 if status in ("fresh", "superseded") else None
    return PackRef(
        pack_id=pack_id_of(POLICY, day, revision),
        policy=POLICY,
        asof_date=day,
        revision=revision,
        status=PackStatus(status),
        content_sha256=frozen,
    )


def day_of(*statuses: str, asof: date | None = FRIDAY, session: date | None = FRIDAY) -> PackFacts:
    """A question about a day whose revisions 1, 2, … have these statuses."""
    return PackFacts(
        policy=POLICY,
        asof=asof,
        pack_id=None,
        known=KNOWN,
        session=session,
        newest=FRIDAY,
        newest_failed=None,
        given=None,
        revisions=tuple(ref(status, revision=number) for number, status in enumerate(statuses, start=1)),
        previous_fresh=ref("fresh", THURSDAY),
    )


@pytest.mark.parametrize(
    ("statuses", "revision"),
    [
        (["fresh"], 1),
        (["warming"], 1),
        (["superseded", "fresh"], 2),
        (["fresh", "warming"], 1),
        (["fresh", "failed"], 1),
        (["failed", "fresh"], 2),
        (["failed", "warming"], 2),
        (["superseded", "fresh", "warming", "failed"], 2),
        (["superseded", "warming"], 2),
        (["warming", "warming"], 2),
    ],
)
def test_revision_of_the_target_day(statuses: list[str], revision: int) -> None:
    decision = choose_pack(day_of(*statuses))
    assert (decision.asof, decision.pack.revision, decision.warnings) == (FRIDAY, revision, ())
    assert decision.previous_fresh == ref("fresh", THURSDAY)


@pytest.mark.parametrize("asof", [FRIDAY, SATURDAY, SUNDAY])
def test_weekends_ask_for_the_session_before(asof: date) -> None:
    assert choose_pack(day_of("fresh", asof=asof)).asof == FRIDAY


@pytest.mark.parametrize(
    ("facts", "code", "message"),
    [
        (day_of("failed"), Code.PACK_FAILED, "revision 1 failed"),
        (day_of("superseded"), Code.PACK_FAILED, "revision 1 superseded"),
        (day_of("superseded", "failed"), Code.PACK_FAILED, "revision 1 superseded, revision 2 failed"),
        (day_of(asof=MONDAY, session=MONDAY), Code.NO_PACK, "for 2024-01-08"),
        (day_of(asof=SUNDAY), Code.NO_PACK, r"for 2024-01-05 \(the last session at or before 2024-01-07\)"),
        (day_of(asof=date(2024, 1, 1), session=None), Code.NO_PACK, "no session at or before 2024-01-01"),
        (day_of("fresh", asof=date(2024, 2, 1)), Code.NO_PACK, "known from 2024-01-01 to 2024-01-31"),
        (day_of("fresh", asof=date(2023, 12, 31)), Code.NO_PACK, "known from 2024-01-01 to 2024-01-31"),
        (replace(day_of("fresh"), known=None), Code.NO_PACK, "no pricing policy"),
        (replace(day_of(asof=None), newest=None), Code.NO_PACK, "no day has a pack"),
    ],
)
def test_no_pack(facts: PackFacts, code: Code, message: str) -> None:
    with pytest.raises(TerminalError, match=message) as refused:
        choose_pack(facts)
    assert refused.value.code is code


def test_without_a_day_the_newest_that_has_not_failed() -> None:
    assert choose_pack(day_of("fresh", asof=None, session=None)).asof == FRIDAY
    assert choose_pack(day_of("warming", asof=None, session=None)).pack.status is PackStatus.WARMING
    passed_over = choose_pack(replace(day_of("fresh", asof=None, session=None), newest_failed=MONDAY))
    assert passed_over.asof == FRIDAY
    assert passed_over.warnings == ("the pack of 2024-01-08 has failed; 2024-01-05 is the newest day that has not",)


def asked_for(given: PackRef | None, asof: date | None = None, session: date | None = None) -> PackFacts:
    pack_id = given.pack_id if given else UUID(int=1)
    return replace(day_of(asof=asof, session=session), pack_id=pack_id, given=given)


@pytest.mark.parametrize("status", ["fresh", "warming"])
def test_a_given_pack(status: str) -> None:
    decision = choose_pack(asked_for(ref(status)))
    assert (decision.asof, decision.pack, decision.warnings) == (FRIDAY, ref(status), ())


def test_a_given_pack_of_the_day_asked_for() -> None:
    assert choose_pack(asked_for(ref("fresh"), asof=SUNDAY, session=FRIDAY)).asof == FRIDAY


def test_a_given_superseded_pack_comes_with_a_warning() -> None:
    decision = choose_pack(asked_for(ref("superseded")))
    assert decision.pack == ref("superseded")
    assert len(decision.warnings) == 1 and "superseded" in decision.warnings[0]


def test_a_given_pack_of_another_policy_comes_with_a_warning() -> None:
    decision = choose_pack(asked_for(ref("fresh").model_copy(update={"policy": "noon"})))
    assert "policy noon, not close" in decision.warnings[0]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (asked_for(None), Code.UNKNOWN_PACK),
        (asked_for(ref("failed")), Code.PACK_FAILED),
        (asked_for(ref("fresh"), asof=MONDAY, session=MONDAY), Code.INVALID_REQUEST),
    ],
)
def test_a_given_pack_that_cannot_be_used(facts: PackFacts, code: Code) -> None:
    with pytest.raises(TerminalError) as refused:
        choose_pack(facts)
    assert refused.value.code is code
