"""Operating-system processes: start them so that they die with us, and prove later that they were ours.

A process id alone proves nothing, since ids are reused. A record therefore holds the start time too, and before a
signal is sent to a process that an earlier run left behind, its command line or environment must name our data
directory as well. Nothing is ever stopped by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAUNCH_SCRIPT = Path(__file__).with_name("launch.py")
POLL_S = 0.02
CAP_DAC_OVERRIDE = 1
# A longer log is put aside at the next look of the supervisor, and at the start of its process; one older file is kept.
LOG_BYTES_MAX = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """What identifies one process of ours beyond its own life.

    Attributes:
        name: the part it runs, such as `kafka` or `agents`.
        pid: process id.
        started: opaque start time, unique per boot; None where it cannot be read.
        log: file that has its output.
    """

    name: str
    pid: int
    started: str | None
    log: str

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {"name": self.name, "pid": self.pid, "started": self.started, "log": self.log}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ProcessRecord:
        """Inverse of `to_json`; raises KeyError or ValueError for anything else."""
        started = value["started"]
        return cls(
            str(value["name"]),
            int(value["pid"]),
            None if started is None else str(started),
            str(value["log"]),
        )


def start_time(pid: int) -> str | None:
    """Opaque start time of a live process; None if there is none (a zombie is not alive)."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        # The name is in parentheses and may hold spaces; after it come state (1st) and starttime (20th).
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"
    state, _, started = _ps(pid, "state=,lstart=").partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def command_line(pid: int) -> str:
    """Arguments of a process, separated by blanks; empty if it is gone or not readable."""
    if sys.platform == "linux":
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return _ps(pid, "command=")


def _environment(pid: int) -> str:
    if sys.platform == "linux":
        try:
            raw = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b"\n").decode("utf-8", "replace")
    return _ps(pid, "command=", "-E")


def _ps(pid: int, columns: str, *options: str) -> str:
    ps = shutil.which("ps")
    if ps is None:
        return ""
    done = subprocess.run([ps, *options, "-p", str(pid), "-o", columns], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def is_running(record: ProcessRecord) -> bool:
    """Whether that very process is alive: same id and same start time."""
    return record.started is not None and start_time(record.pid) == record.started


def is_proven_ours(record: ProcessRecord, data_dir: Path) -> bool:
    """Whether it is alive and its command line or environment names the data directory."""
    if not is_running(record):
        return False
    marker = str(data_dir)
    return marker in command_line(record.pid) or marker in _environment(record.pid)


def stop_recorded(record: ProcessRecord, *, patience_s: float = 5.0) -> None:
    """End a process that is not our child: SIGTERM, then SIGKILL after `patience_s`."""
    for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
        if not is_running(record):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
        deadline = time.monotonic() + wait_s
        while is_running(record) and time.monotonic() < deadline:
            time.sleep(POLL_S)


def put_aside(log: Path) -> bool:
    """Empty a log that has become too long, its text going to `NAME.log.1`; returns whether it had.

    The file stays the one that processes append to, so that nobody has to open it again. What is written between the
    copy and the cut is lost.
    """
    if not log.exists() or log.stat().st_size <= LOG_BYTES_MAX:
        return False
    shutil.copyfile(log, log.with_suffix(".log.1"))
    os.truncate(log, 0)
    return True


def whole_lines(log: Path, begun: int) -> tuple[list[str], int]:
    """Return the whole lines of a log from a place on, and where the rest begins."""
    with log.open("rb") as file:
        file.seek(begun)
        text = file.read()
    text = text[: text.rfind(b"\n") + 1]
    return text.decode("utf-8", "replace").splitlines(), begun + len(text)


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user a child becomes; `keep_access` lets it enter folders that only root may."""

    user: str
    keep_access: bool


def run_as_for(*paths: Path) -> RunAs | None:
    """Who may run a server that refuses root: None (ourselves) unless we are root, else `nobody`.

    Args:
        paths: folders the server has to enter; if `nobody` cannot, access is kept by a capability.
    """
    if os.geteuid() != 0:
        return None
    closed = any(
        not folder.stat().st_mode & 0o001 for path in paths for folder in (path, *path.parents) if folder.is_dir()
    )
    return RunAs("nobody", keep_access=closed)


class Child:
    """A child process with its log file, started so that it dies with the calling thread.

    Start children from a thread that lives as long as they should (the main thread): Linux ties the death signal
    to the thread. macOS has no such signal; what a killed supervisor leaves there is stopped by the next start.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
        run_as: RunAs | None = None,
    ) -> None:
        """Start it at once; output is appended to `log`."""
        launcher = [
            sys.executable,
            "-I",
            "-S",
            str(LAUNCH_SCRIPT),
            str(int(death_signal)),
            str(os.getpid()),
            run_as.user if run_as else "-",
            str(CAP_DAC_OVERRIDE) if run_as and run_as.keep_access else "-",
            "--",
        ]
        log.parent.mkdir(parents=True, exist_ok=True)
        put_aside(log)
        self._log_offset = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=cwd,
                # Ctrl-C goes to the supervisor alone; it stops its children in order.
                start_new_session=True,
            )
        self.name = name
        self.log = log
        self.record = ProcessRecord(name, self.pid, start_time(self.pid), str(log))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def log_tail(self, lines: int = 20) -> str:
        """Last lines that this run of the program wrote."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_offset, size - 16_384))
            text = file.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def bound_log(self) -> None:
        """Put its log aside when it has become too long."""
        if put_aside(self.log):
            self._log_offset = 0

    async def exited(self) -> int:
        """Wait for the end; its exit code."""
        while (code := self._process.poll()) is None:
            await self._exit_hint()
        return code

    async def _exit_hint(self) -> None:
        """Return when the process has probably ended: a readable pidfd on Linux, else a short pause."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            await asyncio.sleep(POLL_S)
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        try:
            loop.add_reader(descriptor, ended.set)
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, patience_s: float = 10.0) -> int:
        """Ask it to end, insist after `patience_s`; its exit code. Harmless if it ended before."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                return await asyncio.wait_for(self.exited(), patience_s)
            except TimeoutError:
                self._process.kill()
        return await self.exited()

    def kill(self) -> None:
        """SIGKILL and reap, without an event loop."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
