"""A worker that takes longer to start than the limit, and says meanwhile whether it is alive."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from local.data_dir import DataDir
from local.errors import ServiceFailed
from local.process import Child
from local.worker import Worker, WorkerSpec

# Answers for a second that it is alive or stuck, then says that it is ready.
PROGRAM = """
import http.server, json, os, sys, threading, time
from pathlib import Path

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"live": sys.argv[1] == "alive"}).encode())

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
ready = Path(os.environ["DAWSOS_READY_FILE"])
said = json.dumps({"pid": os.getpid(), "health": f"http://127.0.0.1:{server.server_port}"})
ready.with_suffix(".starting").write_text(said)
time.sleep(1.0)
ready.write_text(said)
time.sleep(60)
"""


def worker(folder: Path, state: str) -> Worker:
    spec = WorkerSpec("slow", (sys.executable, "-c", PROGRAM, state))
    (folder / "run").mkdir()
    (folder / "log").mkdir()
    return Worker(spec, DataDir(folder), os.environ)


async def spawn(slow: Worker, folder: Path) -> Child:
    """Start it and wait until it says that it is starting; how long Python takes until then is the machine's affair."""
    child = slow.spawn()
    said = DataDir(folder).ready_file("slow").with_suffix(".starting")
    async with asyncio.timeout(30):
        while not said.exists():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.02)
    return child


async def test_one_that_recovers_for_longer_than_the_limit_is_left_to_it(tmp_path: Path) -> None:
    slow = worker(tmp_path, "alive")
    child = await spawn(slow, tmp_path)
    try:
        await slow.until_ready(0.4)
        assert slow.health is not None and slow.ready_s is not None and slow.ready_s > 0.4
    finally:
        await child.stop(patience_s=1.0)


async def test_one_that_is_stuck_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    slow = worker(tmp_path, "stuck")
    child = await spawn(slow, tmp_path)
    try:
        with pytest.raises(ServiceFailed, match="was not ready within"):
            await slow.until_ready(0.6)
    finally:
        await child.stop(patience_s=1.0)
