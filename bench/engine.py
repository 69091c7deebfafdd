"""The pure engine alone: `advance` calls per second, and what a whole event costs with its messages and rows.

Run by `dawsos bench engine [--json]`. No broker, no agents: answers are made up beforehand.
"""

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.events import Event, SendRequest
from orchestrator.execution import Execution
from orchestrator.machine import advance
from orchestrator.pattern import CompiledPattern
from orchestrator.rows import encode_rows
from topics.canonical import digest
from topics.codec import decode, encode
from topics.messages import CapabilityResult, ExecuteRequest, ResultMetadata

_START_MS = 1_767_225_600_000
_USER = UUID("00000000-0000-4000-8000-000000000001")
_SECONDS_PER_ROW = 1.0


def measure(seconds: float = _SECONDS_PER_ROW) -> dict[str, Any]:
    """Return the figures of the engine.

    Args:
        seconds: CPU seconds each row is measured; CPU time, so that other processes do not count.

    Returns:
        `rows`: for each pattern shape its steps, advance calls per second, microseconds per call, and microseconds
        per event with decoding the message, encoding what is sent and encoding the rows.
    """
    rows = [_row(name, pattern, seconds) for name, pattern in _patterns().items()]
    base = rows[0]["advance_us"]
    for row in rows:
        row["ratio_to_10_steps"] = round(row["advance_us"] / base, 2)
    return {"rows": rows}


def main(as_json: bool = False) -> None:
    """Print the figures, as a table or as JSON."""
    figures = measure()
    if as_json:
        print(json.dumps(figures))
        return
    print(f"{'pattern':<22}{'advance/s':>12}{'us/advance':>12}{'us/event':>10}{'ratio':>8}")
    for row in figures["rows"]:
        print(
            f"{row['pattern']:<22}{row['advance_per_s']:>12,}{row['advance_us']:>12}{row['event_us']:>10}"
            f"{row['ratio_to_10_steps']:>8}"
        )


def _patterns() -> dict[str, CompiledPattern]:
    shapes: dict[str, Callable[[int], dict[str, Any]]] = {"sequential": _sequential, "parallel": _parallel}
    sizes = ((10, "sequential"), (10, "parallel"), (3, "sequential"), (500, "sequential"), (500, "parallel"))
    catalogue = Catalogue.from_json(
        {"agents": {"bench": {"version": "1", "capabilities": {"bench.noop": {"version": 1}}}}}
    )
    found = {}
    for count, shape in sizes:
        document = {
            "id": f"bench_{shape}_{count}",
            "name": "Bench",
            "inputs": {"n": {"type": "integer", "required": True}},
            "steps": [{"capability": "bench.noop", **shapes[shape](index)} for index in range(count)],
            "outputs": [f"s{count - 1}"],
        }
        source = json.dumps(document).encode()
        found[f"{count} {shape}"] = compile_pattern(source, catalogue, document["id"])
    return found


def _sequential(index: int) -> dict[str, Any]:
    value = "{{inputs.n}}" if index == 0 else f"{{{{state.s{index - 1}.n}}}}"
    return {"as": f"s{index}", "args": {"n": value}}


def _parallel(index: int) -> dict[str, Any]:
    return {"as": f"s{index}", "args": {"n": "{{inputs.n}}", "k": index}, "parallel": True}


def _row(name: str, pattern: CompiledPattern, seconds: float) -> dict[str, Any]:
    history = _history(pattern)
    advance_us, event_us = [], []
    until = time.process_time() + seconds
    while time.process_time() < until:
        began = time.process_time()
        _fold(pattern, [event for _, event in history])
        middle = time.process_time()
        _fold_whole(pattern, history)
        end = time.process_time()
        advance_us.append((middle - began) / len(history) * 1e6)
        event_us.append((end - middle) / len(history) * 1e6)
    per_call = statistics.median(advance_us)
    return {
        "pattern": name,
        "events": len(history),
        "advance_per_s": round(1e6 / per_call),
        "advance_us": round(per_call, 1),
        "event_us": round(statistics.median(event_us), 1),
    }


def _history(pattern: CompiledPattern) -> list[tuple[bytes, Event]]:
    """Return the events of one execution that succeeds, with their bytes."""
    request = ExecuteRequest(
        tenant="bench",
        request_id="one",
        user_id=_USER,
        pattern_id=pattern.id,
        inputs={"n": 1},
        submitted_at=datetime.fromtimestamp(_START_MS / 1000, tz=UTC),
    )
    events = [(encode(request), Event(request, _START_MS, "r:0"))]
    decision = advance(None, events[0][1], pattern)
    open_requests = [emit.request for emit in decision.emits if isinstance(emit, SendRequest)]
    state = decision.state
    while state is not None and not state.is_terminal:
        command = open_requests.pop(0)
        value = {"n": command.args["n"]}
        at_ms = _START_MS + len(events)
        answer = CapabilityResult(
            execution_id=command.execution_id,
            tenant=command.tenant,
            step_id=command.step_id,
            attempt=command.attempt,
            value=value,
            digest=digest(value),
            metadata=ResultMetadata(
                agent="bench", agent_version="1", version=1, started_at_ms=at_ms, finished_at_ms=at_ms
            ),
        )
        event = Event(answer, at_ms, f"c:{len(events)}")
        events.append((encode(answer), event))
        decision = advance(state, event, pattern)
        state = decision.state
        open_requests.extend(emit.request for emit in decision.emits if isinstance(emit, SendRequest))
    return events


def _fold(pattern: CompiledPattern, events: list[Event]) -> Execution | None:
    state: Execution | None = None
    for event in events:
        state = advance(state, event, pattern).state
    return state


def _fold_whole(pattern: CompiledPattern, history: list[tuple[bytes, Event]]) -> None:
    """Fold as the processor does: decode, advance, encode every row and every message to be sent."""
    state: Execution | None = None
    for data, event in history:
        kind = ExecuteRequest if event.origin.startswith("r") else CapabilityResult
        message = decode(data, kind)
        decision = advance(state, Event(message, event.at_ms, event.origin), pattern)  # type: ignore[arg-type]
        if decision.state is not None:
            encode_rows(state, decision.state)
            state = decision.state
        for emit in decision.emits:
            body = getattr(emit, "request", None) or getattr(emit, "result", None)
            if body is not None:
                encode(body)
