"""Recorded histories: the same events must give the same emits, byte for byte. UPDATE_GOLDEN=1 records anew."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.orchestrator.player import (
    NEW_PACK,
    PORTFOLIO,
    START_MS,
    Player,
    check_golden,
    noop,
    pattern_of,
    resolution,
)
from topics.messages import Gate, GatePolicy

OVERVIEW: dict[str, Any] = {
    "inputs": {"portfolio_id": {"type": "uuid", "required": True}},
    "steps": [
        {"capability": "ledger.positions", "as": "positions", "args": {"portfolio_id": "{{inputs.portfolio_id}}"}},
        {"capability": "pricing.apply_pack", "as": "valued", "args": {"positions": "{{state.positions}}"}},
        noop("note", condition="state.valued.total > 1000", args={"text": "{{ctx.asof}}: {{state.valued.total}}"}),
        {"capability": "charts.overview", "as": "charts", "args": {"valued": "{{state.valued}}"}},
    ],
    "outputs": ["valued", "note", "charts"],
}


def succeeded() -> Player:
    one = Player(pattern_of(OVERVIEW))
    one.request(portfolio_id=PORTFOLIO)
    one.resolved()
    one.answer("positions", {"items": [{"symbol": "AAPL"}]})
    one.answer("valued", {"total": "1000.01", "count": 1})
    one.answer("note", "noted")
    one.answer("charts", [{"mark": "line"}])
    return one


def waited_and_superseded() -> Player:
    one = Player(pattern_of(OVERVIEW))
    one.request(portfolio_id=PORTFOLIO, gate=Gate(policy=GatePolicy.WAIT, wait_s=60.0))
    one.resolved(resolution("warming"))
    one.again()
    one.gate(status="superseded")
    one.resolved(resolution("warming", pack_id=NEW_PACK), attempt=2)
    one.gate(NEW_PACK)
    one.cancel(reason="enough")
    return one


def retried_and_failed() -> Player:
    document = {"steps": [noop("a", parallel=True), {"capability": "t.flaky", "as": "b"}], "outputs": ["b"]}
    one = Player(pattern_of(document))
    one.request()
    one.answer("a", 1)
    for attempt in (1, 2, 3):
        one.error("b", attempt)
        if one.state is not None and not one.state.is_terminal:
            one.timer(one.state.next_due_at_ms() or 0)
    return one


def stale_and_skipped() -> Player:
    one = Player(pattern_of(OVERVIEW))
    one.request(inputs={"portfolio_id": str(PORTFOLIO)}, gate=Gate(policy=GatePolicy.SERVE_STALE))
    one.resolved(resolution("warming"))
    one.answer("positions", {"items": []})
    one.answer("valued", {"total": "0", "count": 0})
    one.answer("charts", [])
    return one


def timed_out() -> Player:
    one = Player(pattern_of({"steps": [noop("a", timeout_s=100)], "outputs": ["a"]}))
    one.request(deadline_s=10.0)
    one.timer(START_MS + 9_000)
    one.timer(START_MS + 10_000)
    one.answer("a", "late")
    return one


def compensated() -> Player:
    undo = {"capability": "t.undo", "args": {"id": "{{state.a.id}}"}}
    steps = [noop("a", compensate=undo), noop("b", parallel=True, compensate={"capability": "t.undo"}), noop("c")]
    one = Player(pattern_of({"steps": steps, "outputs": ["c"]}))
    one.request()
    one.answer("a", {"id": "A1"})
    one.cancel(reason="enough")
    one.answer("b", "done after all")
    one.error("$undo:b", retryable=False)
    one.answer("$undo:a")
    one.again()
    return one


HISTORIES: list[Callable[[], Player]] = [
    succeeded,
    waited_and_superseded,
    retried_and_failed,
    stale_and_skipped,
    timed_out,
    compensated,
]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
def test_history(history: Callable[[], Player]) -> None:
    text = json.dumps(history().history, indent=1, ensure_ascii=False)
    check_golden(f"history_{history.__name__}.json", text + "\n")
