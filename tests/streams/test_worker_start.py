"""A worker that waits for Kafka says so, does not chatter, and stops when it is told to."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def test_sigterm_ends_the_wait_for_kafka(tmp_path: Path) -> None:
    environment = os.environ | {
        "DAWSOS_KAFKA": "kafka://127.0.0.1:1",
        "DAWSOS_POSTGRES": "postgresql://dawsos_app@127.0.0.1:1/dawsos",
        "DAWSOS_REDIS": "redis://127.0.0.1:1",
        "DAWSOS_DATA_DIR": str(tmp_path),
        "DAWSOS_LOG_JSON": "false",
    }
    command = [sys.executable, "-m", "cli.main", "worker", "projector"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        first = worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        rest = worker.stderr.read()
    assert worker.returncode == 0, first + rest
    assert "still waiting for Kafka at 127.0.0.1:1" in first
    assert "projector has stopped" in rest
