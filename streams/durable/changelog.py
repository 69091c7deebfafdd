"""Reading a table's changelog: each partition from where its rows stand to its end, every record in order.

Faust reads changelogs with the consumer of the streams, through its conductor and a queue. A rebalance in the middle
clears that queue while a fetch is under way, and the next round takes any record with a higher offset for the next
one: rows between them are never read, and the state that is taken over is older than the log. Here a consumer of its
own, in no group, does nothing else; whatever interrupts it, rows and position stay together in the store.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from streams.durable.rows import FencedRows
from streams.failstop import fail_stop

log = logging.getLogger(__name__)

_TELL_EVERY_S = 5.0
_POLL_MS = 1000


async def read_to_end(reader: AIOKafkaConsumer, topic: str, partitions: Iterable[int], store: FencedRows) -> int:
    """Fold what the partitions' changelogs have beyond the store's positions, up to the ends they have now.

    Ends the process on a record that is no row of ours. May be cancelled at any time and called again.

    Args:
        reader: started, in no group; raises when it is asked for offsets that do not exist.
        topic: the changelog.
        partitions: to read.
        store: rows and positions.

    Returns:
        How many records were read.

    Raises:
        KafkaError: the broker does not answer; what was read till then is kept.
    """
    try:
        return await _read(reader, [TopicPartition(topic, number) for number in sorted(partitions)], store)
    except OffsetOutOfRangeError as error:
        # Only a log that was cut off or made anew; rows folded from it say nothing any more.
        log.warning("%s has lost records that were read before: reading it from its beginning: %s", topic, error)
        store.drop_partitions(set())
        raise


async def _read(reader: AIOKafkaConsumer, partitions: list[TopicPartition], store: FencedRows) -> int:
    if not partitions:
        return 0
    reader.assign(partitions)
    beginnings = await reader.beginning_offsets(partitions)
    ends = await reader.end_offsets(partitions)
    for partition in partitions:
        position = store.positions.setdefault(partition.partition, beginnings[partition])
        if position > ends[partition]:
            raise OffsetOutOfRangeError(f"partition {partition.partition} ends at {ends[partition]}, not {position}")
        reader.seek(partition, position)
    behind = {each for each in partitions if store.positions[each.partition] < ends[each]}
    reader.pause(*(each for each in partitions if each not in behind))
    count, told_s = 0, time.monotonic()
    while behind:
        for partition, records in (await reader.getmany(timeout_ms=_POLL_MS)).items():
            _fold(store, partition.partition, records)
            count += len(records)
            # Heartbeats must go out between partitions that are both full of records.
            await asyncio.sleep(0)
        for partition in list(behind):
            # Behind what was aborted or compacted away the position stands further than the last record.
            position = await reader.position(partition)
            store.positions[partition.partition] = max(position, store.positions[partition.partition])
            if position >= ends[partition]:
                behind.discard(partition)
                reader.pause(partition)
        if time.monotonic() - told_s > _TELL_EVERY_S:
            told_s = time.monotonic()
            left = sum(ends[each] - store.positions[each.partition] for each in behind)
            log.info("recovering state: %s records read, %s to go", count, left)
    return count


def _fold(store: FencedRows, partition: int, records: list[Any]) -> None:
    for record in records:
        try:
            store.fold(partition, record.offset, record.key, record.value, record.headers)
        except Exception as error:
            place = f"partition {partition}, offset {record.offset}"
            fail_stop(f"the state changelog holds a record that is no state row ({place}; see the playbook)", error)
