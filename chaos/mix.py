"""Which executions a run asks for, and what each must answer: a function of seed and number, known beforehand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

PATTERNS = Path(__file__).resolve().parent / "patterns"
TENANTS = ("chaos-a", "chaos-b", "chaos-c")
USER = UUID(int=7)
POLICY = "chaos"
FIRST_DAY = date(2024, 1, 1)
DEADLINE_S = 120.0
GATE_WAIT_S = 100.0
# The engine gives an execution that cannot succeed this long after its deadline to undo what it did.
UNDO_S = 60.0

_WEIGHTS = {
    "chaos_sequence": 30,
    "chaos_parallel": 18,
    "chaos_foreach": 16,
    "chaos_undo": 14,
    "chaos_gate": 10,
    "chaos_large": 7,
    "chaos_nested": 5,
}
_REPEATED_SHARE = 0.05
_CANCELLED_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Planned:
    """One execution to ask for.

    Attributes:
        day: of the pack it needs, by number; None when it needs none.
        repeated: its request is sent a second time once it is confirmed.
        cancelled: a cancel is sent after it, or before it (`cancelled_early`).
    """

    number: int
    tenant: str
    request_id: str
    pattern_id: str
    inputs: Mapping[str, Any]
    day: int | None
    repeated: bool
    cancelled: bool
    cancelled_early: bool

    @property
    def asof(self) -> date | None:
        """The day it asks for."""
        return None if self.day is None else day_of(self.day)


def day_of(number: int) -> date:
    """Return the session with this number."""
    return FIRST_DAY + timedelta(days=number)


def plan(seed: int, executions: int, days: int) -> Iterator[Planned]:
    """Yield the executions of a run in the order they are asked for.

    Args:
        seed: the same seed gives the same executions.
        executions: how many.
        days: number of packs; executions that need one ask for the next to become fresh, or for one just before it.
    """
    random = Random(f"mix/{seed}")
    names, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    for number in range(executions):
        pattern_id = random.choices(names, weights)[0]
        value = random.randrange(1_000_000)
        day = None
        inputs: dict[str, Any] = {"n": value}
        if pattern_id == "chaos_foreach":
            padded = random.random() < 0.3
            inputs = {"count": random.randrange(40, 61) if padded else random.randrange(1, 13), "padded": padded}
        elif pattern_id == "chaos_gate":
            day = max(0, number * days // executions - random.choice((0, 0, 1)))
        early = random.random() < 0.5
        cancelled = random.random() < _CANCELLED_SHARE
        yield Planned(
            number=number,
            tenant=random.choice(TENANTS),
            request_id=f"chaos-{seed}-{number:06d}",
            pattern_id=pattern_id,
            inputs=inputs,
            day=day,
            repeated=random.random() < _REPEATED_SHARE,
            cancelled=cancelled,
            cancelled_early=cancelled and early,
        )


def expected_data(pattern_id: str, inputs: Mapping[str, Any], asof: date | None) -> dict[str, Any] | None:
    """Return what a succeeded execution answers; None for a pattern that cannot succeed."""
    if pattern_id == "chaos_undo":
        return None
    if pattern_id == "chaos_foreach":
        return {"answer": list(range(inputs["count"]))}
    n = inputs["n"]
    if pattern_id == "chaos_gate":
        assert asof is not None
        return {"day": asof.isoformat(), "answer": n}
    return {
        "answer": n
        + {"chaos_sequence": 2, "chaos_parallel": 2 * n + 12, "chaos_large": 0, "chaos_nested": 3}[pattern_id]
    }
