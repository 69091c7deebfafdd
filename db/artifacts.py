"""Large values by content in Postgres: key (tenant, SHA-256), leased, under row-level security."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from db.artifact_rules import BYTES_MAX, LEASE, require_intact, require_small, utc_now
from db.postgres import Pool, transaction, upstream_failures
from db.sql import query
from topics.canonical import sha256_hex


class ArtifactRepository:
    """Artifacts of one tenant at a time, in one round trip each. Works with the application's role.

    Args:
        pool: from `db.postgres.open_pool`.
        bytes_max: largest value accepted.
        lease: how long a value stays after it was last written or touched.
        clock: the time now, aware UTC.
    """

    def __init__(
        self,
        pool: Pool,
        bytes_max: int = BYTES_MAX,
        lease: timedelta = LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pool = pool
        self._bytes_max = bytes_max
        self._lease = lease
        self._clock = clock

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """Keep the bytes (lease renewed if they are there already) and return their SHA-256.

        Raises:
            TerminalError: OUTPUT_TOO_LARGE.
        """
        require_small(data, self._bytes_max)
        sha256 = sha256_hex(data)
        with upstream_failures("writing an artifact"):
            await self._pool.execute(query("artifact_put"), tenant, user_id, sha256, data, self._expiry())
        return sha256

    async def get(self, tenant: str, user_id: UUID, sha256: str) -> bytes | None:
        """Return the bytes; None when there are none, they expired or belong to another tenant.

        Raises:
            TerminalError: INTERNAL when the stored bytes do not have that SHA-256.
        """
        with upstream_failures("reading an artifact"):
            data = await self._pool.fetchval(query("artifact_get"), tenant, user_id, sha256, self._clock())
        return None if data is None else require_intact(data, sha256)

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        """Renew the lease; False when the artifact is gone. A lease never gets shorter."""
        with upstream_failures("renewing an artifact's lease"):
            return await self._pool.fetchval(query("artifact_touch"), tenant, user_id, sha256, self._expiry())

    async def collect(self, limit: int = 1000) -> int:
        """Remove artifacts of all tenants whose lease is over, at most `limit`, and return how many.

        An artifact that is touched at the same moment stays. Leases are compared with the database's clock.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(query("act_as_collector"))
            return int((await connection.execute(query("artifact_collect"), limit)).split()[-1])

    def _expiry(self) -> datetime:
        return self._clock() + self._lease
