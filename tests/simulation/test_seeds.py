import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.run import cores, quiet, run_seed, run_seeds
from simulation.world import simulating

ROOT = Path(__file__).parents[2]
SEEDS = 2_000
SCRIPT = """
from simulation.run import quiet, run_seed
from simulation.world import simulating
with quiet(), simulating():
    print(*(run_seed(seed).digest() for seed in (3, 17, 40)))
"""


@pytest.mark.timeout(600)
def test_nothing_breaks_whatever_goes_wrong() -> None:
    summary = run_seeds(1, SEEDS, processes=cores())
    failure = summary.failure
    assert failure is None, "\n".join((*failure.story, failure.invariant, failure.text, failure.command))
    assert summary.seeds == SEEDS
    # Every kind of trouble was there, and executions ended in every way.
    assert min(summary.kinds.values()) > SEEDS / 20
    assert set(summary.statuses) == {"succeeded", "failed", "rejected", "cancelled", "timed_out"}


def test_a_seed_gives_the_same_events_each_time() -> None:
    with quiet(), simulating():
        once, again, other = run_seed(17), run_seed(17), run_seed(18)
    assert once.failure is None
    assert len(once.trace) > 20
    assert once.digest() == again.digest() != other.digest()


def test_a_seed_gives_the_same_events_in_other_processes() -> None:
    """Hash seeds differ between processes, so the order of sets must not matter."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1
