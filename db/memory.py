"""The stores in memory: for `dawsos try`, which has no servers, and for tests.

They answer as those on Postgres and Redis do; one conformance suite runs on both. Imports no driver.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from db import circuit as rules
from db.artifact_rules import BYTES_MAX, LEASE, require_small, utc_now
from db.circuit import Admission, Circuit
from db.portfolio import Portfolio, require_same_ledger
from db.snapshot_rules import Row, different_rows
from topics.canonical import sha256_hex
from topics.errors import Code, TerminalError


class MemoryPortfolios:
    """Portfolios by id; each belongs to one user of one tenant."""

    def __init__(self) -> None:
        self._kept: dict[UUID, tuple[tuple[str, UUID], Portfolio]] = {}

    async def get(self, tenant: str, user_id: UUID, portfolio_id: UUID) -> Portfolio | None:
        """Return the portfolio; None when there is none or it is someone else's."""
        owner, portfolio = self._kept.get(portfolio_id, (None, None))
        return portfolio if owner == (tenant, user_id) else None

    async def list(self, tenant: str, user_id: UUID) -> Sequence[Portfolio]:
        """Return all portfolios of the user, by name."""
        own = [portfolio for owner, portfolio in self._kept.values() if owner == (tenant, user_id)]
        return tuple(sorted(own, key=lambda portfolio: (portfolio.name, portfolio.id)))

    async def put(self, tenant: str, user_id: UUID, portfolio: Portfolio) -> bool:
        """Make the portfolio or change it; False when the id belongs to someone else.

        Raises:
            TerminalError: INVALID_INPUT when ledger path or booking method would change.
        """
        owner, before = self._kept.get(portfolio.id, ((tenant, user_id), None))
        if owner != (tenant, user_id):
            return False
        require_same_ledger(before, portfolio)
        self._kept[portfolio.id] = (owner, portfolio)
        return True


class MemorySnapshots:
    """Booked ledgers by portfolio and commit.

    Args:
        portfolios: whose ledgers these are; None accepts any portfolio.
    """

    def __init__(self, portfolios: MemoryPortfolios | None = None) -> None:
        self._portfolios = portfolios
        self._kept: dict[tuple[str, UUID, UUID, str], tuple[str, tuple[dict[str, str | int | None], ...]]] = {}

    async def load(
        self, tenant: str, user_id: UUID, portfolio_id: UUID, commit: str
    ) -> tuple[str, list[dict[str, str | int | None]]] | None:
        """Return (content_hash, rows in ledger order); None when this commit was never stored."""
        kept = self._kept.get((tenant, user_id, portfolio_id, commit))
        return None if kept is None else (kept[0], [dict(row) for row in kept[1]])

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
            TerminalError: UNKNOWN_PORTFOLIO; INTERNAL when the commit is stored with other rows.
        """
        if self._portfolios and await self._portfolios.get(tenant, user_id, portfolio_id) is None:
            raise TerminalError(Code.UNKNOWN_PORTFOLIO, f"there is no portfolio {portfolio_id}")
        key = (tenant, user_id, portfolio_id, commit)
        kept = self._kept.setdefault(key, (content_hash, tuple(dict(row) for row in rows)))
        if kept[0] != content_hash:
            raise different_rows(commit, kept[0], content_hash)


class MemoryArtifacts:
    """Large values by tenant and content, leased.

    Args:
        bytes_max: largest value accepted.
        lease: how long a value stays after it was last written or touched.
        clock: the time now, aware UTC.
    """

    def __init__(
        self, bytes_max: int = BYTES_MAX, lease: timedelta = LEASE, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._bytes_max = bytes_max
        self._lease = lease
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[bytes, datetime]] = {}

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """Keep the bytes (lease renewed if they are there already) and return their SHA-256.

        Raises:
            TerminalError: OUTPUT_TOO_LARGE.
        """
        require_small(data, self._bytes_max)
        sha256 = sha256_hex(data)
        self._kept[tenant, sha256] = (data, self._clock() + self._lease)
        return sha256

    async def get(self, tenant: str, user_id: UUID, sha256: str) -> bytes | None:
        """Return the bytes; None when there are none, they expired or belong to another tenant."""
        data, expires_at = self._kept.get((tenant, sha256), (None, None))
        return data if expires_at is not None and expires_at >= self._clock() else None

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        """Renew the lease; False when the artifact is gone."""
        data, _ = self._kept.get((tenant, sha256), (None, None))
        if data is None:
            return False
        self._kept[tenant, sha256] = (data, self._clock() + self._lease)
        return True

    async def collect(self, limit: int = 1000) -> int:
        """Remove artifacts of all tenants whose lease is over, at most `limit`, and return how many."""
        now = self._clock()
        over = [key for key, (_, expires_at) in self._kept.items() if expires_at < now][:limit]
        for key in over:
            del self._kept[key]
        return len(over)


class MemoryCache:
    """Bytes that may vanish: the least recently used go first.

    Args:
        entries_max: how many are kept.
        monotonic_ms: milliseconds that never go back.
    """

    def __init__(self, monotonic_ms: Callable[[], int], entries_max: int = 10_000) -> None:
        self._monotonic_ms = monotonic_ms
        self._entries_max = entries_max
        self._kept: OrderedDict[str, tuple[bytes, int | None]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """Return the bytes; None when absent or expired."""
        value, until_ms = self._kept.get(key, (None, None))
        if value is None or (until_ms is not None and self._monotonic_ms() >= until_ms):
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, ttl_s: int | None) -> None:
        """Keep the bytes for `ttl_s` seconds (None: as long as there is room; 0 or less: not at all)."""
        if ttl_s is not None and ttl_s <= 0:
            return
        self._kept[key] = (value, None if ttl_s is None else self._monotonic_ms() + ttl_s * 1000)
        self._kept.move_to_end(key)
        if len(self._kept) > self._entries_max:
            self._kept.popitem(last=False)


class MemoryBreaker:
    """State of the circuits of one process."""

    def __init__(self) -> None:
        self._circuits: dict[str, Circuit] = {}

    async def admit(self, circuit: str, now_ms: int) -> Admission:
        """Ask before a call. An open circuit lets one trial through once its pause is over (half-open)."""
        state, admission = rules.admit(self._circuits.get(circuit, rules.CLOSED), now_ms)
        if state is not rules.CLOSED:
            self._circuits[circuit] = state
        return admission

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        """Close the circuit and forget its failures."""
        self._circuits.pop(circuit, None)

    async def failed(self, circuit: str, now_ms: int) -> None:
        """Count a failure: the 5th in a row, or a failed trial, opens the circuit for 60 s."""
        self._circuits[circuit] = rules.failed(self._circuits.get(circuit, rules.CLOSED), now_ms)
