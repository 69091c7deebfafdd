"""Faults built in on purpose are noticed; without them the same seeds pass (test_seeds)."""

import pytest

from simulation.mutations import MUTATIONS
from simulation.run import Caught, try_mutation

# What must notice it; a mutation that trips over something else is not what its name says.
EXPECTED = {
    "ack-before-confirm": "no ack before confirm",
    "header-row-first": "header last",
    "parking-without-recheck": "nothing parked with an open gate",
    "zombie-with-the-same-version": "versions never regress",
    "early-timer-accepted": "replay equals live",
    "lost-timer": "timers exist for everything outstanding",
    "answer-on-the-wrong-partition": "answers on the owner partition",
    "result-before-state-is-durable": "no result before durable state",
    "seek-after-resume": "no event is lost",
    "timer-not-rearmed": "timers exist for everything outstanding",
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_simulation_notices(name: str) -> None:
    caught: Caught = try_mutation(name)
    assert caught.failure is not None, f"{name} went unnoticed in {caught.seeds} seeds"
    assert caught.failure.invariant == EXPECTED.get(name, caught.failure.invariant)
    assert caught.failure.story
    assert f"--seed {caught.failure.seed} " in caught.failure.command
    assert caught.failure.command.endswith(f"--mutation {name}")
