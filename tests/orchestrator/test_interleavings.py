"""Executions under a hostile broker: duplicates, reordering between topics, redelivery after a crash, lost answers.

Whatever the order, there is exactly one result, its digest is the one of the undisturbed run, and the state folded
from rows is the state in memory.
"""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.events import Decision, Event, PublishResult, SendRequest
from orchestrator.execution import Execution, Status
from orchestrator.machine import advance
from orchestrator.pattern import CompiledPattern
from orchestrator.rows import decode_rows, encode_rows
from tests.orchestrator.player import START_MS, USER, Player, noop, pattern_of, resolution
from topics.canonical import digest
from topics.errors import Code
from topics.messages import (
    CancelExecution,
    CapabilityRequest,
    CapabilityResult,
    ErrorBody,
    ExecutionResult,
    StartExecution,
    TimerFired,
)

SEQUENTIAL = {
    "steps": [noop("a"), noop("b", args={"x": "{{state.a.n}}"}), noop("c", condition="has(state.b)")],
    "outputs": ["c"],
}
PARALLEL = {
    "steps": [
        {"capability": "charts.overview", "as": "root"},
        *[noop(f"p{n}", parallel=True, args={"x": "{{state.root.n}}", "k": n}) for n in range(4)],
        noop("skipped", parallel=True, condition="has(state.p0.nothing)"),
        noop("join", args={"all": ["{{state.p0.n}}", "{{state.p3.n}}"]}),
    ],
    "outputs": ["join", "p1", "skipped"],
}
UNDO = {"capability": "t.undo", "args": {"x": "{{inputs.n}}"}}
EFFECTS = {
    "inputs": {"n": {"type": "integer", "default": 1}, "list": {"type": "array", "default": [5, 6, 7]}},
    "steps": [
        noop("a", compensate=UNDO),
        *[noop(f"p{n}", parallel=True, depends_on=["a"], compensate=UNDO) for n in range(3)],
        noop("q", parallel=True),
        noop("each", parallel=True, foreach="inputs.list", concurrency_max=2, args={"x": "{{item}}"}, compensate=UNDO),
        noop("refused", parallel=True, depends_on=["p1"]),
    ],
    "outputs": ["refused"],
}
FANNED = {
    "inputs": {"list": {"type": "array", "default": [1, 2, 3, 4, 5, 6, 7]}},
    "steps": [
        noop("e", foreach="inputs.list", concurrency_max=3, args={"x": "{{item}}", "i": "{{index}}"}),
        noop("f", parallel=True, foreach="state.e", concurrency_max=2, args={"x": "{{item.n}}"}),
        noop("g", parallel=True, args={"x": "{{state.e.2.n}}"}),
        noop("join", args={"all": "{{state.f}}", "g": "{{state.g}}"}),
    ],
    "outputs": ["f", "join"],
}
INLINED = {
    "patterns": {
        "child": {
            "id": "child",
            "name": "C",
            "inputs": {"n": {"type": "string", "required": True}},
            "steps": [
                noop("x", args={"n": "{{inputs.n}}"}),
                noop("y", parallel=True, args={"n": "{{state.x.n}} {{inputs.n}}"}),
                noop("z", condition="has(state.x.nothing) || true"),
            ],
            "outputs": ["y"],
        }
    },
    "steps": [
        noop("a"),
        {"capability": "pattern.child", "as": "one", "parallel": True, "args": {"n": "{{state.a.n}}"}},
        {"capability": "pattern.child", "as": "two", "parallel": True, "args": {"n": "fixed"}},
        noop("join", args={"all": ["{{state.one}}", "{{state.two.y.n}}"]}),
    ],
    "outputs": ["join", "two"],
}
PATTERNS = [pattern_of(SEQUENTIAL), pattern_of(PARALLEL), pattern_of(FANNED), pattern_of(INLINED)]


def answer(request: CapabilityRequest) -> CapabilityResult:
    """Return what an honest, deterministic agent answers."""
    value: Any = {"n": digest([request.step_id, request.args, request.refs])}
    if request.step_id == "$resolve":
        value = resolution()
    return CapabilityResult(
        execution_id=request.execution_id,
        tenant=request.tenant,
        step_id=request.step_id,
        attempt=request.attempt,
        value=value,
        digest=digest(value),
    )


def refusal(request: CapabilityRequest) -> CapabilityResult:
    error = ErrorBody(code=Code.INVALID_ARGS, message="never")
    return answer(request).model_copy(update={"value": None, "digest": None, "error": error})


def failure(request: CapabilityRequest) -> CapabilityResult:
    error = ErrorBody(code=Code.UPSTREAM_FAILED, message="no", retryable=True)
    return answer(request).model_copy(update={"value": None, "digest": None, "error": error})


