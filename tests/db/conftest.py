"""Databases with the current schema, copied from one template per session."""

from collections.abc import AsyncIterator

import pytest

from db.migrate import migrate
from db.postgres import Pool, open_pool
from tests.conftest import MakeDatabase
from tests.services import Database


async def _current_schema(admin_url: str) -> None:
    await migrate(admin_url)


@pytest.fixture
async def database(fresh_database: MakeDatabase) -> Database:
    """A database of the test's own with the current schema."""
    return await fresh_database(_current_schema, key="db-schema")


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Pool]:
    """Pool of the application's role."""
    pool = await open_pool(database.url, size_max=4)
    yield pool
    await pool.close()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Pool]:
    """Pool of the role that owns the schema."""
    pool = await open_pool(database.admin_url, size_max=2)
    yield pool
    await pool.close()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def database_or_memory(request: pytest.FixtureRequest) -> Database | None:
    """Runs a test twice: on a database, and with None for the stores in memory."""
    return request.getfixturevalue("database") if request.param == "postgres" else None
