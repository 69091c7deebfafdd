"""The projector: results and dead letters from Kafka into Postgres.

Where it stands is kept in Postgres, in the transaction of what it wrote, so that nothing is projected twice or
skipped. A result the database refuses goes to dead letters; a dead letter it refuses is logged and passed over, since
it stays in its topic for 30 days.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiokafka
import asyncpg

from db.dead_letters import DeadLetter, store_dead_letter
from db.executions import Projected, store_results
from db.offsets import load_offsets, store_offset, store_offsets
from db.postgres import Pool, transaction
from settings import Settings
from streams import dead_letter as dlq
from streams.clients import MESSAGE_BYTES_MAX, start_consumer, topic_name
from streams.durable.pace import FETCH_MAX_WAIT_IDLE_MS, gather_fetches
from streams.liveness import Place
from streams.logs import about
from streams.places import behind, ends_of
from topics.codec import Undecodable, decode
from topics.errors import RetryableError, TerminalError
from topics.messages import ExecutionResult
from topics.table import DEAD_LETTERS, EXECUTION_RESULTS

log = logging.getLogger(__name__)

_BATCH = 1000
_GATHER_MS = 200
_RETRY_S = 1.0
_LAG_LOG_EVERY_S = 30.0
_LAG_WARN = 1000
# What a record can do wrong in the database; everything else is the database's own trouble and is tried again.
_REFUSED = (Undecodable, TerminalError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError)


class Projector:
    """Projects the two topics while this process leads.

    Args:
        settings: where Kafka is, prefix.
        pool: Postgres, the application's role.
        producer: for results that cannot be projected.
    """

    def __init__(self, settings: Settings, pool: Pool, producer: Any) -> None:
        self._settings = settings
        self._pool = pool
        self._producer = producer
        self._results = topic_name(settings, EXECUTION_RESULTS)
        self._dead_letters = topic_name(settings, DEAD_LETTERS)
        self._consumer: Any = None
        self._committed: dict[aiokafka.TopicPartition, int] = {}
        self._taken: dict[aiokafka.TopicPartition, int] = {}
        self._patient = False
        self.lag: dict[str, int] = {}
        self.projected: Counter[str] = Counter()
        self.refused = 0

    async def start(self) -> None:
        """Connect and go to where the last transaction left off."""
        consumer = self._consumer = await start_consumer(
            self._settings, client_id="projector", fetch_max_wait_ms=FETCH_MAX_WAIT_IDLE_MS
        )
        for topic in (self._results, self._dead_letters):
            await consumer._client._wait_on_metadata(topic)
        partitions = [
            aiokafka.TopicPartition(topic, number)
            for topic in (self._results, self._dead_letters)
            for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        consumer.assign(partitions)
        beginning = await consumer.beginning_offsets(partitions)
        end = await consumer.end_offsets(partitions)
        for topic in (self._results, self._dead_letters):
            stored = await load_offsets(self._pool, topic)
            for partition in (item for item in partitions if item.topic == topic):
                offset = stored.get(partition.partition, beginning[partition])
                if offset > end[partition]:
                    log.error(
                        "%s/%s: Postgres says offset %s, the topic ends at %s; was it made anew? Starting over.",
                        topic,
                        partition.partition,
                        offset,
                        end[partition],
                    )
                    offset = beginning[partition]
                consumer.seek(partition, offset)
                self._committed[partition] = offset or 0

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def run(self) -> None:
        """Project until cancelled."""
        loop = asyncio.get_running_loop()
        look_at_lag = loop.time()
        while True:
            fetched = await self._consumer.getmany(timeout_ms=1000, max_records=_BATCH)
            if fetched:
                await self._project(fetched)
            # A few larger transactions cost less than many small ones.
            gather_fetches(self._consumer, _GATHER_MS if fetched else None)
            if loop.time() >= look_at_lag:
                look_at_lag = loop.time() + _LAG_LOG_EVERY_S
                await self.measure_lag()

    async def places(self) -> dict[tuple[str, int], Place]:
        """Return where this projector stands; while Postgres is away it stands still by right.

        Raises:
            KafkaError: the broker does not answer.
        """
        found: dict[tuple[str, int], Place] = {}
        for tp, (end, read) in (await ends_of(self._consumer, self._consumer.assignment())).items():
            committed = self._committed[tp]
            under_way = self._taken.get(tp, 0) > committed
            waiting = max(1, end - committed) if under_way or behind(read, committed, end) else 0
            found[tp.topic, tp.partition] = Place(committed, end, waiting, 0.0 if self._patient else 1.0)
        return found

    async def caught_up(self) -> bool:
        """Tell whether everything that is published is projected.

        Raises:
            KafkaError: the broker does not answer.
        """
        return not any(place.waiting for place in (await self.places()).values())

    async def measure_lag(self) -> dict[str, int]:
        """Return, and remember, how many records of each topic are not projected yet; log it when it is large."""
        assigned = self._consumer.assignment()
        ends = await self._consumer.end_offsets(list(assigned))
        lag = dict.fromkeys((self._results, self._dead_letters), 0)
        for partition, end in ends.items():
            lag[partition.topic] += max(0, end - await self._consumer.position(partition))
        self.lag = lag
        level = logging.WARNING if max(lag.values()) > _LAG_WARN else logging.DEBUG
        log.log(level, "projector lag", extra={"lag": lag})
        return lag

    async def _project(self, fetched: Mapping[aiokafka.TopicPartition, list[Any]]) -> None:
        """Write what was fetched in one transaction; if a record is refused, write them one by one."""
        self._taken.update({partition: records[-1].offset + 1 for partition, records in fetched.items()})
        while True:
            try:
                try:
                    await self._write(fetched)
                except _REFUSED:
                    for partition, records in fetched.items():
                        for record in records:
                            await self._write_or_refuse(partition, record)
                self._patient = False
                return
            except RetryableError as error:
                self._patient = True
                log.warning("Postgres does not take results, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def _write(self, fetched: Mapping[aiokafka.TopicPartition, list[Any]]) -> None:
        results: list[Projected] = []
        letters: list[DeadLetter] = []
        for partition, records in fetched.items():
            for record in records:
                if partition.topic == self._dead_letters:
                    letters.append(stored_letter(record))
                else:
                    result = decode(record.value, ExecutionResult, bytes_max=MESSAGE_BYTES_MAX)
                    assert isinstance(result, ExecutionResult)
                    results.append(Projected(result, record.value, (record.partition, record.offset)))
        async with transaction(self._pool) as connection:
            for letter in letters:
                await store_dead_letter(connection, letter)
            if results:
                made = await store_results(connection, results)
                if len(made) < len(results):
                    log.debug("%s results were projected already", len(results) - len(made))
            await store_offsets(
                connection,
                [
                    (partition.topic, partition.partition, records[-1].offset + 1)
                    for partition, records in fetched.items()
                ],
            )
        for partition, records in fetched.items():
            self._committed[partition] = records[-1].offset + 1
            self.projected[partition.topic] += len(records)

    async def _write_or_refuse(self, partition: aiokafka.TopicPartition, record: Any) -> None:
        try:
            await self._write({partition: [record]})
        except _REFUSED as error:
            log.error("cannot project: %s", error, extra=about(record))
            if record.topic == self._results:
                letter = dlq.dead_letter(record, dlq.Stage.PROJECT, str(error))
                await self._producer.send_and_wait(self._dead_letters, letter.value, letter.key, headers=letter.headers)
            async with transaction(self._pool) as connection:
                await store_offset(connection, partition.topic, partition.partition, record.offset + 1)
            self._committed[partition] = record.offset + 1
            self.refused += 1


def stored_letter(record: Any) -> DeadLetter:
    """Return a record of `dead-letters` as the database keeps it: original headers apart from the diagnosis."""
    own = {name: value for name, value in record.headers if name in dlq.OWN_HEADERS}

    def text(name: str) -> str:
        return (own.get(name) or b"").decode("utf-8", "replace")

    def number(name: str) -> int | None:
        digits = text(name)
        return int(digits) if digits.isascii() and digits.isdigit() else None

    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple((name, value) for name, value in record.headers if name not in dlq.OWN_HEADERS),
        reason=text(dlq.REASON),
        stage=text(dlq.STAGE),
        origin_topic=text(dlq.ORIGIN_TOPIC),
        origin_partition=number(dlq.ORIGIN_PARTITION),
        origin_offset=number(dlq.ORIGIN_OFFSET),
        arrived_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        tenant=dlq.tenant_of(record.value),
    )
