"""The capability alone, and the pattern over recorded answers: neither needs a server or data."""

import subprocess
import sys

import pytest

from house import HouseAgent
from services.testing import ask
from topics.errors import TerminalError

ROWS = [
    {"kind": "security", "symbol": "IBM", "value_base": "300"},
    {"kind": "security", "symbol": "AAPL", "value_base": "-100"},
    {"kind": "cash", "symbol": "USD", "value_base": "5000"},
]


def test_the_largest_positions() -> None:
    found = ask(HouseAgent(), "house.concentration", positions=ROWS, top=1)
    assert found == {"symbols": ["IBM"], "share": "0.750000", "reason": None}


def test_a_position_without_a_value_makes_no_figure() -> None:
    found = ask(HouseAgent(), "house.concentration", positions=[*ROWS, {"kind": "security", "symbol": "X"}])
    assert (found["share"], found["reason"]) == (None, "no value: X")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TerminalError, match="INVALID_ARGS"):
        ask(HouseAgent(), "house.concentration", positions="none")


def test_patterns_make_the_recorded_outputs() -> None:
    done = subprocess.run([sys.executable, "-m", "cli.main", "patterns", "test"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
