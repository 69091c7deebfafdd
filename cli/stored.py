"""A result made whole from the database: outputs behind references, holdings, names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from topics.messages import ExecutionResult

if TYPE_CHECKING:
    from db.postgres import Pool


@dataclass(frozen=True, slots=True)
class Stored:
    """A result with what people want to see beside it.

    Attributes:
        holdings: see `cli.holdings.find_holdings`.
        portfolio_name: as its owner calls it now; None without a portfolio.
        pattern_name: of the newest version of the pattern; None when it is unknown here.
    """

    result: ExecutionResult
    holdings: list[dict[str, Any]]
    portfolio_name: str | None
    pattern_name: str | None


async def complete(pool: Pool, result: ExecutionResult, *, details: bool = True) -> Stored:
    """Read what a result refers to. Values whose lease is over stay references.

    Args:
        pool: with the application's role.
        result: as it travelled.
        details: also read holdings and names, which only people want.
    """
    from cli.artifacts import read_all, with_outputs
    from cli.holdings import find_holdings
    from db.artifacts import ArtifactRepository
    from db.portfolios import PortfolioRepository

    store = ArtifactRepository(pool)
    whole = await with_outputs(store, result)
    if not details:
        return Stored(whole, [], None, None)
    holdings = find_holdings(whole, await read_all(store, whole))
    name = None
    if result.trace.portfolio_id:
        portfolio = await PortfolioRepository(pool).get(result.tenant, result.user_id, UUID(result.trace.portfolio_id))
        name = portfolio.name if portfolio else None
    return Stored(whole, holdings, name, _pattern_name(result.pattern_id))


def _pattern_name(pattern_id: str) -> str | None:
    from cli.failures import CommandFailed
    from cli.pattern_commands import find_pattern

    try:
        return find_pattern(pattern_id).name
    except CommandFailed:
        return None
