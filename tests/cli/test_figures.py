from decimal import Decimal

import pytest

from cli import figures
from cli.failures import CommandFailed
from cli.requests import parse_gate, parse_inputs


@pytest.mark.parametrize(
    ("value", "shown"),
    [("1234.5", "1,234.50"), (Decimal("-0.5"), "−0.50"), ("-0.001", "0.00"), (None, "–"), ("n/a", "–"), (True, "–")],
)
def test_amount(value: object, shown: str) -> None:
    assert figures.amount(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.123456, "+12.35%"), (-0.05, "−5.00%"), (-1e-9, "0.00%"), (0, "0.00%"), (float("nan"), "–")]
)
def test_percent(value: object, shown: str) -> None:
    assert figures.percent(value, plus=True) == shown


def test_quantities_keep_every_digit() -> None:
    assert figures.quantity("1234567.1250") == "1,234,567.125"
    assert figures.quantity("-100") == "−100"


def test_one_is_not_counted_as_many() -> None:
    assert [figures.counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [figures.counted(number, "security", "securities") for number in (1, 2)] == ["1 security", "2 securities"]


def test_times() -> None:
    assert figures.day("2005-12-30") == "30 December 2005"
    assert figures.day(None) == "–"
    assert figures.moment(0) == "1970-01-01 00:00:00 UTC"
    assert figures.duration(1, 13) == "12 ms"
    assert figures.duration(0, 3400) == "3.4 s"
    assert figures.duration(None, 1) == "–"


def test_inputs_are_json_where_they_can_be() -> None:
    given = parse_inputs(["n=5", "name=AAPL", 'list=["a"]', "empty=", "nan=NaN", "eq=a=b"])
    assert given == {"n": 5, "name": "AAPL", "list": ["a"], "empty": "", "nan": "NaN", "eq": "a=b"}
    for wrong in (["x"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(CommandFailed):
            parse_inputs(wrong)


def test_gates() -> None:
    gate = parse_gate("wait:90")
    assert gate is not None
    assert (gate.policy, gate.wait_s) == ("wait", 90.0)
    for text in ("reject", "wait", "serve_stale"):
        found = parse_gate(text)
        assert found is not None
        assert found.policy == text
    assert parse_gate(None) is None
    for wrong in ("later", "wait:", "wait:-1", "wait:x", "reject:5", "wait:1e9", "wait:nan"):
        with pytest.raises(CommandFailed):
            parse_gate(wrong)
