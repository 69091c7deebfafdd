"""Kafka's head start: made once, used when it fits, missed by nobody when it does not."""

import asyncio
import shutil
from pathlib import Path

import pytest

from local.data_dir import DataDir
from local.errors import ServiceFailed
from local.head_start import head_start
from local.jars import KAFKA_VERSION, cache_folder, kafka_jars
from local.kafka import KafkaServer
from local.process import command_line

COMMAND = ["java", "-cp", "jars"]


def write(name: str, data: bytes) -> None:
    Path(name).write_bytes(data)


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def test_it_is_made_once_for_all_who_ask(tmp_path: Path) -> None:
    made: list[Path] = []

    async def rehearse(folder: Path, option: str) -> None:
        made.append(folder)
        await asyncio.sleep(0.05)
        write(option.removeprefix("-XX:AOTCacheOutput="), b"learnt")

    asked = await asyncio.gather(*(head_start(tmp_path, COMMAND, rehearse) for _ in range(3)))
    assert len(made) == 1
    (file,) = found(tmp_path, "kafka-*.aot")
    assert file.read_bytes() == b"learnt"
    assert {options[0] for options in asked} == {f"-XX:AOTCache={file}"}
    # Nothing of the rehearsal is left, and other options or jars need another file.
    assert not found(tmp_path, "rehearsal-*")
    await head_start(tmp_path, [*COMMAND, "another.jar"], rehearse)
    assert len(made) == 2


async def test_a_rehearsal_that_fails_is_said_and_not_repeated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[Path] = []

    async def rehearse(folder: Path, option: str) -> None:
        tried.append(folder)
        raise ServiceFailed("kafka ended with code 1")

    assert await head_start(tmp_path, COMMAND, rehearse) == ()
    assert await head_start(tmp_path, COMMAND, rehearse) == ()
    assert len(tried) == 1
    assert "without its head start" in caplog.text and "ended with code 1" in caplog.text


@pytest.mark.integration
async def test_a_broker_starts_with_it_and_also_when_the_file_is_damaged(tmp_path: Path) -> None:
    jars = kafka_jars(cache_folder(None))
    cache = tmp_path / "cache"
    shutil.copytree(jars[0].parent, cache / f"kafka-{KAFKA_VERSION}")
    with DataDir(tmp_path / "instance") as data_dir:
        ports = data_dir.choose_ports({})

        async def started() -> str:
            """Start, ask and end a broker; return its command line and what it said."""
            instance, controller = data_dir.instance(), ports["kafka_controller"]
            server = KafkaServer(data_dir, instance, ports["kafka"], controller_port=controller, cache=cache)
            await server.start(60)
            assert await server.answers() and server.child is not None
            said = command_line(server.child.pid)
            await server.stop()
            return said + server.child.log_tail(200)

        said = await started()
        (file,) = cache.glob("kafka-*.aot")
        assert f"-XX:AOTCache={file}" in said and "[aot" not in said
        assert file.stat().st_size > 10_000_000
        with file.open("r+b") as damaged:
            damaged.truncate(file.stat().st_size // 2)
        await started()
