"""Compensation and foreach with a real agent on real Kafka."""

from dataclasses import replace

import pytest

from streams import dead_letter as dlq
from streams.projector import stored_letter
from streams.redrive import Redriver
from tests.streams.system import System, request
from topics.codec import decode, execution_id_of, key_of
from topics.messages import CapabilityRequest, ExecutionStatus
from topics.table import DEAD_LETTERS, capability_requests

pytestmark = pytest.mark.integration

TIMEOUT_S = 60.0


async def test_what_was_done_is_undone_in_reverse_order(system: System) -> None:
    result = await system.client.execute(request("undone"), TIMEOUT_S)
    assert result.status is ExecutionStatus.FAILED
    assert system.probe.written == ["one", "two"]
    assert system.probe.erased == ["two", "one"]
    assert [step.status for step in result.trace.steps] == ["compensated", "compensated", "failed"]


async def test_what_cannot_be_undone_goes_before_people_and_can_be_undone_later(system: System) -> None:
    system.probe.erased.clear()
    system.probe.erasable = False
    asked = request("undone")
    result = await system.client.execute(asked, TIMEOUT_S)
    key = key_of(execution_id_of(asked.tenant, asked.request_id))
    steps = {step.step_id: step for step in result.trace.steps}
    assert steps["two"].status == "compensation_failed" and steps["two"].compensation is not None
    assert steps["two"].compensation.attempts == 2
    letters = await system.read_until(DEAD_LETTERS, lambda found: sum(r.key == key for r in found) >= 2)
    letter = next(each for each in letters if each.key == key and b"two" in dict(each.headers)[dlq.REASON])
    headers = dict(letter.headers)
    topic = system.topic(capability_requests("probe"))
    assert (headers[dlq.STAGE], headers[dlq.ORIGIN_TOPIC]) == (b"compensate", topic.encode())
    undo = decode(letter.value, CapabilityRequest)
    assert isinstance(undo, CapabilityRequest) and undo.args == {"name": "two"}

    system.probe.erasable = True
    redriver = Redriver(system.settings, system.producer)
    stored = stored_letter(letter)
    assert stored.tenant == "acme"
    assert await redriver.send(stored) is None
    assert await redriver.send(replace(stored, origin_partition=99)) == f"{topic} has no partition 99"
    assert "no request any more" in str(await redriver.send(replace(stored, value=b"{}")))
    # The execution is over; a later one shows that its partition goes on.
    await system.client.execute(request(), TIMEOUT_S)
    assert system.probe.erased == ["two"]


@pytest.mark.parametrize("count", [3, 1000])
async def test_each_item_of_a_stored_list_is_picked_where_it_lies(system: System, count: int) -> None:
    result = await system.client.execute(request("each_of_a_stored_list", inputs={"value": count}), TIMEOUT_S)
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    assert result.data == {"echoes": [f"name {number}" for number in range(count)]}
