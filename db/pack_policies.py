"""Pricing policies: which calendar their packs follow, when a pack is due, and what it must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from db.postgres import Pool, transaction, upstream_failures
from db.sql import query
from topics.errors import Code, TerminalError


@dataclass(frozen=True, slots=True)
class Policy:
    """How the packs of one kind are made.

    Attributes:
        expected_by: local time by which a session's pack is fresh, on the session's own day; None: never overdue.
        time_zone: IANA name that `expected_by` is meant in.
        expected_from: first session that can be overdue.
        required_symbols: securities without which a pack is not frozen.
    """

    policy: str
    calendar: str
    description: str = ""
    expected_by: time | None = None
    time_zone: str = "UTC"
    expected_from: date | None = None
    required_symbols: tuple[str, ...] = ()


class PolicyRepository:
    """Reads policies with any role, changes them with the owner's.

    Args:
        pool: from `db.postgres.open_pool`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, policy: str) -> Policy | None:
        """Return a policy; None when there is none of that name."""
        with upstream_failures("reading a policy"):
            row = await self._pool.fetchrow(query("policy_get"), policy)
        if row is None:
            return None
        return Policy(**{**dict(row), "required_symbols": tuple(row["required_symbols"])})

    async def expect(self, policy: str, by: time | None, time_zone: str, since: date | None) -> None:
        """Say until when a session's pack must be fresh; None for the time ends it.

        Raises:
            TerminalError: INVALID_INPUT for an unknown policy or time zone.
        """
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise TerminalError(
                Code.INVALID_INPUT, f"expected a time zone like America/New_York, got {time_zone!r}"
            ) from None
        await self._change("policy_expect", policy, by, time_zone, since)

    async def require(self, policy: str, symbols: Sequence[str]) -> None:
        """Say which securities every pack must have; replaces what was said before.

        Raises:
            TerminalError: INVALID_INPUT for an unknown policy.
        """
        await self._change("policy_require", policy, sorted(set(symbols)))

    async def calendar_range(self, calendar: str) -> tuple[date, date] | None:
        """Return the first and last day a calendar is complete for; None when there is none of that name."""
        with upstream_failures("reading a calendar"):
            row = await self._pool.fetchrow(query("calendar_get"), calendar)
        return None if row is None else (row[0], row[1])

    async def extend_calendar(self, calendar: str, sessions: Sequence[date]) -> None:
        """Add sessions to a calendar, making it if need be; the range it is complete for grows to hold them.

        Days between its old range and new sessions count as closed unless they are among the new ones.
        """
        if not sessions:
            return
        async with transaction(self._pool) as connection:
            known = await connection.fetchrow(query("calendar_get"), calendar)
            before = [row[0] for row in await connection.fetch(query("calendar_all_sessions"), calendar)]
            first, last = min(sessions), max(sessions)
            if known is not None:
                first, last = min(first, known[0]), max(last, known[1])
            merged = sorted({*before, *sessions})
            if known is not None and (known[0], known[1], before) == (first, last, merged):
                return
            await connection.execute(query("calendar_put"), calendar, first, last)
            await connection.execute(query("calendar_clear"), calendar)
            await connection.execute(query("calendar_add"), calendar, merged)

    async def _change(self, name: str, policy: str, *values: object) -> None:
        with upstream_failures("changing a policy"):
            done = await self._pool.fetchval(query(name), policy, *values)
        if done is None:
            raise TerminalError(Code.INVALID_INPUT, f"there is no pricing policy {policy!r}")
