"""Fixtures every test may use; services start lazily, so unit tests cost nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from local.embedded import Addresses
from settings import Settings
from tests.browser import chromium_up
from tests.services import Database, DatabaseMaker, environment_settings, service_addresses

# No broker of the tests lives long enough to earn back what optimizing costs.
os.environ.setdefault("DAWSOS_KAFKA_OPTIMIZING", "false")

# Begun first, so that no process is left alone with one of them at the end.
_LONGEST = (
    "tests/docs/test_commands.py",
    "tests/bridge/test_console.py",
    "tests/chaos/test_run.py",
    "tests/gateway/test_cli.py",
    "tests/simulation/test_seeds.py",
)

MakeDatabase = Callable[..., Awaitable[Database]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others keep their order."""
    place = {name: at for at, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


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
