"""What a topic's last records say of the broker's time."""

import asyncio
import logging

import aiokafka

from settings import Settings
from streams.clients import start_consumer, topic_name

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0


async def last_append_ms(settings: Settings, topic: str) -> int | None:
    """Return the latest append time among the last records of a topic's partitions; None if all are empty.

    The broker's clock shows at least that. A worker that starts has seen no record yet, and the first that it gets may
    be old: redelivered since its predecessor died over it.

    Args:
        settings: where Kafka is, prefix, partitions.
        topic: without the prefix.
    """
    partitions = [aiokafka.TopicPartition(topic_name(settings, topic), n) for n in range(settings.partitions)]
    consumer = await start_consumer(settings, client_id="broker-time", fetch_max_wait_ms=100)
    try:
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        waiting = {tp for tp in partitions if ends[tp] > begins[tp]}
        if not waiting:
            return None
        consumer.assign(list(waiting))
        for tp in waiting:
            consumer.seek(tp, ends[tp] - 1)
        latest: int | None = None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while waiting:
                    for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                        latest = max(latest or 0, *(record.timestamp for record in records))
                        waiting.discard(tp)
        except TimeoutError:
            log.warning("%s of %s partitions of %s did not say what time it is", len(waiting), len(partitions), topic)
        return latest
    finally:
        await consumer.stop()
