"""What people see of an execution."""

from datetime import date

import pytest

from orchestrator.execution import Status
from orchestrator.view import view_of
from tests.orchestrator.player import Player, pattern_of
from tests.orchestrator.test_gate import PINNED
from tests.orchestrator.test_machine import STARTS, player
from topics.errors import Code
from topics.messages import ExecutionStatus

DOCUMENTED = {*ExecutionStatus, "queued", "resolving", "waiting_for_pack", "running", "compensating"}


@pytest.mark.parametrize("status", [status for status in STARTS if status is not None])
def test_each_status_shown_is_one_the_documents_name(status: Status) -> None:
    one = STARTS[status]()
    view = view_of(one.state, one.pattern)
    assert view.status in DOCUMENTED
    assert (view.waits_for is None) is (view.status in set(ExecutionStatus))


def test_the_day_asked_for_is_known_before_and_without_its_prices() -> None:
    day = date(1990, 1, 2)
    one = Player(pattern_of(PINNED))
    one.request(asof=day)
    assert view_of(one.state, one.pattern).asof == "1990-01-02"
    one.error("$resolve", code=Code.NO_PACK, retryable=False)
    assert one.status == "rejected"
    assert (one.result.trace.asof, one.result.trace.asof_requested) == (None, day)


@pytest.mark.parametrize(("reason", "said"), [("not needed", "not needed"), ("", "cancelled before it began")])
def test_a_cancel_before_its_request_is_seen_as_its_result_will_be(reason: str, said: str) -> None:
    one = player()
    one.cancel(reason=reason)
    early = view_of(one.state, None)
    assert one.state.status is Status.CANCELLED_EARLY
    assert (early.status, early.error_code, early.error) == (Status.CANCELLED, "CANCELLED", said)
    one.request()
    ended = view_of(one.state, None)
    assert (ended.status, ended.error_code, ended.error) == (early.status, early.error_code, early.error)
