"""Postgres away at the start, or dying in the middle."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import asyncpg
import pytest

from db.executions import ExecutionRepository
from db.postgres import Pool, RoleBypassesSecurity, open_pool, tenant_transaction, transaction, upstream_failures
from db.sql import parse_queries, query
from tests.frozen import Way
from tests.services import Database
from topics.errors import Code, RetryableError

ALICE = UUID(int=1)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def test_away_at_the_start(closed_port: int) -> None:
    with pytest.raises(RetryableError) as failed:
        await open_pool(f"postgresql://someone:secret@127.0.0.1:{closed_port}/nothing")
    assert (failed.value.code, failed.value.service) == (Code.UPSTREAM_FAILED, "postgres")
    assert f"127.0.0.1:{closed_port}" in failed.value.message and "secret" not in failed.value.message


async def test_a_server_that_never_answers_costs_the_time_limit() -> None:
    accepted = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(RetryableError):
            await open_pool(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable", connect_timeout_s=0.3)
        assert accepted.is_set()


@pytest.mark.integration
async def test_connections_that_die_are_replaced(app: Pool, owner: Pool) -> None:
    executions = ExecutionRepository(app)
    assert await executions.list("acme", ALICE) == ()
    with pytest.raises(RetryableError) as failed:
        async with tenant_transaction(app, "acme", ALICE) as connection:
            victim = connection.get_server_pid()
            # From another connection of the same role, as a crash of its server process would.
            async with app.acquire() as other:
                assert await other.fetchval("SELECT pg_terminate_backend($1, 5000)", victim)
            await connection.fetchval("SELECT 1")
    assert (failed.value.code, failed.value.service) == (Code.UPSTREAM_FAILED, "postgres")
    assert await executions.list("acme", ALICE) == ()


def test_a_connection_left_in_the_middle_of_a_statement_is_an_upstream_failure() -> None:
    # What asyncpg says, instead of the cause, when it takes back a connection whose server was killed.
    with pytest.raises(RetryableError), upstream_failures("reading"):
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")


@pytest.mark.integration
async def test_a_statement_that_takes_too_long_is_retryable(app: Pool) -> None:
    with pytest.raises(RetryableError):
        async with transaction(app) as connection:
            await connection.execute("SELECT pg_sleep(30)", timeout=0.2)


@pytest.mark.integration
async def test_mistakes_in_statements_are_not_retryable(app: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with transaction(app) as connection:
            await connection.execute("SELECT * FROM no_such_table")


@pytest.mark.integration
async def test_a_role_that_bypasses_row_security_is_refused(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    # The servers of the tests have such a role only for themselves, so the question is what is replaced.
    monkeypatch.setattr("db.postgres.query", lambda name: "SELECT current_user AS name, true AS bypasses")
    with pytest.raises(RoleBypassesSecurity, match="dawsos_app is a superuser or has BYPASSRLS"):
        await open_pool(postgres_url)
    pool = await open_pool(postgres_url, allow_bypass=True)
    await pool.close()


def test_named_queries() -> None:
    parsed = parse_queries("-- about\n-- name: a\nSELECT 1\n\n-- name: b\n-- why\nSELECT 2\n")
    assert parsed == {"a": "SELECT 1", "b": "-- why\nSELECT 2"}
    with pytest.raises(ValueError, match="two queries are called 'a'"):
        parse_queries("-- name: a\nSELECT 1\n-- name: a\nSELECT 2")
    with pytest.raises(ValueError, match="expected a name and a statement"):
        parse_queries("-- name: a\n")
    with pytest.raises(KeyError):
        query("no_such_query")


@pytest.mark.integration
async def test_every_query_is_one_statement_of_the_current_schema(owner: Pool) -> None:
    from db.sql import _queries

    async with owner.acquire() as connection:
        for name, statement in _queries().items():
            if not name.startswith("analyze"):
                assert await connection.prepare(statement), name


async def _single(pool: Pool) -> None:
    await pool.fetchval("SELECT 1")


async def _in_transaction(pool: Pool) -> None:
    async with tenant_transaction(pool, "acme", ALICE) as connection:
        await connection.fetchval("SELECT 1")


@pytest.mark.integration
@pytest.mark.parametrize("ask", [_single, _in_transaction])
@pytest.mark.parametrize("limit", ["the caller's", "the statement's"])
async def test_a_server_that_freezes_keeps_nobody(
    database: Database, ask: Callable[[Pool], Awaitable[None]], limit: str
) -> None:
    loop = asyncio.get_running_loop()
    async with Way(database.url).opened() as way:
        statement_s = 0.3 if limit == "the statement's" else 30.0
        pool = await open_pool(way.url, size_max=2, command_timeout_s=statement_s, wait_timeout_s=0.3)
        await ask(pool)
        way.freeze()
        begun = loop.time()
        # The first two find connections, the third one has to make one.
        for _ in range(3):
            with pytest.raises((TimeoutError, RetryableError)):
                async with asyncio.timeout(0.3 if limit == "the caller's" else None):
                    await ask(pool)
        assert loop.time() - begun < 5
        way.thaw()
        await ask(pool)
        way.freeze()
        begun = loop.time()
        await pool.close()
        assert loop.time() - begun < 6


@pytest.mark.integration
async def test_nothing_is_logged_beside_what_callers_are_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncpg logs a traceback for each connection it cannot make in the background: so it makes none there."""
    async with Way(database.url).opened() as way:
        pool = await open_pool(way.url, command_timeout_s=0.2, connect_timeout_s=0.2)
        way.freeze()
        with pytest.raises((TimeoutError, RetryableError)):
            await _in_transaction(pool)
        # The only connection was cut; a new one in its place would be given up after 0.2 s.
        await asyncio.sleep(0.6)
        assert [record.getMessage() for record in caplog.records if record.name.startswith("asyncpg")] == []
        way.thaw()
        async with asyncio.timeout(30):
            # A busy machine may need more than 0.2 s for a connection.
            while True:
                with suppress(TimeoutError, RetryableError):
                    await _in_transaction(pool)
                    break
        await pool.close()


@pytest.mark.integration
async def test_a_cancellation_stays_one_though_the_server_freezes(database: Database) -> None:
    async with Way(database.url).opened() as way:
        pool = await open_pool(way.url, size_max=2)
        asking = asyncio.create_task(_in_transaction(pool))
        way.freeze()
        await asyncio.sleep(0.1)
        asking.cancel()
        done, _ = await asyncio.wait((asking,), timeout=5)
        assert done and asking.cancelled()
        way.thaw()
        await pool.close()
