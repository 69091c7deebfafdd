"""Fixtures every test may use; services start lazily, so unit tests cost nothing."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from local.embedded import Addresses
from services.garbage import look_for_garbage_rarely
from settings import Settings
from tests.browser import chromium_up
from tests.services import Database, DatabaseMaker, environment_settings, service_addresses

# As workers do: looking for garbage among all that 3,000 tests keep takes an eighth of their processor time.
look_for_garbage_rarely()

# No broker of the tests lives long enough to earn back what optimizing costs.
os.environ.setdefault("DAWSOS_KAFKA_OPTIMIZING", "false")

# Starting the gateway's system costs as much as most of its files; in one process it is started once.
_TOGETHER = ("tests/gateway",)
# Begun first, so that no process is left alone with one of them at the end.
_LONGEST = (
    "tests/gateway",
    "tests/docs/test_commands.py",
    "tests/chaos/test_run.py",
    "tests/bridge/test_console.py",
    "tests/integration/test_main_job.py",
    "tests/simulation/test_seeds.py",
    "tests/local/test_supervisor.py",
    "tests/local/test_head_start.py",
    "tests/integration/test_liveness.py",
)

MakeDatabase = Callable[..., Awaitable[Database]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest units first; the others keep their order."""
    place = {name: at for at, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(unit_of(item.nodeid), len(place)))


def unit_of(nodeid: str) -> str:
    """What one process runs from beginning to end: a file, or a folder whose files share a whole system."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in _TOGETHER if file.startswith(f"{folder}/")), file)


def pytest_collection_finish() -> None:
    """Leave what was collected out of every search for garbage: it stays to the end."""
    gc.collect()
    look_for_garbage_rarely()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out units with `--dist loadfile`."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByUnit(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return ByUnit(config, log)


@pytest.fixture(scope="session")
async def services() -> AsyncIterator[Addresses]:
    """All three services, started once per session."""
    async with service_addresses() as addresses:
        yield addresses


@pytest.fixture(scope="session")
def kafka_url(services: Addresses) -> str:
    return services.kafka


@pytest.fixture(scope="session")
def postgres_url(services: Addresses) -> str:
    return services.postgres


@pytest.fixture(scope="session")
def postgres_admin_url(services: Addresses) -> str:
    return services.postgres_admin


@pytest.fixture(scope="session")
def redis_url(services: Addresses) -> str:
    return services.redis


@pytest.fixture(scope="session")
async def database_maker(services: Addresses) -> AsyncIterator[DatabaseMaker]:
    """One per session, so that its templates are made once."""
    maker = DatabaseMaker(services.postgres, services.postgres_admin)
    yield maker
    # A server that was started for this session goes away with everything in it; dropping costs a checkpoint each.
    if environment_settings().postgres is not None:
        await maker.close()


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser per session; starting it costs more than most of what is looked at in it."""
    async with chromium_up() as browser:
        yield browser


@pytest.fixture
def fresh_database(database_maker: DatabaseMaker) -> MakeDatabase:
    """`await fresh_database()` makes an empty database of the test's own.

    `await fresh_database(migrate, key="schema")` makes a copy of a template that `migrate(admin_url)` filled once.
    """
    return database_maker.make


@pytest.fixture
def topic_prefix() -> str:
    """Isolates a test's topics, groups and client ids on the shared broker."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def service_settings(services: Addresses, topic_prefix: str, tmp_path: Path) -> Settings:
    """Settings with all addresses, a prefix and a data directory of the test's own."""
    settings = services.apply(environment_settings())
    return settings.model_copy(update={"topic_prefix": topic_prefix, "data_dir": tmp_path})
