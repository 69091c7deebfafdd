"""What the three embedded servers have in common: start, wait until it answers, restart, stop."""

from __future__ import annotations

import asyncio
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from local.data_dir import DataDir, Instance
from local.errors import PortTaken, ServiceFailed
from local.ports import is_free
from local.process import POLL_S, Child, RunAs


class Server(ABC):
    """One server on one loopback port with its data below the data directory.

    Order of calls: `start` (may be repeated after the process ended), then `stop`. `url` is valid after the first
    `start`. Subclasses say how to prepare the data, the command line, and how to tell that it answers.
    """

    name: str
    # The setting that replaces this server by an external one.
    variable: str
    stop_signal = signal.SIGTERM

    def __init__(self, data_dir: DataDir, instance: Instance, port: int) -> None:
        """Nothing is started."""
        self.data_dir = data_dir
        self.instance = instance
        self.port = port
        self.folder: Path = data_dir.path / self.name
        self.child: Child | None = None
        self.ready_s: float | None = None
        self.on_spawn: Callable[[], None] = lambda: None
        # What it gets when we die.
        self.death_signal = self.stop_signal

    @property
    @abstractmethod
    def url(self) -> str:
        """Address for clients, with password."""

    @abstractmethod
    async def prepare(self) -> None:
        """Make data folder and configuration; harmless when they exist."""

    @abstractmethod
    def argv(self) -> list[str]:
        """Command line; it names the data directory, which proves later that the process is ours."""

    @abstractmethod
    async def answers(self) -> bool:
        """One real request to the server; False or OSError: not ready yet."""

    async def settle(self) -> None:
        """Work to do once, after the server answers and before clients come."""
        return None

    def run_as(self) -> RunAs | None:
        """User to run as; None for our own."""
        return None

    async def start(self, timeout_s: float) -> None:
        """Start and wait until it serves.

        Raises:
            PortTaken: something else listens on the port.
            ServiceFailed: it ended or did not answer within `timeout_s`; with the tail of its log.
        """
        begun = time.monotonic()
        if not is_free(self.port):
            raise PortTaken(f"{self.name}: port {self.port} is in use by another program")
        await self.prepare()
        self.spawn()
        try:
            await self._until_ready(time.monotonic() + timeout_s, timeout_s)
            await self.settle()
        except BaseException:
            await self.stop(patience_s=2.0)
            raise
        self.ready_s = round(time.monotonic() - begun, 3)

    def spawn(self) -> Child:
        """Start the process without waiting."""
        self.child = Child(
            self.name,
            self.argv(),
            log=self.data_dir.log_file(self.name),
            death_signal=self.death_signal,
            run_as=self.run_as(),
            cwd=Path("/"),
        )
        self.on_spawn()
        return self.child

    async def _until_ready(self, deadline: float, timeout_s: float) -> None:
        while True:
            child = self.child
            assert child is not None
            code = child.exit_code
            if code is not None:
                raise ServiceFailed(
                    f"{self.name} ended with code {code} while starting; {child.log} says:\n{child.log_tail()}"
                )
            try:
                if await asyncio.wait_for(self.answers(), 2.0):
                    return
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                pass
            if time.monotonic() > deadline:
                raise ServiceFailed(
                    f"{self.name} did not answer on port {self.port} within {timeout_s:g} s; "
                    f"{child.log} says:\n{child.log_tail()}"
                )
            await asyncio.sleep(POLL_S)

    async def stop(self, *, patience_s: float = 15.0) -> None:
        """End it in its own clean way; harmless if it does not run."""
        if self.child is not None:
            await self.child.stop(self.stop_signal, patience_s=patience_s)
