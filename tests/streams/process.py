"""A worker in a process of its own, which tests start, stop and kill."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from local.embedded import Addresses
from settings import Settings


class Process:
    """An orchestrator of its own.

    Args:
        services: addresses.
        settings: prefix, partitions, and the folder for its files.
        name: of those files.
        command: what Python runs.
        environment: further variables.
    """

    def __init__(
        self,
        services: Addresses,
        settings: Settings,
        name: str,
        command: Sequence[str] = ("-m", "tests.streams.system"),
        **environment: str,
    ) -> None:
        self._command = command
        self._ready = settings.data_dir / f"{name}.ready"
        self._log = settings.data_dir / f"{name}.log"
        self._environment = {
            **os.environ,
            **services.environment(),
            "DAWSOS_TOPIC_PREFIX": settings.topic_prefix,
            "DAWSOS_PARTITIONS": str(settings.partitions),
            "DAWSOS_DATA_DIR": str(settings.data_dir / name),
            "DAWSOS_READY_FILE": str(self._ready),
            **environment,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._command, env=self._environment, stdout=log, stderr=log
            )

    async def ready(self) -> None:
        assert self._process is not None
        ended = asyncio.ensure_future(self._process.wait())
        async with asyncio.timeout(60):
            while not self._ready.exists():
                assert not ended.done(), self._log.read_text()
                await asyncio.wait([ended], timeout=0.05)
        ended.cancel()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def ended(self) -> int:
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), 60)

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 60)
