"""Many runs: one after the other or on all cores, and what a failing one comes down to."""

import gc
import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from simulation.check import Broken
from simulation.faults import Kind
from simulation.mutations import MUTATIONS, SEEDS_MAX
from simulation.story import tell
from simulation.world import World, simulating

_CHUNK = 50
_COLLECT_EVERY = 25


@dataclass(frozen=True, slots=True)
class Failure:
    """One seed that broke something.

    Attributes:
        without: kinds of faults that need not happen for it.
        executions: that are enough for it; None for all of its seed.
        story: what happened, line by line.
    """

    seed: int
    invariant: str
    text: str
    without: tuple[Kind, ...] = ()
    executions: int | None = None
    mutation: str | None = None
    story: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that does it again."""
        parts = [f"dawsos simulate --seeds 1 --seed {self.seed}"]
        parts += [f"--without {kind.value}" for kind in self.without]
        parts += [] if self.executions is None else [f"--executions {self.executions}"]
        parts += [] if self.mutation is None else [f"--mutation {self.mutation}"]
        return " ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "seed": self.seed,
            "invariant": self.invariant,
            "text": self.text,
            "command": self.command,
            "trace": list(self.story),
        }


@dataclass(slots=True)
class Summary:
    """What many runs came to.

    Attributes:
        events: folded by the engine, each of them twice: live and again from nothing.
        points: passed where a worker can be killed.
        kinds: how many runs had each kind of fault.
        cpu_s: seconds of processor time.
    """

    seeds: int = 0
    events: int = 0
    points: int = 0
    executions: int = 0
    virtual_s: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    failure: Failure | None = None

    def add(self, other: "Summary") -> None:
        """Take in another one."""
        self.seeds += other.seeds
        self.events += other.events
        self.points += other.points
        self.executions += other.executions
        self.virtual_s += other.virtual_s
        self.kinds.update(other.kinds)
        self.statuses.update(other.statuses)
        self.ends.update(other.ends)
        self.cpu_s += other.cpu_s
        if other.failure is not None and (self.failure is None or other.failure.seed < self.failure.seed):
            self.failure = other.failure

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "ok": self.failure is None,
            "seeds": self.seeds,
            "executions": self.executions,
            "events": self.events,
            "points": self.points,
            "virtual_hours": round(self.virtual_s / 3600, 1),
            "seeds_per_core_second": round(self.seeds / self.cpu_s, 1) if self.cpu_s else None,
            "wall_s": round(self.wall_s, 1),
            "faults": dict(sorted(self.kinds.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "worker_ends": dict(sorted(self.ends.items())),
            "failure": None if self.failure is None else self.failure.as_json(),
        }


def run_seed(
    seed: int,
    without: Iterable[Kind] = (),
    crash_at: int | None = None,
    executions: int | None = None,
) -> World:
    """Run one seed and return its world; only within `simulating()`."""
    world = World(seed, without, crash_at, executions)
    world.run()
    return world


def run_seeds(
    first: int,
    count: int,
    *,
    mutation: str | None = None,
    without: Sequence[Kind] = (),
    executions: int | None = None,
    processes: int = 1,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Run seeds until one fails.

    Args:
        first: seed to begin with.
        count: how many.
        mutation: name of a fault to build in.
        without: kinds of faults to leave out.
        executions: to ask for at most, per seed.
        processes: to share the work.
        progress: called now and then with what there is so far.
    """
    began_s = time.monotonic()
    total = Summary()
    jobs = [
        (begin, min(_CHUNK, first + count - begin), mutation, tuple(without), executions)
        for begin in range(first, first + count, _CHUNK)
    ]
    with _results(jobs, processes) as results:
        for part in results:
            total.add(part)
            total.wall_s = time.monotonic() - began_s
            if progress is not None:
                progress(total)
            if total.failure is not None:
                break
    total.wall_s = time.monotonic() - began_s
    return total


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _results(jobs: Sequence[Any], processes: int) -> Iterator[Iterable[Summary]]:
    if processes == 1 or len(jobs) == 1:
        yield map(_chunk, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield pool.imap(_chunk, jobs)


def _chunk(job: tuple[int, int, str | None, tuple[Kind, ...], int | None]) -> Summary:
    first, count, mutation, without, executions = job
    summary = Summary()
    began_s = time.process_time()
    with quiet(), simulating(), MUTATIONS[mutation]() if mutation else nullcontext():
        for seed in range(first, first + count):
            world = run_seed(seed, without, None, executions)
            _count(summary, world)
            if world.failure is not None:
                summary.failure = shrink(world, mutation, without, executions)
                break
            if seed % _COLLECT_EVERY == 0:
                gc.collect()
        # While warnings about coroutines nobody awaited are still off.
        world = None
        gc.collect()
    summary.cpu_s = time.process_time() - began_s
    return summary


@contextmanager
def quiet() -> Iterator[None]:
    """Switch off the log, which real workers fill, and the collector, which is called between runs."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        logging.disable(before)
        if collecting:
            gc.enable()


def shrink(
    world: World, mutation: str | None = None, without: Sequence[Kind] = (), executions: int | None = None
) -> Failure:
    """Leave out what a failure does not need: kinds of faults, then executions; and tell what happened.

    Args:
        world: that failed.
        mutation: that was built in.
        without: kinds left out already.
        executions: bound already set.
    """
    broken, seed = world.failure, world.seed
    assert broken is not None
    left_out = list(without)
    for kind in sorted(world.plan.kinds):
        again = run_seed(seed, [*left_out, kind], None, executions)
        if _same(again, broken):
            left_out.append(kind)
            world = again
    for fewer in range(1, world.client.count):
        again = run_seed(seed, left_out, None, fewer)
        if _same(again, broken):
            world, executions = again, fewer
            break
    found = world.failure
    assert found is not None
    return Failure(
        seed, found.invariant, found.text, tuple(left_out), executions, mutation, tuple(tell(world.trace, found.key))
    )


def _same(world: World, broken: Broken) -> bool:
    return world.failure is not None and world.failure.invariant == broken.invariant


def _count(summary: Summary, world: World) -> None:
    summary.seeds += 1
    summary.events += world.check.folds
    summary.points += world.points
    summary.executions += world.client.count
    summary.virtual_s += world.loop.now_s
    summary.kinds.update(kind.value for kind in world.plan.kinds)
    summary.statuses.update(world.client.statuses())
    summary.ends.update(world.ends)


@dataclass(frozen=True, slots=True)
class Caught:
    """A mutation and the run that noticed it; `failure` is None if none did."""

    mutation: str
    seeds: int
    failure: Failure | None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "mutation": self.mutation,
            "caught": self.failure is not None,
            "seeds": self.seeds,
            "seed": None if self.failure is None else self.failure.seed,
            "invariant": None if self.failure is None else self.failure.invariant,
            "text": None if self.failure is None else self.failure.text,
            "command": None if self.failure is None else self.failure.command,
        }


def try_mutation(name: str, first: int = 1, count: int = SEEDS_MAX) -> Caught:
    """Build one mutation in and run seeds until one of them notices."""
    summary = run_seeds(first, count, mutation=name)
    return Caught(name, summary.seeds, summary.failure)
