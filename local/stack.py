"""Use the instance of a data directory: the running one if there is one, else one of our own for a while.

    with Stack(settings) as connected:      # or `async with`
        …                                   # `connected` has every address

An instance that was running stays as it is; one that was started here ends with the block, and with this process,
however that ends. The supervisor is a process of its own, so it restarts workers whatever the block does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from local.data_dir import DataDir
from local.errors import ServiceFailed
from local.process import POLL_S, Child, whole_lines
from local.state import State, running_state
from settings import Settings

UP_ARGV = (sys.executable, "-m", "cli.main", "up")
STOP_PATIENCE_S = 40.0


class Stack:
    """Context manager, sync and async, that yields settings with every address."""

    def __init__(
        self,
        settings: Settings,
        *,
        argv: Sequence[str] = UP_ARGV,
        report: Callable[[str], None] = lambda line: None,
        ready_timeout_s: float = 180.0,
    ) -> None:
        """Nothing is started.

        Args:
            settings: `data_dir` says which instance; a new supervisor gets all of them.
            argv: command that runs a supervisor in the foreground for `DAWSOS_DATA_DIR`.
            report: takes each line of its progress.
            ready_timeout_s: covers the first download of Kafka too.
        """
        self._settings = settings
        self._argv = argv
        self._report = report
        self._ready_timeout_s = ready_timeout_s
        self._data_dir = DataDir(settings.data_dir)
        self._child: Child | None = None
        self._reported = 0

    @property
    def started_here(self) -> bool:
        """Whether the instance is ours to stop."""
        return self._child is not None

    async def __aenter__(self) -> Settings:
        """Find or start the instance.

        Raises:
            ServiceFailed: it could not be started; with the supervisor's last lines.
        """
        deadline = time.monotonic() + self._ready_timeout_s
        try:
            while True:
                state = running_state(self._data_dir)
                if state is not None and state.status == "ready" and self._is_mine(state):
                    assert state.addresses is not None
                    self._forward_lines()
                    return state.addresses.apply(self._settings)
                if self._child is None and state is None:
                    self._child = self._spawn()
                self._forward_lines()
                self._check(deadline)
                await asyncio.sleep(POLL_S)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the instance if it was started here."""
        if self._child is not None:
            await asyncio.shield(self._child.stop(patience_s=STOP_PATIENCE_S))
            self._child = None

    def __enter__(self) -> Settings:
        """As `async with`, for code without an event loop."""
        return asyncio.run(self.__aenter__())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the instance if it was started here."""
        asyncio.run(self.__aexit__(kind, error, trace))

    def _spawn(self) -> Child:
        log = self._data_dir.log_file("supervisor")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        self._reported = log.stat().st_size
        return Child(
            "supervisor",
            self._argv,
            log=log,
            environment={
                **os.environ,
                **self._settings.environment(),
                "DAWSOS_DATA_DIR": str(self._data_dir.path),
            },
        )

    def _is_mine(self, state: State) -> bool:
        return self._child is None or state.supervisor.pid == self._child.pid

    def _check(self, deadline: float) -> None:
        child = self._child
        if child is not None and child.exit_code is not None:
            raise ServiceFailed(
                f"the instance in {self._data_dir.path} did not start (code {child.exit_code}):\n{child.log_tail()}"
            )
        if time.monotonic() > deadline:
            tail = f":\n{child.log_tail()}" if child else ""
            raise ServiceFailed(
                f"the instance in {self._data_dir.path} was not ready within {self._ready_timeout_s:g} s{tail}"
            )

    def _forward_lines(self) -> None:
        if self._child is None:
            return
        lines, self._reported = whole_lines(self._child.log, self._reported)
        for line in lines:
            self._report(line)
