"""aiokafka clients with the settings this system needs, and patience for a broker that comes up late."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiokafka
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from settings import Settings
from streams.durable.pace import FETCH_MAX_WAIT_MS, PREFETCH_BACKOFF_S, use_fast_paths

log = logging.getLogger(__name__)

# Longest record of any topic (dead letters repeat the original with headers); the broker's limit is the same.
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
_RETRY_S = 0.5
_COMPLAIN_EVERY_S = 5.0


class KafkaUnavailable(Exception):
    """No broker answered in time; the text names the addresses."""


def topic_name(settings: Settings, name: str) -> str:
    """Return a topic's (or group's) name with the configured prefix."""
    return settings.topic_prefix + name


async def wait_for_kafka(settings: Settings, timeout_s: float | None = None) -> None:
    """Return as soon as a broker answers.

    Args:
        settings: where Kafka is.
        timeout_s: give up after this many seconds; None means `settings.start_timeout_s`.

    Raises:
        KafkaUnavailable: nobody answered.
    """
    with _one_voice():
        await _until_a_broker_answers(settings, timeout_s)


@contextmanager
def _one_voice() -> Iterator[None]:
    """While we say that we wait for Kafka, aiokafka need not complain of each try too."""
    noisy = logging.getLogger("aiokafka")
    before = noisy.level
    noisy.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        noisy.setLevel(before)


async def _until_a_broker_answers(settings: Settings, timeout_s: float | None) -> None:
    address = settings.kafka_address()
    limit_s = settings.start_timeout_s if timeout_s is None else timeout_s
    loop = asyncio.get_running_loop()
    started = complained = loop.time()
    while True:
        try:
            await ask_a_broker(settings)
            if complained > started:
                log.info("Kafka at %s answers after %.0f s", ", ".join(address.hosts), loop.time() - started)
            return
        except (KafkaConnectionError, KafkaError, OSError) as error:
            now = loop.time()
            if now - started >= limit_s:
                hosts = ", ".join(address.hosts)
                raise KafkaUnavailable(
                    f"expected a Kafka broker at {hosts} within {limit_s:.0f} s, none answered: {error}"
                ) from error
            if now - complained >= _COMPLAIN_EVERY_S:
                complained = now
                log.warning("still waiting for Kafka at %s (%s)", ", ".join(address.hosts), error)
        await asyncio.sleep(_RETRY_S)


async def ask_a_broker(settings: Settings) -> None:
    """Return when a broker has answered. Each call is a connection of its own, and tells what a new client would meet.

    Raises:
        KafkaConnectionError: none answers.
    """
    client = AIOKafkaClient(**settings.kafka_address().client_kwargs())
    try:
        await client.bootstrap()
    finally:
        with suppress(Exception):
            await client.close()


async def start_producer(settings: Settings, client_id: str) -> aiokafka.AIOKafkaProducer:
    """Return a started idempotent producer that waits for all replicas."""
    use_fast_paths()
    producer = aiokafka.AIOKafkaProducer(
        **settings.kafka_address().client_kwargs(),
        client_id=topic_name(settings, client_id),
        acks="all",
        enable_idempotence=True,
        max_request_size=MESSAGE_BYTES_MAX,
        request_timeout_ms=60_000,
        linger_ms=0,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


async def start_consumer(settings: Settings, *topics: str, client_id: str, **options: Any) -> aiokafka.AIOKafkaConsumer:
    """Return a started consumer that answers at once and does not stall on unconsumed partitions.

    Args:
        settings: where Kafka is.
        topics: full names; none to assign partitions by hand.
        client_id: without the prefix.
        options: further aiokafka options; they win.
    """
    use_fast_paths()
    defaults: dict[str, Any] = {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
        "max_partition_fetch_bytes": MESSAGE_BYTES_MAX,
    }
    consumer = aiokafka.AIOKafkaConsumer(
        *topics,
        **settings.kafka_address().client_kwargs(),
        client_id=topic_name(settings, client_id),
        **(defaults | options),
    )
    try:
        await consumer.start()
    except BaseException:
        await consumer.stop()
        raise
    fetcher: Any = consumer._fetcher
    fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
    return consumer
