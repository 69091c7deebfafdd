"""Kafka's head start: what the JVM does at every start, done once and kept in a file that later starts map.

Java's ahead-of-time cache (JEP 483, 514 and 515) holds classes parsed, linked and profiled in a rehearsal: a start
takes 0.4 of the CPU time. The JVM itself checks that the file fits its own build and the jars, and starts without it if
not. Without the file nothing is missing but that time, so a rehearsal that fails is noted, by an empty file, and not
repeated.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from local.errors import LocalError

# What the JVM has to say about a cache it cannot use would fill every log; it starts anyway.
QUIET = "-Xlog:aot*=off,cds*=off"
_log = logging.getLogger(__name__)
Rehearse = Callable[[Path, str], Awaitable[None]]


async def head_start(cache: Path, command: Sequence[str], rehearse: Rehearse) -> tuple[str, ...]:
    """Return the JVM options that make use of the file, after making it if it is not there; none if it cannot be made.

    Args:
        cache: folder for it, shared by all instances.
        command: everything it depends on: runtime, options, classpath.
        rehearse: starts and stops the server in a folder, with one more JVM option.
    """
    name = hashlib.sha256("\0".join(command).encode()).hexdigest()[:16]
    file = cache / f"kafka-{name}.aot"
    if not file.exists():
        with (cache / "head-start.lock").open("w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if not file.exists():
                await _make(file, rehearse)
    return (f"-XX:AOTCache={file}", QUIET) if file.stat().st_size else ()


async def _make(file: Path, rehearse: Rehearse) -> None:
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=file.parent, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / "draft.aot"
        try:
            await rehearse(Path(folder) / "instance", f"-XX:AOTCacheOutput={draft}")
            draft.chmod(0o644)
        except (LocalError, OSError) as error:
            _log.warning("Kafka will start without its head start, %s says why: %s", file.name, error)
            draft.write_bytes(b"")
        os.replace(draft, file)
