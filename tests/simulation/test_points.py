"""Killed at every single point: not some of them, all, one run for each."""

import pytest

from simulation.faults import Kind, Point
from simulation.run import quiet, run_seed
from simulation.world import World, simulating

EVERY_KIND = tuple(Kind)
# With executions that fan out and undo, wait for a pack, spill pages, and answer a conflict.
SEEDS = (3, 14, 27)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_may_be_killed_at_any_point(seed: int) -> None:
    with quiet(), simulating():
        whole = run_seed(seed, EVERY_KIND, executions=2)
        assert whole.failure is None
        assert whole.points > 40
        for number in range(1, whole.points + 1):
            world = run_seed(seed, EVERY_KIND, crash_at=number, executions=2)
            assert world.failure is None, f"seed {seed}, killed at point {number}: {world.failure}"
            assert killed(world), f"seed {seed}: nobody passed point {number}"


def test_every_kind_of_point_is_passed() -> None:
    seen: set[str] = set()
    with quiet(), simulating():
        for seed in range(1, 60):
            seen |= {entry[3] for entry in run_seed(seed).trace if entry[1] in ("crash", "pause")}
    assert seen == {point.name for point in Point}


def killed(world: World) -> bool:
    return any(entry[1] == "crash" for entry in world.trace)
