"""What the tests of `local/` need to look at processes and wait for facts about them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from local.process import command_line, start_time
from settings import Settings, load_settings

T = TypeVar("T")
WAIT_S = 40.0
NOWHERE = "kafka://127.0.0.1:1"


def instance_settings(folder: Path, **values: Any) -> Settings:
    return load_settings(_env_file=None, data_dir=folder, **values)


async def until(probe: Callable[[], T | None], what: str) -> T:
    """The first value that is not None and not False."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        value = probe()
        if value is not None and value is not False:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


def processes_naming(folder: Path) -> list[int]:
    """Every live process but our own whose command line names the folder."""
    return [
        pid
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if pid != os.getpid() and str(folder) in command_line(pid) and start_time(pid) is not None
    ]
