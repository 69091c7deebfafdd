"""Booked ledgers by portfolio and commit in Postgres. A commit is booked once; the same commit has the same rows.

A release that books to other rows has a higher `ROWS_VERSION`: it books stored commits anew, each when it is asked for.
"""

import json
from collections.abc import Sequence
from uuid import UUID

from db.postgres import Pool, tenant_transaction
from db.snapshot_rules import ROWS_VERSION, Row, different_rows
from db.sql import query
from topics.errors import Code, TerminalError


class SnapshotRepository:
    """Snapshots of ledgers. Rows are JSON-ready: dates as ISO text, decimals as plain decimal strings."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def load(
        self, tenant: str, user_id: UUID, portfolio_id: UUID, commit: str
    ) -> tuple[str, list[dict[str, str | int | None]]] | None:
        """Return (content_hash, rows in ledger order); None when this commit was never stored, or is someone else's."""
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            content_hash = await connection.fetchval(query("snapshot_get"), portfolio_id, commit, ROWS_VERSION)
            if content_hash is None:
                return None
            rows = await connection.fetch(query("snapshot_rows"), portfolio_id, commit)
        return content_hash, [dict(row) for row in rows]

    async def store(
        self,
        tenant: str,
        user_id: UUID,
        portfolio_id: UUID,
        commit: str,
        content_hash: str,
        rows: Sequence[Row],
    ) -> None:
        """Keep the rows; storing the same commit again changes nothing.

        Raises:
            TerminalError: UNKNOWN_PORTFOLIO when the user has no such portfolio; INTERNAL when the commit is stored
                with other rows, which means that booking is not deterministic.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            if await connection.fetchrow(query("portfolio_get"), tenant, user_id, portfolio_id) is None:
                raise TerminalError(Code.UNKNOWN_PORTFOLIO, f"there is no portfolio {portfolio_id}")
            await connection.execute(query("snapshot_drop_former"), portfolio_id, commit, ROWS_VERSION)
            made = await connection.fetchval(
                query("snapshot_put"), portfolio_id, commit, tenant, user_id, content_hash, len(rows), ROWS_VERSION
            )
            if made is None:
                stored = await connection.fetchval(query("snapshot_get"), portfolio_id, commit, ROWS_VERSION)
                # None: a newer release keeps its own rows of this commit, beside which there is no room for these.
                if stored is not None and stored != content_hash:
                    raise different_rows(commit, stored, content_hash)
                return
            await connection.execute(
                query("snapshot_put_rows"),
                portfolio_id,
                commit,
                tenant,
                user_id,
                json.dumps([dict(row) for row in rows]),
            )
