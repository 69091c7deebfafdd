"""One worker process under supervision: started, watched until it is ready, started again when it ends.

A worker is ready when it has written JSON with its own pid to the file named by `DAWSOS_READY_FILE`
(`run/NAME.ready` in the data directory); the file is removed before each start. A member `health` there is the URL of
its health endpoint: once it says that the worker is stuck, or nobody answers there, the worker is started again. Before
it is ready, `run/NAME.starting` says where that endpoint is: recovering much state may take longer than any timeout.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.data_dir import DataDir, read_json
from local.errors import ServiceFailed
from local.probe import ask
from local.process import POLL_S, Child

HEALTH_EVERY_S = 5.0
SILENT_MAX = 3
STARTING = ".starting"
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
# After this long without trouble the next end counts as the first again.
STEADY_S = 30.0


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A worker to run: a unique name, usable as a file name, and its command line."""

    name: str
    argv: tuple[str, ...]


def backoff_s(failures: int) -> float:
    """Pause before start number `failures` + 1, after that many ends in a row (≥ 1)."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** (failures - 1))


class Worker:
    """The process of one `WorkerSpec`."""

    def __init__(self, spec: WorkerSpec, data_dir: DataDir, environment: Mapping[str, str]) -> None:
        """Nothing is started."""
        self.name = spec.name
        self._argv: Sequence[str] = spec.argv
        self._data_dir = data_dir
        self._ready_file = data_dir.ready_file(spec.name)
        self._environment = {
            **environment,
            "DAWSOS_DATA_DIR": str(data_dir.path),
            "DAWSOS_READY_FILE": str(self._ready_file),
            # Several workers on one machine cannot share a port.
            "DAWSOS_HEALTH_PORT": "0",
        }
        self.child: Child | None = None
        self.restarts = 0
        self.failures = 0
        self.ready_s: float | None = None
        self.health: str | None = None
        self._begun = 0.0

    def spawn(self) -> Child:
        """Start the process without waiting."""
        self._ready_file.unlink(missing_ok=True)
        self.ready_s = None
        self.health = None
        self._begun = time.monotonic()
        self.child = Child(
            self.name,
            self._argv,
            log=self._data_dir.log_file(self.name),
            environment=self._environment,
            # Delivery is at-least-once, so a worker may be killed at any time; without its supervisor it must not
            # live on, not even to finish.
            death_signal=signal.SIGKILL,
        )
        return self.child

    def is_ready(self) -> bool:
        """Whether the process of this start has reported itself."""
        said = self._said(self._ready_file)
        if said is None:
            return False
        self.health = said.get("health")
        return True

    def _said(self, path: Path) -> dict[str, Any] | None:
        """Return what the process of this start has written to a file."""
        value = read_json(path)
        return value if self.child and isinstance(value, dict) and value.get("pid") == self.child.pid else None

    async def _is_starting(self) -> bool:
        """Whether its health endpoint says that it is alive."""
        said = self._said(self._ready_file.with_suffix(STARTING))
        verdict = await ask(str(said.get("health"))) if said else None
        return verdict is not None and verdict.get("live") is True

    async def until_ready(self, timeout_s: float) -> None:
        """Wait for the ready file.

        Args:
            timeout_s: after which, and every so often from then on, its health endpoint has to say that it is alive.

        Raises:
            ServiceFailed: it ended before, or took too long; with the tail of its log.
        """
        child = self.child
        assert child is not None
        until = self._begun + timeout_s
        while not self.is_ready():
            if child.exit_code is not None:
                raise ServiceFailed(
                    f"worker {self.name} ended with code {child.exit_code} before it was ready; "
                    f"{child.log} says:\n{child.log_tail()}"
                )
            if time.monotonic() > until:
                if await self._is_starting():
                    until = time.monotonic() + timeout_s
                    continue
                raise ServiceFailed(
                    f"worker {self.name} was not ready within {timeout_s:g} s; {child.log} says:\n{child.log_tail()}"
                )
            await asyncio.sleep(POLL_S)
        self.ready_s = round(time.monotonic() - self._begun, 3)

    async def stuck(self) -> str:
        """Watch the health endpoint; return why the worker should be started again. Never returns without one."""
        silent = 0
        while True:
            await asyncio.sleep(HEALTH_EVERY_S)
            if self.health is None:
                continue
            verdict = await ask(self.health)
            if verdict is not None and verdict.get("live") is False:
                return "; ".join(verdict.get("troubles") or ["its health endpoint says so"])
            # A busy machine may be late once, and a process that was suspended for a moment comes back by itself.
            silent = silent + 1 if verdict is None else 0
            if silent >= SILENT_MAX:
                return f"its health endpoint did not answer {silent} times"

    def note_end(self, code: int | None = None) -> float:
        """Count an end; the pause before the next start.

        Args:
            code: exit code; one that ended as it should, since somebody told it to, comes back at once.
        """
        steady = code == 0 or time.monotonic() - self._begun > STEADY_S
        self.failures = 1 if steady else self.failures + 1
        self.restarts += 1
        return backoff_s(self.failures)
