"""Connections to Postgres: pools with limits, transactions that say for whom, and one place for its failures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy
from asyncpg.transaction import Transaction

from db.sql import query
from topics.errors import Code, RetryableError

SERVICE = "postgres"

Pool: TypeAlias = asyncpg.Pool
Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy

# How long a connection may take to become usable again after its statement was given up. A server that is well needs
# milliseconds; one that hangs would keep whoever gave up, so its connection is cut.
_GIVE_BACK_S = 1.0
_CLOSE_S = 5.0

# The server or the way to it is at fault, or another transaction was in the way; the statement itself is fine.
_FLEETING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A connection that dies under a statement may fail so when it is given back, hiding the cause.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
# These are subclasses of the above that do mean a mistake in the program.
_MISUSE = (asyncpg.UnsupportedClientFeatureError,)


class BoundedPool(asyncpg.Pool):
    """A pool that keeps nobody: giving a connection back, and closing, end also when the server does not answer.

    Args:
        wait_timeout_s: longest to wait for a connection.
    """

    def __init__(self, *arguments: Any, wait_timeout_s: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._wait_timeout_s = wait_timeout_s

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext:
        """Return what gives a connection, when awaited or entered."""
        if timeout is None and not self.get_idle_size():
            # Only then: with a limit asyncpg makes a task for what needs no waiting.
            timeout = self._wait_timeout_s
        return super().acquire(timeout=timeout)

    async def release(self, connection: PoolConnectionProxy, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Take a connection back; one that is not usable again in time is cut, and a new one made when needed."""
        # Cut is what asyncpg has done when it says so. Whoever gave up keeps the reason, a cancellation above all.
        with suppress(TimeoutError):
            await super().release(connection, timeout=_GIVE_BACK_S)

    async def close(self) -> None:
        """Close all connections, those of a server that does not answer by force."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await super().close()


class RoleBypassesSecurity(RuntimeError):
    """The role would see every tenant's rows: it is a superuser or has BYPASSRLS. Use another one."""


@contextmanager
def upstream_failures(doing: str):
    """Turn failures of Postgres or the way to it into `RetryableError`; everything else passes.

    Args:
        doing: what was tried, for the error's text.

    Raises:
        RetryableError: UPSTREAM_FAILED with service `postgres`.
    """
    try:
        yield
    except _FLEETING as error:
        if isinstance(error, _MISUSE):
            raise
        reason = str(error) or type(error).__name__
        raise RetryableError(Code.UPSTREAM_FAILED, f"Postgres, {doing}: {reason}", service=SERVICE) from error


async def open_pool(
    url: str,
    *,
    size_max: int = 10,
    command_timeout_s: float = 30.0,
    wait_timeout_s: float = 30.0,
    connect_timeout_s: float = 5.0,
    allow_bypass: bool = False,
    plan_once: bool = False,
) -> Pool:
    """Open a pool and make sure that Postgres answers and that the role is subject to row-level security.

    Connections that die are replaced when they are next asked for; the operation they died under raises
    `RetryableError`.

    Args:
        url: `postgresql://…`.
        size_max: connections at most; further callers wait.
        command_timeout_s: longest a statement may take.
        wait_timeout_s: longest to wait for a connection, while others have them all or a new one is made.
        connect_timeout_s: longest that connecting may take.
        allow_bypass: for tools that work on global tables only, or look at every tenant's rows on purpose.
        plan_once: keep the first plan of a statement, whatever its parameters: for those who ask the same few
            questions again and again. Not for lists with optional filters.

    Raises:
        RetryableError: Postgres does not answer; the text names host and port, never the password.
        RoleBypassesSecurity: the role is exempt from row-level security.
    """
    parts = urlsplit(url)
    with upstream_failures(f"connecting to {parts.hostname}:{parts.port or 5432}"):
        pool = await BoundedPool(
            url,
            wait_timeout_s=wait_timeout_s,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            setup=None,
            init=None,
            connect=None,
            loop=None,
            # One to see that the server answers. None is kept up from then on: asyncpg would try again and again beside
            # us while the server is away, with a traceback in the log each time.
            init_size=1,
            min_size=0,
            max_size=size_max,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            command_timeout=command_timeout_s,
            timeout=connect_timeout_s,
            server_settings={
                "application_name": "dawsos",
                "timezone": "UTC",
                "plan_cache_mode": "force_generic_plan" if plan_once else "auto",
            },
            reset=_leave_as_it_is,
        )
        role = await pool.fetchrow(query("current_role"))
    assert role is not None
    if role["bypasses"] and not allow_bypass:
        await pool.close()
        raise RoleBypassesSecurity(
            f"role {role['name']} is a superuser or has BYPASSRLS, so row-level security would not hold: "
            "expected a plain role"
        )
    return pool


async def _leave_as_it_is(connection: Connection) -> None:
    """Stock resets a connection given back, one round trip each time; what we set ends with its transaction.

    A transaction left open is rolled back nevertheless.
    """


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Run a block in one transaction, for global tables only: tenant tables look empty.

    Raises:
        RetryableError: Postgres failed; nothing of the block was committed, or it is not known.
    """
    with upstream_failures("transaction"):
        async with pool.acquire() as connection:
            # Not `async with`: its rollback would wait for a server that hangs.
            work = connection.transaction()
            await work.start()
            try:
                yield connection
            except BaseException:
                await _roll_back(work, connection)
                raise
            await work.commit()


async def _roll_back(work: Transaction, connection: Connection) -> None:
    """End a transaction that failed; where that fails too, with its connection, for the server does the same then."""
    try:
        async with asyncio.timeout(_GIVE_BACK_S):
            await work.rollback()
    except (*_FLEETING, asyncpg.PostgresError):
        with suppress(asyncpg.InterfaceError):
            connection.terminate()


@asynccontextmanager
async def tenant_transaction(pool: Pool, tenant: str, user_id: UUID) -> AsyncIterator[Connection]:
    """Run a block in one transaction that sees and writes this user's rows only.

    The setting ends with the transaction, so a pooled connection carries nothing to the next user.

    Raises:
        RetryableError: Postgres failed.
    """
    async with transaction(pool) as connection:
        await act_for(connection, tenant, user_id)
        yield connection


async def act_for(connection: Connection, tenant: str, user_id: UUID) -> None:
    """Say for whom the rest of the current transaction works; may be said again for another user.

    The projector, which writes for all tenants, does so before each row. That needs no role with more rights, and a
    forgotten call writes nothing rather than too much.
    """
    await connection.execute(query("act_for"), tenant, user_id)