@dataclass
class Broker:
    """One partition: an ordered log per topic, each read in order, with crashes and repeats in between."""

    pattern: CompiledPattern
    random: Random
    rows: dict[bytes, bytes] = field(default_factory=dict)
    state: Execution | None = None
    topics: dict[str, list[Event]] = field(default_factory=lambda: {"r": [], "c": [], "s": []})
    read: dict[str, int] = field(default_factory=lambda: {"r": 0, "c": 0, "s": 0})
    results: list[ExecutionResult] = field(default_factory=list)
    at_ms: int = START_MS
    faults_left: int = 12
    effects: set[str] = field(default_factory=set)
    cancel_at: int | None = None

    def append(self, letter: str, message: Any) -> None:
        self.at_ms += 1
        log = self.topics[letter]
        log.append(Event(message, self.at_ms, f"{letter}:{len(log)}"))

    def unlucky(self, chance: float) -> bool:
        if self.faults_left and self.random.random() < chance:
            self.faults_left -= 1
            return True
        return False

    def agent(self, request: CapabilityRequest) -> None:
        if self.unlucky(0.1):
            return
        if request.step_id == "refused":
            self.append("c", refusal(request))
            return
        if request.attempt == 1 and self.unlucky(0.1):
            self.append("c", failure(request))
            return
        # What an agent does it does before it answers, and the answer may be lost.
        if request.step_id.startswith("$undo:"):
            self.effects.discard(request.step_id.removeprefix("$undo:"))
        else:
            self.effects.add(request.step_id)
        if self.unlucky(0.1):
            return
        for _ in range(2 if self.unlucky(0.2) else 1):
            self.append("c", answer(request))

    def step(self) -> bool:
        """Process one event of a topic chosen at random; returns whether there was any."""
        waiting = [letter for letter, log in self.topics.items() if self.read[letter] < len(log)]
        if not waiting:
            return False
        letter = self.random.choice(waiting)
        event = self.topics[letter][self.read[letter]]
        event = replace(event, full=letter != "c" and self.unlucky(0.3))
        decision = advance(self.state, event, self.pattern)
        if self.unlucky(0.15):
            self.crash(decision)
            return True
        self.store(decision)
        self.send(decision)
        if self.unlucky(0.1):
            return True
        self.read[letter] += 1
        return True

    def crash(self, decision: Decision) -> None:
        """Lose the process before the event is acknowledged, with or without its rows and messages."""
        stored = self.random.random() < 0.5
        if stored:
            self.store(decision)
        if self.random.random() < 0.5:
            self.send(decision, stored)
        elif decision.state is not None and self.random.random() < 0.5:
            for suffix, payload in encode_rows(self.state, decision.state)[:-1]:
                self.rows[suffix] = payload or b""
        self.state = decode_rows(self.rows)

    def store(self, decision: Decision) -> None:
        if decision.state is None:
            return
        for suffix, payload in encode_rows(self.state, decision.state):
            if payload is not None:
                self.rows[suffix] = payload
        self.state = decision.state
        assert decode_rows(self.rows) == self.state

    def send(self, decision: Decision, stored: bool = True) -> None:
        for emit in decision.emits:
            if isinstance(emit, SendRequest):
                if stored or not emit.after_state:
                    self.agent(emit.request)
            elif isinstance(emit, PublishResult):
                self.results.append(emit.result)

    def run(self) -> None:
        request = Player(self.pattern).request_message()
        for _ in range(1 + self.unlucky(0.5)):
            self.append("r", request)
        for turn in range(2000):
            if turn == self.cancel_at:
                cancel = CancelExecution(execution_id=Player(None).execution_id, tenant="acme", user_id=USER)
                self.append("s", cancel)
            if self.step():
                continue
            if self.state is None or self.state.is_terminal:
                return
            if self.state.status == Status.QUEUED:
                for _ in range(1 + self.unlucky(0.3)):
                    self.append("s", StartExecution(execution_id=self.state.execution_id, tenant="acme"))
                continue
            due_at_ms = self.state.next_due_at_ms()
            assert due_at_ms is not None
            self.at_ms = max(self.at_ms, due_at_ms)
            fired = TimerFired(execution_id=self.state.execution_id, tenant="acme", due_at_ms=due_at_ms)
            self.append("s", fired)
        raise AssertionError("the execution does not end")


def undisturbed(pattern: CompiledPattern) -> ExecutionResult:
    broker = Broker(pattern, Random(0), faults_left=0)
    broker.run()
    (result,) = broker.results
    assert result.status == "succeeded"
    return result


EXPECTED = [undisturbed(pattern) for pattern in PATTERNS]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 2, 3]))
def test_there_is_one_result_and_it_is_the_undisturbed_one(seed: int, which: int) -> None:
    broker = Broker(PATTERNS[which], Random(seed))
    broker.run()
    assert broker.results, f"seed {seed}: no result"
    first, expected = broker.results[0], EXPECTED[which]
    assert all(result == first for result in broker.results), f"seed {seed}: different results"
    if first.status == "succeeded":
        assert first.digest == expected.digest
        assert first.data == expected.data
        assert first.charts == expected.charts
    else:
        assert first.error is not None
        assert first.error.code in (Code.STEP_TIMEOUT, Code.DEADLINE_EXCEEDED, Code.UPSTREAM_FAILED), f"seed {seed}"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.none() | st.integers(1, 40))
def test_whatever_was_done_is_undone_or_reported(seed: int, cancel_at: int | None) -> None:
    broker = Broker(pattern_of(EFFECTS), Random(seed), cancel_at=cancel_at)
    broker.run()
    assert broker.results, f"seed {seed}: no result"
    first = broker.results[0]
    assert all(result == first for result in broker.results), f"seed {seed}: different results"
    assert first.status in ("failed", "cancelled")
    steps = {step.step_id: step for step in first.trace.steps}
    reported = {name for name, step in steps.items() if step.status == "compensation_failed"}
    each = steps["each"].items
    reported |= (
        {f"each[{item.index}]" for item in each.failures if item.status == "compensation_failed"} if each else set()
    )
    assert broker.effects <= reported | {"q"}, f"seed {seed}: {broker.effects} still stand"
    assert not any(step.success for name, step in steps.items() if name != "q")


def test_folding_the_same_events_gives_the_same_bytes() -> None:
    broker = Broker(PATTERNS[1], Random(7), faults_left=0)
    broker.run()
    again = Player(PATTERNS[1])
    for event in sorted((event for log in broker.topics.values() for event in log), key=lambda event: event.at_ms):
        again.play_event(event)
    assert again.rows == broker.rows
