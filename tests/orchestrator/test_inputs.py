"""Inputs of a request against the pattern's declarations."""

from typing import Any
from uuid import UUID

import pytest

from tests.orchestrator.player import PORTFOLIO, Player, noop, pattern_of
from topics.errors import Code

DECLARED = {
    "portfolio_id": {"type": "uuid", "required": True},
    "limit": {"type": "integer", "default": 10, "minimum": 1, "maximum": 100},
    "day": {"type": "date"},
    "amount": {"type": "decimal"},
    "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    "years": {"type": "array", "items": {"type": "integer"}},
    "box": {"type": "object", "properties": {"x": {"type": "number", "required": True}}},
}
PATTERN = pattern_of({"inputs": DECLARED, "steps": [noop("a", args={"all": "{{inputs.limit}}"})]})


def asked(inputs: dict[str, Any], portfolio_id: UUID | None = None) -> Player:
    one = Player(PATTERN)
    one.request(inputs=inputs, portfolio_id=portfolio_id)
    return one


def test_defaults_and_nulls() -> None:
    one = asked({"portfolio_id": str(PORTFOLIO).upper(), "mode": None})
    assert one.state is not None
    assert one.state.admission is not None
    assert one.state.admission.inputs == {
        "portfolio_id": str(PORTFOLIO),
        "limit": 10,
        "day": None,
        "amount": None,
        "mode": "a",
        "tags": None,
        "years": None,
        "box": None,
    }
    assert one.sent[0].args == {"all": 10}


def test_a_whole_number_is_an_integer_however_json_writes_it() -> None:
    """JSON Schema calls 5.0 an integer; capabilities and templates get 5."""
    one = asked({"portfolio_id": str(PORTFOLIO), "limit": 5.0, "years": [2012.0, 3], "box": {"x": 2.0}})
    assert one.state is not None and one.state.admission is not None
    inputs = one.state.admission.inputs
    assert [repr(inputs[name]) for name in ("limit", "years", "box")] == ["5", "[2012, 3]", "{'x': 2.0}"]
    assert repr(one.sent[0].args["all"]) == "5"


def test_the_request_s_portfolio_fills_the_input_and_the_other_way_round() -> None:
    one = asked({}, PORTFOLIO)
    two = asked({"portfolio_id": str(PORTFOLIO)})
    for each in (one, two):
        assert each.state is not None
        assert each.state.admission is not None
        assert each.state.admission.inputs["portfolio_id"] == str(PORTFOLIO)
        assert each.state.admission.portfolio_id == PORTFOLIO


@pytest.mark.parametrize(
    ("inputs", "faults"),
    [
        ({}, ["/portfolio_id: expected a portfolio: the pattern needs one"]),
        ({"portfolio_id": "x"}, ["/inputs/portfolio_id: expected a UUID, got 'x'"]),
        ({"portfolio_id": 7}, ["/inputs/portfolio_id: expected a text, got 7"]),
        ({"limit": 0}, ["/inputs/limit: expected at least 1, got 0"]),
        ({"limit": 1.5}, ["/inputs/limit: expected an integer, got 1.5"]),
        ({"limt": 5}, ["/inputs/limt: unknown name 'limt'; nearest: limit"]),
        ({"day": "2026-02-30"}, ["/inputs/day: expected a date, got '2026-02-30'"]),
        ({"day": "2026-02-03\n"}, None),
        ({"amount": 1.5}, None),
        ({"amount": "1e5"}, None),
        ({"amount": "١"}, None),
        ({"mode": "c"}, None),
        ({"tags": ["a", "b", "c"]}, None),
        ({"tags": [1]}, None),
        ({"box": {}}, None),
        ({"box": {"x": 1, "y": 2}}, None),
        ({"limit": 0, "mode": "c", "zzz": 1, "day": 5}, None),
    ],
)
def test_everything_wrong_is_told_at_once(inputs: dict[str, Any], faults: list[str] | None) -> None:
    one = asked({"portfolio_id": str(PORTFOLIO), **inputs} if inputs else inputs)
    error = one.result.error
    assert error is not None
    assert error.code == Code.INVALID_INPUT
    told = [f"{fault['pointer']}: {fault['message']}" for fault in error.details["faults"]]
    if faults is not None:
        assert told == faults
    pointers = [fault["pointer"].split("/") for fault in error.details["faults"]]
    assert {parts[2] for parts in pointers if len(parts) > 2} == set(inputs)


def test_portfolios_must_agree() -> None:
    one = asked({"portfolio_id": str(PORTFOLIO)}, UUID(int=5))
    assert one.result.error is not None
    assert "expected the request's portfolio_id" in one.result.error.message


def test_a_portfolio_is_asked_for_when_a_step_reads_one() -> None:
    steps = [{"capability": "ledger.positions", "as": "p", "args": {"portfolio_id": "x"}}]
    one = Player(pattern_of({"steps": steps}))
    one.request()
    assert one.result.error is not None
    assert one.result.error.message == "/portfolio_id: expected a portfolio: step p (ledger.positions) reads one"
    two = Player(pattern_of({"steps": steps}))
    two.request(portfolio_id=PORTFOLIO)
    assert two.status == "resolving"
    assert two.sent[0].args["portfolio_id"] == str(PORTFOLIO)
