"""What is late or early in the pricing pipeline: packs that are overdue, announcements that came before their rows."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from db.postgres import Pool, upstream_failures
from db.sql import query
from topics.messages import PackAnnouncement

# Longer than any run of closed days; older sessions without a pack are no news.
LOOK_BACK_DAYS = 30


@dataclass(frozen=True, slots=True)
class Overdue:
    """A session whose pack should be fresh by now.

    Attributes:
        due_at: when it was due.
        status: of its newest revision, warming or failed; None when there is none.
    """

    policy: str
    asof_date: date
    due_at: datetime
    status: str | None


@dataclass(frozen=True, slots=True)
class Pending:
    """An announcement that does not fit yet.

    Attributes:
        announced_at: when it was first made.
        partition: of the announcement's topic, with `offset`, where its last record is.
        problem: why it does not fit.
    """

    announcement: PackAnnouncement
    announced_at: datetime
    partition: int
    offset: int
    problem: str


class PackWatchRepository:
    """Works with the application's role.

    Args:
        pool: from `db.postgres.open_pool`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def overdue(self, now: datetime, look_back_days: int = LOOK_BACK_DAYS) -> tuple[Overdue, ...]:
        """Return the sessions of the last days whose pack was never frozen although its time is over."""
        with upstream_failures("looking for overdue packs"):
            rows = await self._pool.fetch(query("packs_overdue"), now, look_back_days)
        return tuple(Overdue(**dict(row)) for row in rows)

    async def pending(self) -> tuple[Pending, ...]:
        """Return announcements that wait for their rows, the oldest first."""
        with upstream_failures("reading announcements"):
            rows = await self._pool.fetch(query("announcement_list"))
        return tuple(
            Pending(
                PackAnnouncement(
                    pack_id=row["pack_id"],
                    policy=row["policy"],
                    asof_date=row["asof_date"],
                    revision=row["revision"],
                    content_sha256=row["content_sha256"],
                ),
                row["announced_at"],
                row["record_partition"],
                row["record_offset"],
                row["problem"],
            )
            for row in rows
        )

    async def hold(self, held: Pending) -> None:
        """Keep an announcement until it fits; a later one of the same pack takes its place, not its age."""
        announcement = held.announcement
        with upstream_failures("keeping an announcement"):
            await self._pool.execute(
                query("announcement_put"),
                announcement.pack_id,
                announcement.policy,
                announcement.asof_date,
                announcement.revision,
                announcement.content_sha256,
                held.announced_at,
                held.partition,
                held.offset,
                held.problem,
            )

    async def drop(self, pack_id: UUID) -> None:
        """Forget an announcement, because it was applied or given up."""
        with upstream_failures("dropping an announcement"):
            await self._pool.execute(query("announcement_drop"), pack_id)
