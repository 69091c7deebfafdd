"""A database with the current schema, emptied before each test."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from db.migrate import migrate
from db.postgres import Pool, open_pool
from tests.services import Database, DatabaseMaker


async def _current_schema(admin_url: str) -> None:
    await migrate(admin_url)


# As the owner, who alone may switch the triggers off that keep packs from being truncated.
_EMPTY = """
DO $$
DECLARE
    tables text;
    name text;
BEGIN
    SELECT string_agg(relname, ', ') INTO tables FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations';
    FOREACH name IN ARRAY string_to_array(tables, ', ') LOOP
        EXECUTE 'ALTER TABLE ' || name || ' DISABLE TRIGGER USER';
    END LOOP;
    EXECUTE 'TRUNCATE ' || tables || ' RESTART IDENTITY';
    FOREACH name IN ARRAY string_to_array(tables, ', ') LOOP
        EXECUTE 'ALTER TABLE ' || name || ' ENABLE TRIGGER USER';
    END LOOP;
END
$$
"""


@pytest.fixture(scope="session")
async def shared_database(database_maker: DatabaseMaker) -> Database:
    """One database with the current schema for all tests of this folder."""
    return await database_maker.make(_current_schema, key="db-schema")


@pytest.fixture
async def database(shared_database: Database) -> Database:
    """A database with the current schema and no rows."""
    connection = await asyncpg.connect(shared_database.admin_url)
    try:
        await connection.execute(_EMPTY)
    finally:
        await connection.close()
    return shared_database


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
