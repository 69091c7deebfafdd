"""The processes of a local instance: their CPU time, so that a busy machine does not hide what work costs, and memory.

And ending one: the supervisor starts it again.
"""

import asyncio
import os
import signal
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from local.data_dir import DataDir
from local.state import running_state
from settings import Settings

_PROC = Path("/proc")
_POLL_S = 0.02
_ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """A running worker: its process, and where its health endpoint is."""

    pid: int
    health: str


def part(settings: Settings, name: str) -> Process:
    """Return a worker that is ready.

    Raises:
        LookupError: there is none of this name.
    """
    state = running_state(DataDir(settings.data_dir))
    for each in () if state is None else state.parts:
        if each.name == name and each.ready and each.pid is not None and each.health is not None:
            return Process(each.pid, each.health)
    raise LookupError(f"expected a worker {name} that is ready in {settings.data_dir}")


async def until_again(settings: Settings, name: str, former: Process) -> Process:
    """Wait until the supervisor has started a worker again and it is ready."""
    while True:
        try:
            now = part(settings, name)
        except LookupError:
            now = former
        if now.pid != former.pid:
            return now
        await asyncio.sleep(_POLL_S)


async def until_gone(process: Process) -> None:
    """Wait until a process has ended."""
    while (_PROC / str(process.pid)).exists():  # noqa: ASYNC110 - it is not our child
        await asyncio.sleep(_POLL_S)


def end(process: Process, number: signal.Signals) -> None:
    """Send a signal."""
    os.kill(process.pid, number)


async def gauge(process: Process, name: str) -> float:
    """Return one unlabelled metric of a worker."""

    def read() -> str:
        with urllib.request.urlopen(f"{process.health}/metrics", timeout=_ASK_TIMEOUT_S) as answer:
            return answer.read().decode()

    text = await asyncio.to_thread(read)
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


class CpuMeter:
    """Reads how much CPU time each part of the instance in `settings.data_dir` has used, and this process.

    Args:
        settings: of a running instance; a part that is not a local process, or no Linux one, is not counted.
    """

    def __init__(self, settings: Settings) -> None:
        state = running_state(DataDir(settings.data_dir))
        parts = state.parts if state is not None and _PROC.is_dir() else ()
        self._pids = {part.name: part.pid for part in parts if part.pid is not None}

    def read_ms(self) -> dict[str, float]:
        """Return milliseconds used so far, by part with its children, and `client` for this process."""
        tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
        used = {name: sum(map(_ticks, _tree(pid))) * tick_ms for name, pid in self._pids.items()}
        return used | {"client": time.process_time() * 1000}


def per_execution_ms(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """Return milliseconds per execution of each part and in `total`."""
    each = {name: round((after[name] - before[name]) / count, 3) for name in before if name in after}
    return each | {"total": round(sum(each.values()), 3)}


def resident_bytes(pid: int) -> int:
    """Return the memory a process occupies."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Return seconds of CPU time a process has used."""
    return _ticks(pid) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _tree(pid: int) -> list[int]:
    """Return a process and all below it: Postgres has one process per connection."""
    found = [pid]
    for parent in found:
        for thread in (_PROC / str(parent) / "task").glob("*/children"):
            try:
                found += [int(child) for child in thread.read_text().split()]
            except OSError:
                continue
    return found
