"""A whole instance with Kafka: started, repaired, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local.data_dir import DataDir
from local.errors import ServiceFailed
from local.process import LOG_BYTES_MAX, is_running
from local.stack import Stack
from local.state import Part, State, connect, running_state
from settings import KafkaAddress
from tests.local.instance import UP
from tests.local.processes import NOWHERE, instance_settings, processes_naming, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def _command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.local.instance", *arguments],
        cwd=ROOT,
        env={**os.environ, "DAWSOS_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _part(folder: Path, name: str, restarts: int = 0) -> Part | None:
    state = running_state(DataDir(folder))
    found = [part for part in state.parts if part.name == name] if state else []
    return found[0] if found and found[0].ready and found[0].restarts >= restarts else None


async def _starts(state: State) -> int:
    assert state.addresses is not None
    connection = await asyncpg.connect(state.addresses.postgres_admin)
    try:
        return await connection.fetchval("SELECT count(*) FROM starts")
    finally:
        await connection.close()


async def _send(url: str, values: list[bytes]) -> None:
    kwargs = KafkaAddress.parse(url).client_kwargs()
    admin = AIOKafkaAdminClient(**kwargs)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(**kwargs, acks="all") as producer:
        for value in values:
            await producer.send_and_wait("kept", value)


async def _read(url: str, count: int) -> list[bytes]:
    kwargs = KafkaAddress.parse(url).client_kwargs()
    async with AIOKafkaConsumer("kept", **kwargs, auto_offset_reset="earliest") as consumer:
        records = [await consumer.getone() for _ in range(count)]
    # LogAppendTime: the broker's clock, whatever the producer says.
    assert {record.timestamp_type for record in records} == {1}
    return [bytes(record.value or b"") for record in records]


async def test_an_instance_repairs_itself_and_survives_kill_9(folder: Path) -> None:
    settings = instance_settings(folder)
    data_dir = DataDir(folder)

    up = _command(folder, "up", "--detach", "--json")
    assert up.returncode == 0, up.stderr
    assert json.loads(up.stdout)["status"] == "ready"
    again = _command(folder, "up")
    assert again.returncode == 0 and "already up" in again.stderr
    first = running_state(data_dir)
    assert first is not None and first.addresses is not None
    assert connect(settings).kafka_url() == first.addresses.kafka

    # What ends unasked is started again, servers on the same port.
    for name in ("echo", "valkey"):
        part = _part(folder, name)
        assert part is not None and part.pid is not None
        os.kill(part.pid, signal.SIGKILL)
        repaired = await until(lambda name=name: _part(folder, name, 1), f"{name} is back")
        assert repaired.pid != part.pid
    repaired_state = running_state(data_dir)
    assert repaired_state is not None and repaired_state.addresses == first.addresses

    # A log does not grow without end while its process goes on; a server's, a worker's and the supervisor's own.
    for name in ("kafka", "echo", "supervisor"):
        log = data_dir.log_file(name)
        os.truncate(log, LOG_BYTES_MAX + 1)
        await until(lambda log=log: log.with_suffix(".log.1").exists(), f"{log} is put aside")
        await until(lambda log=log: log.stat().st_size < LOG_BYTES_MAX, f"{log} is short again")

    # A stack in another program uses this instance and leaves it running.
    async with Stack(settings, argv=UP) as connected:
        assert connected.redis_url() == first.addresses.redis
    assert running_state(data_dir) is not None

    await _send(first.addresses.kafka, [b"one", b"two"])
    os.kill(first.supervisor.pid, signal.SIGKILL)
    await until(lambda: not processes_naming(folder), "nothing is left of a killed supervisor")
    assert running_state(data_dir) is None
    assert _command(folder, "status").returncode == 3

    # A killed run's data is there for the next, which ends with Ctrl-C.
    async with Stack(settings, argv=UP) as connected:
        second = running_state(data_dir)
        assert second is not None and await _starts(second) == 2
        assert await _read(connected.kafka_url(), 2) == [b"one", b"two"]
        assert second.addresses == first.addresses
        os.kill(second.supervisor.pid, signal.SIGINT)
        await until(lambda: not is_running(second.supervisor), "Ctrl-C ends the supervisor")
        assert processes_naming(folder) == []

    idle = _command(folder, "down", "--json")
    assert idle.returncode == 0 and json.loads(idle.stdout)["stopped"] is False


async def test_down_stops_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWSOS_KAFKA", NOWHERE)
    assert _command(folder, "up", "--detach").returncode == 0
    assert len(processes_naming(folder)) >= 2
    down = _command(folder, "down")
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert processes_naming(folder) == []


def test_a_stack_works_without_an_event_loop_and_ends_with_its_block(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAWSOS_KAFKA", NOWHERE)
    lines: list[str] = []
    with Stack(instance_settings(folder), argv=UP, report=lines.append) as connected:
        assert connected.kafka_url() == NOWHERE
        assert running_state(DataDir(folder)) is not None
    assert [line.split()[0] for line in lines if " ready in " in line][-1] == "echo"
    assert running_state(DataDir(folder)) is None


async def test_a_worker_that_cannot_start_is_an_error_with_its_own_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAWSOS_KAFKA", NOWHERE)
    monkeypatch.setenv("INSTANCE_FAIL", "1")
    with pytest.raises(ServiceFailed) as caught:
        async with Stack(instance_settings(folder), argv=UP):
            pass
    assert "worker echo ended with code 4" in str(caught.value)
    assert "the worker says why it cannot start" in str(caught.value)
