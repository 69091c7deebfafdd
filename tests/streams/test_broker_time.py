"""A starting worker learns the time from what the broker appended last."""

import time

import pytest

from settings import Settings
from streams.broker_time import last_append_ms
from streams.clients import start_producer, topic_name
from streams.topics_admin import create_topics
from topics.table import EXECUTION_SIGNALS

pytestmark = pytest.mark.integration


async def test_the_latest_of_the_last_records_tells(service_settings: Settings) -> None:
    await create_topics(service_settings, ["probe"])
    assert await last_append_ms(service_settings, EXECUTION_SIGNALS) is None
    producer = await start_producer(service_settings, "test")
    try:
        topic = topic_name(service_settings, EXECUTION_SIGNALS)
        appended = []
        for partition in (0, 0, 1, 0):
            sent = await producer.send_and_wait(topic, b"{}", partition=partition)
            appended.append(sent.timestamp)
    finally:
        await producer.stop()
    assert abs(appended[-1] - time.time() * 1000) < 60_000
    begun = time.monotonic()
    assert await last_append_ms(service_settings, EXECUTION_SIGNALS) == max(appended)
    assert time.monotonic() - begun < 4
