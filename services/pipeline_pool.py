"""The pack builder's desk on Postgres, and the pool of the role that may write packs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from agents.pack_ports import MacroPoint
from db.macro import MacroRepository, MacroRow
from db.pack_writer import PackWriter
from db.postgres import Pool, open_pool
from services.pack_desk import Store, StorePackDesk
from topics.errors import Code, RetryableError, TerminalError


class OwnerPool:
    """The pool that may write packs, opened when the first build asks for it and closed with the worker.

    Args:
        url: of the pipeline's role; None when none is configured.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._pool: Pool | None = None

    async def get(self) -> Pool:
        """Return the open pool.

        Raises:
            TerminalError: FORBIDDEN when no role may write packs here.
            RetryableError: Postgres does not answer.
        """
        if self._url is None:
            raise TerminalError(
                Code.FORBIDDEN,
                "this worker has no role that may write packs: set DAWSOS_POSTGRES_PIPELINE or DAWSOS_POSTGRES_ADMIN",
            )
        if self._pool is None:
            self._pool = await open_pool(self._url, size_max=2)
        return self._pool

    async def close(self) -> None:
        """Close the pool if it was opened."""
        if self._pool is not None:
            await self._pool.close()


def postgres_desk(pool: OwnerPool) -> StorePackDesk:
    """Return the desk of a worker: packs and macro series in Postgres."""

    @asynccontextmanager
    async def store() -> AsyncIterator[Store]:
        try:
            yield PackWriter(await pool.get())
        except asyncpg.UniqueViolationError as error:
            # Two builds at the same moment made the same revision: the next attempt finds it.
            raise RetryableError(
                Code.UPSTREAM_FAILED, f"another build is at work: {error}", service="postgres"
            ) from error

    async def add_macro(rows: Sequence[MacroPoint]) -> None:
        await MacroRepository(await pool.get()).add(
            [MacroRow(row.series_id, row.obs_date, row.vintage, row.value, row.source) for row in rows]
        )

    return StorePackDesk(store, add_macro)
