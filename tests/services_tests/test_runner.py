"""The in-process runner: retries and deadlines by an injected clock, ready steps at the same time, equal digests."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from agents.runtime import AgentRuntime, catalogue_of
from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.pattern import CompiledPattern
from services.clock import SystemClock
from services.local_artifacts import LocalArtifacts
from services.runner import run_in_process
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import ExecuteRequest, ExecutionResult, ExecutionStatus

START_MS = 1_700_000_000_000
USER = UUID("00000000-0000-4000-8000-000000000001")


class LeapingClock:
    """Time that passes only when somebody waits for it, and then at once."""

    def __init__(self) -> None:
        self.now = START_MS
        self.waited: list[int] = []
        self.leap = True

    def now_ms(self) -> int:
        return self.now

    async def wait_until(self, at_ms: int) -> None:
        if not self.leap:
            await asyncio.Event().wait()
        # Work that needs no waiting comes first.
        for _ in range(20):
            await asyncio.sleep(0)
        self.waited.append(at_ms - START_MS)
        self.now = max(self.now, at_ms)


class StageAgent(BaseAgent):
    name = "stage"

    def __init__(self, act: Callable[[int], Any] = lambda call: call) -> None:
        self.act = act
        self.calls = 0
        self.together = asyncio.Barrier(2)

    @capability("stage.act", retry=Retry(attempts_max=3, backoff_s=1.0, factor=2.0))
    async def act_(self, context: CapabilityContext, value: Any = None) -> Any:
        """Do what the test says."""
        self.calls += 1
        found = self.act(self.calls)
        if isinstance(found, Exception):
            raise found
        return found

    @capability("stage.meet")
    async def meet(self, context: CapabilityContext, value: Any = None) -> str:
        """Answer only when another call is under way at the same time."""
        await self.together.wait()
        return "met"

    @capability("stage.hang", timeout_s=3600.0)
    async def hang(self, context: CapabilityContext) -> str:
        """Never answer."""
        await asyncio.Event().wait()
        return ""


def compiled(*steps: dict[str, Any], **fields: Any) -> CompiledPattern:
    pattern = {"id": "p", "name": "P", "steps": list(steps), "outputs": [step["as"] for step in steps], **fields}
    return compile_pattern(json.dumps(pattern).encode(), Catalogue.from_json(catalogue_of([StageAgent])), "p.json")


async def run(agent: StageAgent, pattern: CompiledPattern, clock: Any, **fields: Any) -> ExecutionResult:
    runtime = AgentRuntime([agent], LocalArtifacts(), None, None, clock.now_ms)
    submitted = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    request = ExecuteRequest(tenant="t", request_id="r", user_id=USER, pattern_id="p", submitted_at=submitted, **fields)
    return await run_in_process(request, pattern, runtime, clock)


ACT = {"capability": "stage.act", "as": "a"}


async def test_a_retryable_failure_is_tried_again_after_its_backoff() -> None:
    clock, failure = LeapingClock(), RetryableError(Code.UPSTREAM_FAILED, "busy")
    agent = StageAgent(lambda call: failure if call < 3 else "third")
    result = await run(agent, compiled(ACT), clock)
    assert result.status is ExecutionStatus.SUCCEEDED and result.data == {"a": "third"}
    assert result.trace.steps[0].attempts == 3 and agent.calls == 3
    # Two pauses of about 1 s and 2 s; the engine spreads them a little.
    assert 1_500 < clock.now - START_MS < 6_000


async def test_attempts_end_and_the_last_error_is_reported() -> None:
    clock = LeapingClock()
    agent = StageAgent(lambda call: RetryableError(Code.UPSTREAM_FAILED, f"busy {call}"))
    result = await run(agent, compiled(ACT), clock)
    assert result.status is ExecutionStatus.FAILED and agent.calls == 3
    assert result.error is not None and result.error.code is Code.UPSTREAM_FAILED and "busy 3" in result.error.message


async def test_a_terminal_failure_is_not_tried_again() -> None:
    clock, agent = LeapingClock(), StageAgent(lambda call: TerminalError(Code.MISSING_FX, "no rate"))
    result = await run(agent, compiled(ACT), clock)
    assert result.status is ExecutionStatus.FAILED and agent.calls == 1 and clock.now == START_MS


async def test_a_deadline_ends_what_hangs() -> None:
    clock = LeapingClock()
    pattern = compiled({"capability": "stage.hang", "as": "a"})
    result = await run(StageAgent(), pattern, clock, deadline_s=5.0)
    assert result.status is ExecutionStatus.TIMED_OUT
    assert clock.now - START_MS == 5_000


async def test_ready_steps_run_at_the_same_time() -> None:
    clock = LeapingClock()
    clock.leap = False
    steps = [{"capability": "stage.meet", "as": name, "parallel": True} for name in ("a", "b")]
    async with asyncio.timeout(10):
        result = await run(StageAgent(), compiled(*steps), clock)
    assert result.data == {"a": "met", "b": "met"}


async def test_steps_follow_their_references() -> None:
    second = {"capability": "stage.act", "as": "b", "args": {"value": "{{state.a}}"}}
    result = await run(StageAgent(), compiled(ACT, second), LeapingClock())
    assert result.data == {"a": 1, "b": 2}
    assert result.trace.steps[1].args == {"value": 1}


async def test_the_digest_knows_neither_time_nor_attempts() -> None:
    failure = RetryableError(Code.UPSTREAM_FAILED, "busy")
    once = await run(StageAgent(lambda call: "x"), compiled(ACT), LeapingClock())
    late = LeapingClock()
    late.now += 86_400_000
    twice = await run(StageAgent(lambda call: failure if call == 1 else "x"), compiled(ACT), late)
    assert once.digest == twice.digest and once.finished_at_ms != twice.finished_at_ms


@pytest.mark.parametrize("value", [None, "text", [1, 2], {"deep": [{"a": "1.5"}]}, "x" * 20_000])
async def test_values_pass_from_step_to_step_unchanged(value: Any) -> None:
    echo = {"capability": "stage.act", "as": "b", "args": {"value": "{{state.a}}"}}
    seen: list[Any] = []

    class Listener(StageAgent):
        name = "stage"

        @capability("stage.act")
        async def act_(self, context: CapabilityContext, value: Any = None) -> Any:
            """Answer with what came, or begin."""
            seen.append(value)
            return self.act(0) if len(seen) == 1 else value

    result = await run(Listener(lambda call: value), compiled(ACT, echo), LeapingClock())
    assert result.error is None and seen[1] == value and result.data["b"] == value


async def test_the_machines_clock_waits_for_moments() -> None:
    clock = SystemClock()
    at_ms = clock.now_ms() + 5
    await clock.wait_until(at_ms)
    assert clock.now_ms() >= at_ms - 1
    await clock.wait_until(0)
