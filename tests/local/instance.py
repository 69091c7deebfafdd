"""A whole instance in a process of its own, with a real but tiny worker: what the tests of `local/` run.

`python -m tests.local.instance up|down|status` uses the real commands; the worker only reports itself and waits.
`INSTANCE_FAIL=1` makes the worker end before it is ready.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import asyncpg

from local.commands import down, status, up
from local.worker import WorkerSpec
from settings import Settings, load_settings

UP = (sys.executable, "-m", "tests.local.instance", "up")
WORKER = WorkerSpec("echo", (sys.executable, "-m", "tests.local.instance", "worker"))


async def prepare(settings: Settings) -> None:
    connection = await asyncpg.connect(settings.postgres_admin_url())
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS starts (at timestamptz)")
        await connection.execute("INSERT INTO starts VALUES (now())")
    finally:
        await connection.close()


def worker() -> int:
    if os.environ.get("INSTANCE_FAIL"):
        sys.stderr.write("the worker says why it cannot start\n")
        return 4
    settings = load_settings()
    settings.kafka_address()
    assert settings.ready_file is not None
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    draft = Path(f"{settings.ready_file}.draft")
    draft.write_text(json.dumps({"pid": os.getpid()}))
    draft.replace(settings.ready_file)
    signal.sigwait([signal.SIGTERM])
    return 0


def main() -> int:
    command, *options = sys.argv[1:]
    as_json = "--json" in options
    if command == "worker":
        return worker()
    settings = load_settings(_env_file=None)
    if command == "up":
        detach = "--detach" in options
        return up(settings, [WORKER], prepare, detach=detach, as_json=as_json, argv=UP)
    if command == "down":
        return down(settings, as_json=as_json)
    return status(settings, as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
