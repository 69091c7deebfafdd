"""An instance as `dawsos up` makes it: three worker processes on the session's services, with the demo loaded."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.embedded import Addresses
from settings import Settings, load_settings
from tests.services import DatabaseMaker

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance and the environment that finds it."""

    environment: dict[str, str]
    folder: Path

    async def dawsos(self, *arguments: str) -> Ended:
        """Run a command against the instance."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli.main",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=ROOT,
        )
        out, err = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    def settings(self) -> Settings:
        """What the instance's processes see."""
        return load_settings(
            _env_file=None,
            topic_prefix=self.environment["DAWSOS_TOPIC_PREFIX"],
            data_dir=Path(self.environment["DAWSOS_DATA_DIR"]),
            kafka=self.environment["DAWSOS_KAFKA"],
            postgres=self.environment["DAWSOS_POSTGRES"],
            postgres_admin=self.environment["DAWSOS_POSTGRES_ADMIN"],
            redis=self.environment["DAWSOS_REDIS"],
        )


@asynccontextmanager
async def instance_up(
    services: Addresses, database_maker: DatabaseMaker, folder: Path, **environment: str
) -> AsyncIterator[Instance]:
    """Run an instance in a folder and a database of its own.

    Args:
        services: Kafka, Postgres, Redis.
        database_maker: of the session.
        folder: unique name; holds its state.
        environment: further variables.
    """
    database = await database_maker.make()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAWSOS_")}
    made = Instance(
        {
            **inherited,
            "DAWSOS_KAFKA": services.kafka,
            "DAWSOS_POSTGRES": database.url,
            "DAWSOS_POSTGRES_ADMIN": database.admin_url,
            "DAWSOS_REDIS": services.redis,
            "DAWSOS_TOPIC_PREFIX": f"{folder.name}-{os.getpid()}.",
            "DAWSOS_DATA_DIR": str(folder / "state"),
            **environment,
        },
        folder,
    )
    try:
        up = await made.dawsos("up", "--detach")
        assert up.code == 0, up.err
        yield made
    finally:
        down = await made.dawsos("down")
    assert down.code == 0, down.err


@pytest.fixture(scope="module")
async def instance(
    services: Addresses, database_maker: DatabaseMaker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Instance]:
    async with instance_up(services, database_maker, tmp_path_factory.mktemp("instance")) as made:
        yield made
