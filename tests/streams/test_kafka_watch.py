"""Kafka's going and coming back is said once each, whatever libraries say."""

import logging

import pytest

from settings import Settings
from streams.kafka_watch import KafkaWatch, watch_of


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "streams.kafka_watch"]


async def test_each_change_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    now_s, problem = 100.0, None

    async def ask() -> None:
        if problem is not None:
            raise problem

    watch = KafkaWatch("broker:9092", ask, lambda: now_s)
    await watch.look()
    assert said(caplog) == []
    for each in (OSError("refused"), OSError("reset"), TimeoutError()):
        problem = each
        await watch.look()
        now_s += 5
    assert said(caplog) == ["Kafka at broker:9092 does not answer: refused"]
    problem = None
    await watch.look()
    await watch.look()
    assert said(caplog)[1:] == ["Kafka at broker:9092 answers again after 15 s"]
    problem = TimeoutError()
    await watch.look()
    assert said(caplog)[2:] == ["Kafka at broker:9092 does not answer: TimeoutError"]
    assert all(record.levelno == logging.WARNING for record in caplog.records)


async def test_an_address_where_nobody_listens_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    await watch_of(Settings(_env_file=None, kafka="kafka://127.0.0.1:1")).look()  # pyright: ignore[reportCallIssue]
    assert any(line.startswith("Kafka at 127.0.0.1:1 does not answer") for line in said(caplog))


@pytest.mark.integration
async def test_a_broker_that_answers_is_nothing_to_speak_of(
    service_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await watch_of(service_settings).look()
    assert said(caplog) == []
