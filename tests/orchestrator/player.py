"""Plays events to the engine and keeps what it answers; checks after every event what must always hold."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.events import (
    DeadLetter,
    Decision,
    Emit,
    Event,
    EventMessage,
    Note,
    PublishResult,
    SendRequest,
    StartTimer,
)
from orchestrator.execution import Execution
from orchestrator.limits import DEFAULT_LIMITS, Limits
from orchestrator.machine import advance
from orchestrator.pattern import CompiledPattern
from orchestrator.rows import decode_rows, encode_rows
from topics.canonical import digest
from topics.codec import execution_id_of
from topics.errors import Code
from topics.messages import (
    CancelExecution,
    CapabilityRequest,
    CapabilityResult,
    ErrorBody,
    ExecuteRequest,
    ExecutionResult,
    GateOpened,
    PackRef,
    Projection,
    ResultMetadata,
    StartExecution,
    TimerFired,
)

GOLDEN = Path(__file__).parent / "golden"
START_MS = 1_767_225_600_000
USER = UUID("00000000-0000-4000-8000-000000000001")
OTHER_USER = UUID("00000000-0000-4000-8000-000000000002")
PORTFOLIO = UUID("00000000-0000-4000-8000-0000000000aa")
PACK = UUID("00000000-0000-4000-8000-0000000000b1")
OLD_PACK = UUID("00000000-0000-4000-8000-0000000000b0")
NEW_PACK = UUID("00000000-0000-4000-8000-0000000000b2")
SHA = "ab" * 32
COMMIT = "c0" * 20

_LIST = {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "object"}}}}
_VALUED = {
    "type": "object",
    "properties": {
        "total": {"type": "string", "format": "decimal"},
        "count": {"type": "integer"},
        "label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "ok": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"weight": {"type": "number"}}}},
    },
}
_ARGS = {
    "type": "object",
    "properties": {"portfolio_id": {"type": "string"}, "limit": {"type": "integer", "maximum": 100}},
    "required": ["portfolio_id"],
}


def capability(**changes: Any) -> dict[str, Any]:
    return {"version": 1, "timeout_s": 30.0, "input_schema": {}, "output_schema": {}, **changes}


CATALOGUE = Catalogue.from_json(
    {
        "agents": {
            "analyst": {
                "version": "1.0.0",
                "capabilities": {
                    "context.resolve": capability(timeout_s=5.0),
                    "ledger.positions": capability(
                        needs=["ledger", "portfolio"], input_schema=_ARGS, output_schema=_LIST
                    ),
                    "pricing.apply_pack": capability(version=2, needs=["pack"], output_schema=_VALUED),
                    "charts.overview": capability(needs=["pack"]),
                },
            },
            "tester": {
                "version": "1.0.0",
                "capabilities": {
                    "t.noop": capability(),
                    "t.undo": capability(retry={"attempts_max": 2, "backoff_s": 1.0, "factor": 2.0, "cap_s": 10.0}),
                    "t.typed": capability(output_schema=_VALUED),
                    "t.flaky": capability(retry={"attempts_max": 3, "backoff_s": 1.0, "factor": 2.0, "cap_s": 10.0}),
                },
            },
        }
    }
)


def pattern_of(document: dict[str, Any], catalogue: Catalogue = CATALOGUE) -> CompiledPattern:
    whole = {"id": "p", "name": "P", "outputs": [], **document}
    return compile_pattern(json.dumps(whole).encode(), catalogue, "p.json")


def noop(as_: str, **more: Any) -> dict[str, Any]:
    return {"capability": "t.noop", "as": as_, **more}


def pack(pack_id: UUID = PACK, status: str = "fresh", day: str = "2026-01-02") -> dict[str, Any]:
    content = {} if status in ("warming", "failed") else {"content_sha256": SHA}
    return {
        "pack_id": str(pack_id),
        "policy": "eod",
        "asof_date": day,
        "revision": 1,
        "status": status,
        **content,
    }


def resolution(status: str = "fresh", previous: bool = True, pack_id: UUID = PACK) -> dict[str, Any]:
    old = {"previous_fresh": pack(OLD_PACK, "fresh", "2025-12-31")} if previous else {}
    return {
        "asof": "2026-01-02",
        "portfolio_id": str(PORTFOLIO),
        "base_ccy": "CAD",
        "benchmark_id": "SP500",
        "ledger_commit_hash": COMMIT,
        "pack": pack(pack_id, status),
        **old,
    }


class Player:
    """One execution under test."""

    def __init__(self, pattern: CompiledPattern | None, limits: Limits = DEFAULT_LIMITS) -> None:
        self.pattern = pattern
        self.limits = limits
        self.state: Execution | None = None
        self.rows: dict[bytes, bytes] = {}
        self.at_ms = START_MS
        self.offset = 0
        self.execution_id = execution_id_of("acme", "req-1")
        self.last = Decision(None)
        self.events: list[Event] = []
        self.history: list[dict[str, Any]] = []

    # --- events ---

    def play(self, message: EventMessage, at_ms: int | None = None, full: bool = False) -> Decision:
        letter = {ExecuteRequest: "r", CapabilityResult: "c"}.get(type(message), "s")
        self.offset += 1
        at_ms = self.at_ms if at_ms is None else at_ms
        return self.play_event(Event(message, at_ms, f"{letter}:{self.offset}", full))

    def play_event(self, event: Event) -> Decision:
        before = self.state
        decision = advance(before, event, self.pattern, self.limits)
        assert decision == advance(before, event, self.pattern, self.limits), "the same event decided differently"
        self.events.append(event)
        self.last = decision
        if decision.state is not None:
            for suffix, payload in encode_rows(before, decision.state):
                if payload is None:
                    self.rows.pop(suffix, None)
                else:
                    self.rows[suffix] = payload
            self.state = decision.state
            stored = decode_rows(self.rows)
            assert stored == self.state, "the rows hold another execution"
            assert stored is not None
            assert encode_rows(None, stored)[-1] == encode_rows(None, self.state)[-1]
        self.history.append(
            {
                "event": {**event.message.model_dump(mode="json", exclude_defaults=True), "type": event.message.type},
                "after_ms": event.at_ms - START_MS,
                "origin": event.origin,
                "status": self.state.status.value if self.state else None,
                "note": decision.note,
                "emits": [shown_emit(emit) for emit in decision.emits],
            }
        )
        return decision

    def again(self) -> Decision:
        """Deliver the last event once more."""
        return self.play_event(self.events[-1])

    def request(self, **changes: Any) -> Decision:
        return self.play(self.request_message(**changes))

    def request_message(self, **changes: Any) -> ExecuteRequest:
        given: dict[str, Any] = {
            "tenant": "acme",
            "request_id": "req-1",
            "user_id": USER,
            "pattern_id": "p",
            "submitted_at": datetime.fromtimestamp(self.at_ms / 1000, tz=UTC),
        }
        return ExecuteRequest(**{**given, **changes})

    def resolved(self, value: dict[str, Any] | None = None, attempt: int = 1) -> Decision:
        return self.answer("$resolve", resolution() if value is None else value, attempt)

    def answer(self, step_id: str, value: Any = None, attempt: int = 1, **changes: Any) -> Decision:
        return self.play(self.answer_message(step_id, value, attempt, **changes))

    def _version(self, step_id: str) -> int:
        """The version the step was asked for in."""
        if step_id == "$resolve" and self.pattern.resolve is not None:
            return self.pattern.resolve.version
        target = self.pattern.target(step_id)
        if target is None:
            return 1
        undo = target.step.compensate
        return undo.version if target.undo and undo is not None else target.step.version

    def answer_message(self, step_id: str, value: Any = None, attempt: int = 1, **changes: Any) -> CapabilityResult:
        given: dict[str, Any] = {
            "execution_id": self.execution_id,
            "tenant": "acme",
            "step_id": step_id,
            "attempt": attempt,
            "value": value,
            "digest": digest(value),
            "metadata": ResultMetadata(
                agent="tester",
                agent_version="1.0.0",
                version=self._version(step_id),
                sources=(f"made:{step_id}",),
                cache="miss",
                started_at_ms=self.at_ms,
                finished_at_ms=self.at_ms,
            ),
        }
        return CapabilityResult(**{**given, **changes})

    def stored(self, step_id: str, sha256: str, **projections: Projection) -> Decision:
        return self.answer(
            step_id,
            None,
            refs={"": sha256},
            digest=sha256,
            projections={name.replace("__", "."): item for name, item in projections.items()},
        )

    def error(
        self,
        step_id: str,
        attempt: int = 1,
        code: Code = Code.UPSTREAM_FAILED,
        retryable: bool = True,
        retry_after_s: float | None = None,
    ) -> Decision:
        body = ErrorBody(code=code, message="it broke", retryable=retryable, retry_after_s=retry_after_s)
        return self.play(
            CapabilityResult(
                execution_id=self.execution_id, tenant="acme", step_id=step_id, attempt=attempt, error=body
            )
        )

    def timer(self, at_ms: int) -> Decision:
        self.at_ms = at_ms
        return self.play(TimerFired(execution_id=self.execution_id, tenant="acme", due_at_ms=at_ms))

    def gate(self, pack_id: UUID = PACK, status: str = "fresh", day: str = "2026-01-02") -> Decision:
        opened = PackRef.model_validate_json(json.dumps(pack(pack_id, status, day)))
        return self.play(GateOpened(execution_id=self.execution_id, tenant="acme", pack=opened))

    def start(self) -> Decision:
        return self.play(StartExecution(execution_id=self.execution_id, tenant="acme"))

    def cancel(self, user: UUID = USER, reason: str = "") -> Decision:
        return self.play(CancelExecution(execution_id=self.execution_id, tenant="acme", user_id=user, reason=reason))

    # --- what came of it ---

    @property
    def sent(self) -> list[CapabilityRequest]:
        return [emit.request for emit in self.last.emits if isinstance(emit, SendRequest)]

    @property
    def sent_ids(self) -> list[str]:
        return [request.step_id for request in self.sent]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [emit for emit in self.last.emits if isinstance(emit, DeadLetter)]

    @property
    def timers(self) -> list[int]:
        return [emit.due_at_ms - START_MS for emit in self.last.emits if isinstance(emit, StartTimer)]

    @property
    def result(self) -> ExecutionResult:
        results = [emit.result for emit in self.last.emits if isinstance(emit, PublishResult)]
        assert len(results) == 1, self.last
        others = [emit for emit in self.last.emits if not isinstance(emit, PublishResult)]
        assert all(isinstance(emit, DeadLetter) for emit in others), "only dead letters come with a result"
        assert self.last.emits[-1] == PublishResult(results[0]), "the result comes last"
        return results[0]

    @property
    def status(self) -> str:
        assert self.state is not None
        return self.state.status.value

    def ignored(self, note: Note) -> None:
        assert (self.last.state, self.last.note) == (None, note)
        assert not self.last.emits


def shown_emit(emit: Emit) -> Any:
    """Return an emit as JSON for golden files."""
    match emit:
        case SendRequest(agent=agent, request=request):
            return {"SendRequest": {"agent": agent, **request.model_dump(mode="json", exclude_defaults=True)}}
        case PublishResult(result=result):
            return {"PublishResult": result.model_dump(mode="json", by_alias=True, exclude_none=True)}
        case StartTimer(due_at_ms=due_at_ms):
            return {"StartTimer": {"after_ms": due_at_ms - START_MS}}
        case DeadLetter(step_id=step_id, reason=reason, agent=agent, request=request):
            body = None if request is None else request.model_dump(mode="json", exclude_defaults=True)
            return {"DeadLetter": {"step_id": step_id, "reason": reason, "agent": agent, "request": body}}
    return {"WatchPack": {"pack_id": str(emit.pack_id)}}


def check_golden(name: str, text: str) -> None:
    """Compare with the file, or rewrite it when UPDATE_GOLDEN is set."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing: run with UPDATE_GOLDEN=1 and read the diff"
    assert text == path.read_text(), f"{path.name} differs: run with UPDATE_GOLDEN=1 and read the diff"
