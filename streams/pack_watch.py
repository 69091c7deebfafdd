"""Looks after the pricing pipeline: announcements that came before their rows, packs that are overdue.

An early announcement is tried again every few seconds, until its rows are there or it is too old; then it becomes a
dead letter. Both conditions are logged when they begin and when they end, and counted at each scrape.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from db.pack_watch import Overdue, PackWatchRepository, Pending
from db.packs import AnnouncedEarly, PackRepository
from db.postgres import Pool
from settings import Settings
from streams.clients import topic_name
from streams.dead_letter import Stage, dead_letter
from topics.codec import encode
from topics.errors import RetryableError, TerminalError
from topics.table import DEAD_LETTERS, PACK_ANNOUNCEMENTS

log = logging.getLogger(__name__)

_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class _Record:
    """Where an announcement was read, for its dead letter."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class PackWatcher:
    """Watches while this process leads.

    Args:
        settings: prefix, how long an announcement may wait.
        pool: Postgres, the application's role.
        producer: for announcements that are given up.
    """

    def __init__(self, settings: Settings, pool: Pool, producer: Any) -> None:
        self._settings = settings
        self._packs = PackRepository(pool)
        self._watch = PackWatchRepository(pool)
        self._producer = producer
        self._late: dict[tuple[str, date], Overdue] = {}
        self._early: Counter[str] = Counter()

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except RetryableError as error:
                log.warning("cannot look after packs, trying again: %s", error)
            await asyncio.sleep(_LOOK_S)

    async def look(self, now: datetime) -> None:
        """Try early announcements again, and note which packs are overdue."""
        early: Counter[str] = Counter()
        for held in await self._watch.pending():
            if not await self._try(held, now):
                early[held.announcement.policy] += 1
        self._early = early
        late = {(each.policy, each.asof_date): each for each in await self._watch.overdue(now)}
        for key in sorted(late.keys() - self._late.keys()):
            each = late[key]
            log.warning(
                "pack overdue: %s of %s was due %s and is %s",
                each.policy,
                each.asof_date,
                each.due_at.isoformat(timespec="minutes"),
                each.status or "not there",
            )
        for policy, day in sorted(self._late.keys() - late.keys()):
            log.info("no longer overdue: %s of %s", policy, day)
        self._late = late

    async def _try(self, held: Pending, now: datetime) -> bool:
        """Return whether an announcement is settled: applied or given up."""
        announcement = held.announcement
        try:
            pack = await self._packs.apply(announcement, held.announced_at)
            log.info("pack %s is %s, its rows have arrived", pack.pack_id, pack.status)
        except AnnouncedEarly as error:
            if (now - held.announced_at).total_seconds() <= self._settings.announcement_wait_s:
                return False
            await self._give_up(held, error.message)
        except TerminalError as error:
            await self._give_up(held, error.message)
        await self._watch.drop(announcement.pack_id)
        return True

    async def _give_up(self, held: Pending, why: str) -> None:
        log.error("announcement given up: %s", why)
        record = _Record(
            topic_name(self._settings, PACK_ANNOUNCEMENTS),
            held.partition,
            held.offset,
            int(held.announced_at.timestamp() * 1000),
            str(held.announcement.pack_id).encode(),
            encode(held.announcement),
        )
        letter = dead_letter(record, Stage.PROCESS, why)
        await self._producer.send_and_wait(
            topic_name(self._settings, DEAD_LETTERS), letter.value, letter.key, headers=letter.headers
        )

    def families(self) -> Iterable[Metric]:
        """Return the gauges of a scrape; called in another thread."""
        overdue = GaugeMetricFamily(
            "dawsos_packs_overdue", "Sessions whose pack should be fresh by now.", labels=["policy"]
        )
        for policy, count in sorted(Counter(policy for policy, _ in list(self._late)).items()):
            overdue.add_metric([policy], count)
        early = GaugeMetricFamily(
            "dawsos_packs_announced_early", "Packs announced whose rows are not there yet.", labels=["policy"]
        )
        for policy, count in sorted(self._early.copy().items()):
            early.add_metric([policy], count)
        return [overdue, early]
