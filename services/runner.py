"""One execution in this process: the pure engine and the agent runtime without Kafka between them.

The same pattern, engine and agents as over Kafka, so the same digests. Ready steps run concurrently; retries, backoff
and deadlines come from the engine's timers and follow the clock that is passed in.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from orchestrator.events import Event, EventMessage, PublishResult, SendRequest, StartTimer, WatchPack
from orchestrator.execution import Execution
from orchestrator.machine import advance, internal_failure
from orchestrator.pattern import CompiledPattern
from services.clock import Clock, SystemClock
from topics.codec import execution_id_of
from topics.messages import (
    CapabilityRequest,
    CapabilityResult,
    ExecuteRequest,
    ExecutionResult,
    GateOpened,
    PackRef,
    TimerFired,
)

Progress = Callable[[str, str], None]
"""Called with (step id, `requested` | `succeeded` | `failed`)."""


class Answers(Protocol):
    """What answers requests: an `agents.runtime.AgentRuntime`, or a record of earlier answers."""

    async def handle(self, request: CapabilityRequest) -> CapabilityResult:
        """Answer; an error is an answer too."""
        ...


Watch = Callable[[UUID], Awaitable[PackRef]]
"""Returns when a pack is no longer warming."""


async def run_in_process(
    request: ExecuteRequest,
    pattern: CompiledPattern,
    runtime: Answers,
    clock: Clock | None = None,
    *,
    on_progress: Progress | None = None,
    watch: Watch | None = None,
) -> ExecutionResult:
    """Execute a pattern and return its result; a failure is a result too.

    Args:
        request: what to execute; `pattern_id` is not looked up, `pattern` counts.
        pattern: compiled against the runtime's catalogue.
        runtime: agents that answer.
        clock: the machine's by default.
        on_progress: told about every request and every answer.
        watch: for the gate policy `wait`; without it a warming pack is waited for in vain.
    """
    run = _Run(request, pattern, runtime, clock or SystemClock(), on_progress, watch)
    try:
        return await run.result()
    finally:
        run.close()


class _Run:
    """The shell around `advance`: an inbox, answers under way, and due timers."""

    def __init__(
        self,
        request: ExecuteRequest,
        pattern: CompiledPattern,
        runtime: Answers,
        clock: Clock,
        on_progress: Progress | None,
        watch: Watch | None,
    ) -> None:
        self._pattern = pattern
        self._runtime = runtime
        self._clock = clock
        self._on_progress = on_progress
        self._watch = watch
        self._execution_id = execution_id_of(request.tenant, request.request_id)
        self._tenant = request.tenant
        self._state: Execution | None = None
        self._inbox: deque[EventMessage] = deque([request])
        self._events = 0
        self._work: set[asyncio.Task[EventMessage]] = set()
        self._due: list[int] = []

    async def result(self) -> ExecutionResult:
        """Drive the execution to its end."""
        while True:
            while self._inbox:
                result = self._turn(self._inbox.popleft())
                if result is not None:
                    return result
            await self._wait()

    def close(self) -> None:
        """Stop what is still under way; nobody waits for it any more."""
        for task in self._work:
            task.cancel()

    def _turn(self, message: EventMessage) -> ExecutionResult | None:
        letter = {ExecuteRequest: "r", CapabilityResult: "c"}.get(type(message), "s")
        self._events += 1
        event = Event(message, self._clock.now_ms(), f"{letter}:{self._events}")
        try:
            decision = advance(self._state, event, self._pattern)
        except Exception as error:
            decision = internal_failure(self._state, event, self._pattern, f"{type(error).__name__}: {error}")
        if decision.state is not None:
            self._state = decision.state
        for emit in decision.emits:
            match emit:
                case SendRequest(request=command):
                    self._tell(command.step_id, "requested")
                    self._start(self._runtime.handle(command))
                case StartTimer(due_at_ms=due_at_ms):
                    heapq.heappush(self._due, due_at_ms)
                case WatchPack(pack_id=pack_id):
                    if self._watch is not None:
                        self._start(self._opened(self._watch, pack_id))
                case PublishResult(result=result):
                    return result
        return None

    async def _wait(self) -> None:
        """Wait for the next answer or the next due timer, whichever comes first."""
        timer: asyncio.Task[None] | None = None
        if self._due:
            timer = asyncio.ensure_future(self._clock.wait_until(self._due[0]))
        waiting = {*self._work, *([timer] if timer else [])}
        assert waiting, "an execution without a result has work under way or a timer"
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if timer is not None:
                timer.cancel()
        for task in [task for task in self._work if task.done()]:
            self._work.discard(task)
            message = task.result()
            if isinstance(message, CapabilityResult):
                self._tell(message.step_id, "failed" if message.error else "succeeded")
            self._inbox.append(message)
        now_ms = self._clock.now_ms()
        while self._due and self._due[0] <= now_ms:
            due_at_ms = heapq.heappop(self._due)
            self._inbox.append(TimerFired(execution_id=self._execution_id, tenant=self._tenant, due_at_ms=due_at_ms))

    def _start(self, work: Awaitable[EventMessage]) -> None:
        self._work.add(asyncio.ensure_future(work))

    async def _opened(self, watch: Watch, pack_id: UUID) -> EventMessage:
        return GateOpened(execution_id=self._execution_id, tenant=self._tenant, pack=await watch(pack_id))

    def _tell(self, step_id: str, status: str) -> None:
        if self._on_progress is not None:
            self._on_progress(step_id, status)
