"""Requests the gateway has taken, by (tenant, request id), kept far longer than the engine remembers an execution."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.postgres import Pool, tenant_transaction, transaction, upstream_failures
from db.sql import query


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a request id was free.

    Attributes:
        made: it was; now it is this request's.
        sha256: of the request that has the id; None when it is another user's.
        submitted_at: when that request came.
    """

    made: bool
    sha256: str | None
    submitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """A request that was taken."""

    request_id: str
    pattern_id: str
    submitted_at: datetime


class RequestRepository:
    """Works with the application's role.

    Args:
        pool: from `db.postgres.open_pool`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(
        self, tenant: str, user_id: UUID, request_id: str, sha256: str, execution_id: UUID, pattern_id: str
    ) -> Claim:
        """Take a request id, durably, before the request is published. One round trip.

        Raises:
            RetryableError: Postgres failed; the id may have been taken.
        """
        with upstream_failures("noting a request"):
            row = await self._pool.fetchrow(
                query("request_claim"), tenant, user_id, request_id, sha256, execution_id, pattern_id
            )
        assert row is not None
        return Claim(row["made"], row["known_sha256"], row["known_at"])

    async def of_execution(self, tenant: str, user_id: UUID, execution_id: UUID) -> KnownRequest | None:
        """Return the request of an execution; None when it is not known or somebody else's."""
        async with tenant_transaction(self._pool, tenant, user_id) as connection:
            row = await connection.fetchrow(query("request_of_execution"), execution_id)
        return None if row is None else KnownRequest(**dict(row))

    async def collect(self, now: datetime, keep: timedelta, limit: int = 1000) -> int:
        """Remove requests of all tenants that are older than `keep`, at most `limit`, and return how many."""
        async with transaction(self._pool) as connection:
            await connection.execute(query("act_as_request_collector"))
            return int((await connection.execute(query("request_collect"), now - keep, limit)).split()[-1])
