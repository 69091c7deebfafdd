"""Kafka's head start: made once, used when it fits, missed by nobody when it does not."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from local.data_dir import DataDir
from local.errors import ServiceFailed
from local.head_start import head_start
from local.jars import KAFKA_VERSION, kafka_jars
from local.kafka import QUICK, KafkaServer
from local.process import Child, command_line, is_running
from settings import cache_folder

COMMAND = ["java", "-cp", "jars"]


def quiet(text: str) -> None:
    pass


def write(name: str, data: bytes) -> None:
    Path(name).write_bytes(data)


def make(folder: Path) -> None:
    folder.mkdir(parents=True)


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def test_it_is_made_once_for_all_who_ask(tmp_path: Path) -> None:
    made: list[Path] = []
    said: list[str] = []

    async def rehearse(folder: Path, option: str) -> None:
        made.append(folder)
        await asyncio.sleep(0.05)
        write(option.removeprefix("-XX:AOTCacheOutput="), b"learnt")

    asked = await asyncio.gather(*(head_start(tmp_path, COMMAND, rehearse, said.append) for _ in range(3)))
    assert len(made) == 1
    (file,) = found(tmp_path, "kafka-*.aot")
    assert file.read_bytes() == b"learnt"
    assert {options[0] for options in asked} == {f"-XX:AOTCache={file}"}
    # Nothing of the rehearsal is left, and other options or jars need another file.
    assert not found(tmp_path, "rehearsal*")
    assert [text.partition(",")[0] for text in said] == [
        "making Kafka's head start",
        *["another start is making Kafka's head start; waiting for it"] * 2,
    ]
    await head_start(tmp_path, [*COMMAND, "another.jar"], rehearse, quiet)
    assert len(made) == 2


async def test_files_nobody_has_used_for_a_month_go_when_a_new_one_is_made(tmp_path: Path) -> None:
    async def rehearse(folder: Path, option: str) -> None:
        write(option.removeprefix("-XX:AOTCacheOutput="), b"learnt")

    async def started(*more: str) -> Path:
        option, _ = await head_start(tmp_path, [*COMMAND, *more], rehearse, quiet)
        return Path(option.removeprefix("-XX:AOTCache="))

    used, unused = await started(), await started("a")
    for file in (used, unused):
        os.utime(file, (0, 0))
    await started()
    assert {used, unused} <= set(found(tmp_path, "*.aot"))
    new = await started("b")
    assert set(found(tmp_path, "*.aot")) == {used, new}


async def test_a_rehearsal_that_fails_is_said_and_repeated_tomorrow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[Path] = []

    async def rehearse(folder: Path, option: str) -> None:
        tried.append(folder)
        raise ServiceFailed("kafka ended with code 1")

    for _ in range(2):
        assert await head_start(tmp_path, COMMAND, rehearse, quiet) == ()
    assert len(tried) == 1
    (note,) = found(tmp_path, "*.failed")
    assert str(note) in caplog.text and "ended with code 1" in caplog.text
    os.utime(note, (0, 0))
    await head_start(tmp_path, COMMAND, rehearse, quiet)
    assert len(tried) == 2


async def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def rehearse(folder: Path, option: str) -> None:
        raise AssertionError("there is no place for it")

    # Root may write anywhere; this is refused to everybody.
    make(tmp_path / "head-start.lock")
    assert await head_start(tmp_path, COMMAND, rehearse, quiet) == ()
    assert f"cannot be kept in {tmp_path}" in caplog.text


async def test_a_start_that_waits_for_another_can_be_cancelled(tmp_path: Path) -> None:
    async def rehearse(folder: Path, option: str) -> None:
        await asyncio.sleep(60)

    first = asyncio.create_task(head_start(tmp_path, COMMAND, rehearse, quiet))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(head_start(tmp_path, COMMAND, rehearse, quiet))
    await asyncio.sleep(0.05)
    for task in (second, first):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
    assert not found(tmp_path, "rehearsal*")


async def test_what_a_killed_start_left_is_stopped_and_removed(tmp_path: Path) -> None:
    left = tmp_path / "rehearsal" / "instance"
    make(left)
    with DataDir(left) as data_dir:
        program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        child = Child("kafka", [sys.executable, "-c", program, str(left)], log=data_dir.log_file("kafka"))
        data_dir.record_processes([child.record])

    async def rehearse(folder: Path, option: str) -> None:
        assert not is_running(child.record)
        assert found(folder.parent, "*") == []
        write(option.removeprefix("-XX:AOTCacheOutput="), b"learnt")

    try:
        assert await head_start(tmp_path, COMMAND, rehearse, quiet) != ()
    finally:
        child.kill()


@pytest.mark.integration
async def test_a_broker_starts_with_it_and_also_when_the_file_is_damaged(tmp_path: Path) -> None:
    jars = kafka_jars(cache_folder(None))
    cache = tmp_path / "cache"
    shutil.copytree(jars[0].parent, cache / f"kafka-{KAFKA_VERSION}")
    with DataDir(tmp_path / "instance") as data_dir:

        def broker(*, optimizing: bool) -> KafkaServer:
            ports = data_dir.choose_ports({})
            return KafkaServer(
                data_dir,
                data_dir.instance(),
                ports["kafka"],
                controller_port=ports["kafka_controller"],
                cache=cache,
                optimizing=optimizing,
            )

        async def started(*, optimizing: bool = True) -> str:
            """Start, ask and end a broker; return its command line and what it said."""
            # While the head start is made, which takes long, the ports may be taken by others.
            await broker(optimizing=optimizing).prepare()
            server = broker(optimizing=optimizing)
            await server.start(60)
            assert await server.answers() and server.child is not None
            said = command_line(server.child.pid)
            await server.stop()
            return said + server.child.log_tail(200)

        said = await started()
        (file,) = cache.glob("kafka-*.aot")
        assert f"-XX:AOTCache={file}" in said and "[aot" not in said and QUICK not in said
        # One file does for both.
        said = await started(optimizing=False)
        assert f"-XX:AOTCache={file}" in said and "[aot" not in said and QUICK in said
        assert list(cache.glob("kafka-*.aot")) == [file]
        assert file.stat().st_size > 10_000_000
        with file.open("r+b") as damaged:
            damaged.truncate(file.stat().st_size // 2)
        await started()
