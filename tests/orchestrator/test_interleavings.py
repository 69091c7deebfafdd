"""Executions under a hostile broker: duplicates, reordering between topics, redelivery after a crash, lost answers.

Whatever the order, there is exactly one result, its digest is the one of the undisturbed run, and the state folded
from rows is the state in memory.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.events import Decision, Event, PublishResult, SendRequest
from orchestrator.execution import Execution
from orchestrator.machine import advance
from orchestrator.pattern import CompiledPattern
from orchestrator.rows import decode_rows, encode_rows
from tests.orchestrator.player import START_MS, Player, noop, pattern_of, resolution
from topics.canonical import digest
from topics.errors import Code
from topics.messages import CapabilityRequest, CapabilityResult, ErrorBody, ExecutionResult, TimerFired

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
PATTERNS = [pattern_of(SEQUENTIAL), pattern_of(PARALLEL)]


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
        if request.attempt == 1 and self.unlucky(0.1):
            self.append("c", failure(request))
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
        if self.random.random() < 0.5:
            self.store(decision)
        if self.random.random() < 0.5:
            self.send(decision)
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

    def send(self, decision: Decision) -> None:
        for emit in decision.emits:
            if isinstance(emit, SendRequest):
                self.agent(emit.request)
            elif isinstance(emit, PublishResult):
                self.results.append(emit.result)

    def run(self) -> None:
        request = Player(self.pattern).request_message()
        for _ in range(1 + self.unlucky(0.5)):
            self.append("r", request)
        for _ in range(2000):
            if self.step():
                continue
            if self.state is None or self.state.is_terminal:
                return
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
@given(st.integers(0, 2**32), st.sampled_from([0, 1]))
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


def test_folding_the_same_events_gives_the_same_bytes() -> None:
    broker = Broker(PATTERNS[1], Random(7), faults_left=0)
    broker.run()
    again = Player(PATTERNS[1])
    for event in sorted((event for log in broker.topics.values() for event in log), key=lambda event: event.at_ms):
        again.play_event(event)
    assert again.rows == broker.rows
