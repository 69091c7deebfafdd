"""Kafka's head start: what the JVM does at every start, done once and kept in a file that later starts map.

Java's ahead-of-time cache (JEP 483, 514 and 515) holds classes parsed, linked and profiled in a rehearsal: a start
takes 0.4 of the CPU time. The JVM itself checks that the file fits its own build and the jars, and starts without it if
not. Nothing but time is missing without the file, so nothing that goes wrong here stops a start: it is said and noted,
and tried again after a day.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from local.data_dir import DataDir
from local.errors import LocalError

# What the JVM has to say about a cache it cannot use would fill every log; it starts anyway.
QUIET = "-Xlog:aot*=off,cds*=off"
_LOCK_EVERY_S = 0.1
_AGAIN_AFTER_S = 86_400.0
_UNUSED_S = 30 * 86_400.0
_log = logging.getLogger(__name__)
Rehearse = Callable[[Path, str], Awaitable[None]]
Say = Callable[[str], None]


async def head_start(cache: Path, command: Sequence[str], rehearse: Rehearse, say: Say) -> tuple[str, ...]:
    """Return the JVM options that make use of the file, after making it if it is not there; none if it cannot be made.

    Args:
        cache: folder for it, shared by all instances.
        command: everything it depends on: runtime, options, classpath.
        rehearse: starts and stops the server in a folder, with one more JVM option.
        say: told before anything that takes long.
    """
    name = hashlib.sha256("\0".join(command).encode()).hexdigest()[:16]
    file = cache / f"kafka-{name}.aot"
    try:
        if not _is_settled(file):
            async with _alone(cache, say):
                # Whoever had the lock may have made it meanwhile.
                if not _is_settled(file):
                    await _make(file, rehearse, say)
        if not file.exists():
            return ()
        # Says that it is in use; it can be mapped even if it may not be touched.
        with contextlib.suppress(OSError):
            os.utime(file)
        return f"-XX:AOTCache={file}", QUIET
    except OSError as error:
        _log.warning("Kafka starts without its head start, which cannot be kept in %s: %s", cache, error)
        return ()


def _note(file: Path) -> Path:
    return file.with_suffix(".failed")


def _is_settled(file: Path) -> bool:
    """Whether it is made, or making it failed a short while ago."""
    note = _note(file)
    return file.exists() or (note.exists() and time.time() - note.stat().st_mtime < _AGAIN_AFTER_S)


@contextlib.asynccontextmanager
async def _alone(cache: Path, say: Say) -> AsyncIterator[None]:
    """Hold the lock; a waiting start can be cancelled, which a thread in `flock` cannot."""
    with (cache / "head-start.lock").open("w") as lock:
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    say("another start is making Kafka's head start; waiting for it")
                    said = True
                await asyncio.sleep(_LOCK_EVERY_S)
        yield


async def _make(file: Path, rehearse: Rehearse, say: Say) -> None:
    folder = file.with_name("rehearsal")
    _clear(folder)
    say("making Kafka's head start, once: Kafka needs less than half the CPU time at later starts")
    folder.mkdir()
    draft = folder / "draft.aot"
    try:
        await rehearse(folder / "instance", f"-XX:AOTCacheOutput={draft}")
        draft.chmod(0o644)
        os.replace(draft, file)
        _note(file).unlink(missing_ok=True)
        _forget_unused(file.parent)
    except (LocalError, OSError) as error:
        note = _note(file)
        _log.warning(
            "Kafka starts without its head start; remove %s to have it tried again before tomorrow: %s", note, error
        )
        note.write_text(f"{error}\n", encoding="utf-8")
    finally:
        _clear(folder)


def _forget_unused(cache: Path) -> None:
    """Remove files of runtimes and versions nobody has started for a month: each takes 65 MB."""
    for other in cache.glob("kafka-*.aot"):
        if time.time() - other.stat().st_mtime > _UNUSED_S:
            other.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Remove what a rehearsal left, and stop what of it is still running because its start was killed."""
    if not folder.exists():
        return
    with contextlib.suppress(LocalError, OSError), DataDir(folder / "instance") as instance:
        instance.stop_leftovers()
    shutil.rmtree(folder, ignore_errors=True)
