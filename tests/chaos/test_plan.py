"""Mix and faults follow from the seed alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agents.runtime import AgentRuntime, catalogue_of
from chaos.agent import ChaosAgent
from chaos.faults import Kind, schedule
from chaos.mix import PATTERNS, USER, expected_data, plan
from db.memory import MemoryArtifacts
from orchestrator.catalogue import Catalogue
from orchestrator.registry import PatternRegistry
from services.clock import SystemClock
from services.runner import run_in_process
from topics.messages import ExecuteRequest, ExecutionStatus


def test_a_seed_gives_the_same_run_and_another_seed_another_one() -> None:
    assert list(plan(3, 200, 4)) == list(plan(3, 200, 4)) != list(plan(4, 200, 4))
    assert schedule(3, 60) == schedule(3, 60) != schedule(4, 60)


@pytest.mark.parametrize("seconds", [20, 60, 600])
def test_every_kind_of_fault_happens_within_the_time(seconds: float) -> None:
    faults = schedule(1, seconds)
    assert {fault.kind for fault in faults} == set(Kind)
    assert all(0 <= fault.at_s <= seconds for fault in faults)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)


def test_pauses_are_longer_than_the_session_timeout() -> None:
    pauses = [fault for fault in schedule(1, 600) if fault.kind in (Kind.PAUSE_AGENTS, Kind.PAUSE_ORCHESTRATOR)]
    assert pauses and all(fault.lasts_s > 7 for fault in pauses)


def test_a_mix_has_every_pattern_and_asks_for_known_days_only() -> None:
    planned = list(plan(1, 500, 5))
    assert {each.pattern_id for each in planned} == {path.stem for path in PATTERNS.glob("*.json")}
    assert {each.day for each in planned if each.day is not None} == set(range(5))
    assert any(each.repeated for each in planned)
    assert {each.cancelled_early for each in planned if each.cancelled} == {True, False}
    assert len({each.request_id for each in planned}) == 500


@pytest.mark.parametrize(
    ("pattern_id", "inputs"),
    [
        ("chaos_sequence", {"n": 5}),
        ("chaos_parallel", {"n": 5}),
        ("chaos_foreach", {"count": 7, "padded": False}),
        ("chaos_foreach", {"count": 50, "padded": True}),
        ("chaos_undo", {"n": 5}),
        ("chaos_large", {"n": 5}),
        ("chaos_nested", {"n": 5}),
    ],
)
async def test_the_checker_expects_what_the_patterns_answer(pattern_id: str, inputs: dict[str, Any]) -> None:
    registry = PatternRegistry.compile(
        ((str(path), path.read_bytes()) for path in sorted(PATTERNS.glob("*.json")) if path.stem != "chaos_gate"),
        Catalogue.from_json(catalogue_of([ChaosAgent])),
    )
    pattern = registry.newest(pattern_id)
    assert pattern is not None
    request = ExecuteRequest(
        tenant="t",
        request_id="r",
        user_id=USER,
        pattern_id=pattern_id,
        inputs=inputs,
        submitted_at=datetime.now(UTC),
    )
    runtime = AgentRuntime([ChaosAgent()], MemoryArtifacts(), None, None, SystemClock().now_ms)
    result = await run_in_process(request, pattern, runtime)
    expected = expected_data(pattern_id, inputs, None)
    if expected is None:
        assert result.status is ExecutionStatus.FAILED
        assert [step.status for step in result.trace.steps][:2] == ["compensated", "compensated"]
    else:
        assert result.status is ExecutionStatus.SUCCEEDED, result.error
        assert result.data == expected
