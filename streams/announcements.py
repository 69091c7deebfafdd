"""What pipelines announce on `pack-announcements`: sending it, and applying it: verify the rows, freeze the pack."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import aiokafka

from db.pack_watch import PackWatchRepository, Pending
from db.packs import AnnouncedEarly, PackRepository
from db.postgres import Pool
from settings import Settings
from streams.clients import start_consumer, topic_name
from streams.dead_letter import Stage, dead_letter
from streams.durable.pace import FETCH_MAX_WAIT_IDLE_MS
from streams.logs import position
from topics.codec import Undecodable, decode, encode
from topics.errors import RetryableError, TerminalError
from topics.messages import PackAnnouncement
from topics.table import DEAD_LETTERS, PACK_ANNOUNCEMENTS

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_BYTES_MAX = 64 * 1024


class Announcer:
    """Announces packs through a started producer.

    Args:
        settings: prefix.
        producer: idempotent, waits for all replicas.
    """

    def __init__(self, settings: Settings, producer: Any) -> None:
        self._topic = topic_name(settings, PACK_ANNOUNCEMENTS)
        self._producer = producer

    async def send(self, announcement: PackAnnouncement) -> None:
        """Announce a pack; returns when Kafka has confirmed it. Repeating it is harmless.

        Raises:
            KafkaError: nothing can be sent now.
        """
        await self._producer.send_and_wait(self._topic, encode(announcement), str(announcement.pack_id).encode())


class AnnouncementApplier:
    """Applies announcements while this process leads; repeating one is harmless.

    Args:
        settings: where Kafka is, prefix.
        pool: Postgres, the application's role.
        producer: for announcements that cannot be applied.
    """

    def __init__(self, settings: Settings, pool: Pool, producer: Any) -> None:
        self._settings = settings
        self._packs = PackRepository(pool)
        self._watch = PackWatchRepository(pool)
        self._producer = producer

    async def run(self) -> None:
        """Apply until cancelled, committing each announcement after it took effect."""
        consumer = await start_consumer(
            self._settings,
            topic_name(self._settings, PACK_ANNOUNCEMENTS),
            client_id="announcements",
            group_id=topic_name(self._settings, "announcements"),
            fetch_max_wait_ms=FETCH_MAX_WAIT_IDLE_MS,
        )
        try:
            while True:
                record = await consumer.getone()
                await self._apply(record)
                place = aiokafka.TopicPartition(record.topic, record.partition)
                try:
                    await consumer.commit({place: record.offset + 1})
                except aiokafka.errors.CommitFailedError as error:
                    log.info("announcement not committed, it will be applied again: %s", error)
        finally:
            await consumer.stop()

    async def _apply(self, record: Any) -> None:
        while True:
            try:
                announcement = decode(record.value, PackAnnouncement, bytes_max=_BYTES_MAX)
                assert isinstance(announcement, PackAnnouncement)
                # When the pipeline said so is when the data became known: the same on every repetition.
                known_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                try:
                    pack = await self._packs.apply(announcement, known_at)
                except AnnouncedEarly as early:
                    # The watcher tries again; other announcements do not wait for it.
                    held = Pending(announcement, known_at, record.partition, record.offset, early.message)
                    await self._watch.hold(held)
                    log.warning("announced before its rows: %s", early.message, extra={"position": position(record)})
                    return
                await self._watch.drop(pack.pack_id)
                log.info("pack %s is %s", pack.pack_id, pack.status, extra={"position": position(record)})
                return
            except RetryableError as error:
                log.warning("cannot apply an announcement, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)
            except (Undecodable, TerminalError) as error:
                stage = Stage.DECODE if isinstance(error, Undecodable) else Stage.PROCESS
                log.warning("announcement refused: %s", error, extra={"position": position(record)})
                letter = dead_letter(record, stage, str(error))
                await self._producer.send_and_wait(
                    topic_name(self._settings, DEAD_LETTERS), letter.value, letter.key, headers=letter.headers
                )
                return
