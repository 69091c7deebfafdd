"""CPU time of the processes of a local instance, so that a busy machine does not hide what work costs."""

import os
import time
from pathlib import Path

from local.data_dir import DataDir
from local.state import running_state
from settings import Settings

_PROC = Path("/proc")


class CpuMeter:
    """Reads how much CPU time each part of the instance in `settings.data_dir` has used, and this process.

    Args:
        settings: of a running instance; a part that is not a local process, or no Linux one, is not counted.
    """

    def __init__(self, settings: Settings) -> None:
        state = running_state(DataDir(settings.data_dir))
        parts = state.parts if state is not None and _PROC.is_dir() else ()
        self._pids = {part.name: part.pid for part in parts if part.pid is not None}

    def pid(self, part: str) -> int | None:
        """Return the process of a part, or None."""
        return self._pids.get(part)

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
