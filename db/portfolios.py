"""Portfolios in Postgres, under row-level security."""

from collections.abc import Sequence
from uuid import UUID

from db.portfolio import Portfolio, require_same_ledger
from db.postgres import Pool, tenant_transaction, upstream_failures
from db.sql import query


class PortfolioRepository:
    """Portfolios of one user at a time. Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, tenant: str, user_id: UUID, portfolio_id: UUID) -> Portfolio | None:
        """Return the portfolio; None when there is none or it is someone else's (the two cannot be told apart)."""
        with upstream_failures("reading a portfolio"):
            row = await self._pool.fetchrow(query("portfolio_get"), tenant, user_id, portfolio_id)
        return None if row is None else Portfolio(**dict(row))

    async def list(self, tenant: str, user_id: UUID) -> Sequence[Portfolio]:
        """Return all portfolios of the user, by name."""
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            rows = await connection.fetch(query("portfolio_list"))
        return tuple(Portfolio(**dict(row)) for row in rows)

    async def put(self, tenant: str, user_id: UUID, portfolio: Portfolio) -> bool:
        """Make the portfolio or change it.

        Returns:
            False when the id belongs to someone else; nothing is changed then.

        Raises:
            TerminalError: INVALID_INPUT when ledger path or booking method would change.
        """
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            row = await connection.fetchrow(query("portfolio_get"), tenant, user_id, portfolio.id)
            require_same_ledger(None if row is None else Portfolio(**dict(row)), portfolio)
            changed = await connection.fetchval(
                query("portfolio_update"),
                portfolio.id,
                portfolio.name,
                portfolio.base_ccy,
                portfolio.benchmark_id,
                portfolio.policy,
            )
            if changed is None:
                changed = await connection.fetchval(
                    query("portfolio_insert"),
                    portfolio.id,
                    portfolio.name,
                    portfolio.base_ccy,
                    portfolio.benchmark_id,
                    portfolio.booking,
                    portfolio.ledger_path,
                    portfolio.policy,
                    tenant,
                    user_id,
                )
        return changed is not None
