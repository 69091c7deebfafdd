"""Faults the simulation found, each brought about on purpose."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

import simulation.orchestrator
from orchestrator.events import Event, PublishResult
from orchestrator.execution import Outstanding
from orchestrator.limits import Limits
from orchestrator.machine import advance
from orchestrator.rows import decode_rows, encode_rows
from simulation.patterns import registry
from streams.durable.owned import NotOwner
from streams.timers import TimerHeap
from topics.messages import ExecuteRequest, TimerFired

AT_MS = 1_767_225_600_000
USER = UUID(int=7)


def request(name: str, **inputs: int) -> ExecuteRequest:
    return ExecuteRequest(
        tenant="a",
        request_id="1",
        user_id=USER,
        pattern_id=name,
        inputs=inputs,
        submitted_at=datetime.fromtimestamp(AT_MS / 1000, UTC),
    )


def test_rows_are_the_same_whether_or_not_a_recovery_lies_between() -> None:
    limits = Limits()
    pattern = registry(limits).newest("sim_parallel")
    assert pattern is not None
    first = advance(None, Event(request("sim_parallel", n=600), AT_MS, "r:0"), pattern, limits).state
    assert first is not None
    recovered = decode_rows({suffix: payload for suffix, payload in encode_rows(None, first) if payload})
    assert recovered is not None
    fired = TimerFired(execution_id=first.execution_id, tenant="a", due_at_ms=AT_MS + 4_000)
    due = Event(fired, AT_MS + 9_000, "s:0")
    live, replayed = (advance(state, due, pattern, limits).state for state in (first, recovered))
    assert live is not None
    assert replayed is not None
    assert len(live.outstanding) == 4
    assert encode_rows(first, live) == encode_rows(recovered, replayed)


def test_commands_stand_in_one_order() -> None:
    limits = Limits()
    pattern = registry(limits).newest("sim_parallel")
    state = advance(None, Event(request("sim_parallel", n=600), AT_MS, "r:0"), pattern, limits).state
    assert state is not None
    commands = list(state.outstanding.items())
    assert all(isinstance(command, Outstanding) for _, command in commands)
    turned = replace(state, outstanding=dict(reversed(commands)))
    assert encode_rows(None, turned) == encode_rows(None, state)


def test_an_answer_to_a_conflicting_request_is_the_same_each_time() -> None:
    limits = Limits()
    pattern = registry(limits).newest("sim_sequence")
    state = advance(None, Event(request("sim_sequence", n=1), AT_MS, "r:0"), pattern, limits).state
    other = request("sim_sequence", n=2)
    once, again = (
        advance(state, Event(other, AT_MS + later, f"r:{later}"), pattern, limits).emits for later in (10, 5_000)
    )
    assert once == again


def test_a_conflicting_request_that_comes_after_the_deadline_is_answered() -> None:
    limits = Limits()
    pattern = registry(limits).newest("sim_sequence")
    first = request("sim_sequence", n=1).model_copy(update={"deadline_s": 1.0})
    state = advance(None, Event(first, AT_MS, "r:0"), pattern, limits).state
    late = Event(request("sim_sequence", n=2), AT_MS + 2_000, "r:1")
    decision = advance(state, late, pattern, limits)
    assert decision.state is not None
    again = advance(decision.state, late, pattern, limits)
    for emits in (decision.emits, again.emits):
        results = [emit.result for emit in emits if isinstance(emit, PublishResult)]
        assert [result.status for result in results] == ["timed_out", "rejected"]
        assert results[0].execution_id == decision.state.execution_id != results[1].execution_id
    assert again.emits == decision.emits


def test_a_timer_that_was_armed_again_for_later_is_noticed() -> None:
    heap = TimerHeap()
    assert heap.later_than(b"x", 100)
    assert not heap.later_than(b"x", 0)
    heap.arm(b"x", 100)
    assert not heap.later_than(b"x", 100)
    assert heap.pop_due(100, 1) == [b"x"]
    heap.arm(b"x", 900)
    assert heap.later_than(b"x", 100)


class SlowTable(simulation.orchestrator.Table):
    """A table whose changelog confirms when it is told to."""

    def __init__(self) -> None:
        nobody: Any = None
        super().__init__("worker", nobody)
        self.delivery: asyncio.Future[SimpleNamespace] = asyncio.get_running_loop().create_future()

    async def _append(
        self, partition: int, key: bytes, value: bytes | None, headers: object
    ) -> asyncio.Future[SimpleNamespace]:
        return self.delivery


async def test_partitions_closed_while_they_are_taken_over_stay_closed() -> None:
    table = SlowTable()
    taking = asyncio.create_task(table.take_over({0}))
    await asyncio.sleep(0)
    table.close_partitions()
    table.delivery.set_result(SimpleNamespace(timestamp=AT_MS, partition=0, offset=0))
    with pytest.raises(NotOwner):
        await taking
    assert not table.owns(0)
