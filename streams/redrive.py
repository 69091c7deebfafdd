"""Sends dead letters to where they came from again: bytes and headers as they were, with two exceptions.

An undoing gets new time, since its own is over. A record that was sent on to another partition once may be sent on
once more, so the header that says so is dropped, and with it the partition it did not belong to.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, TopicAuthorizationFailedError

from db.dead_letters import DeadLetter
from settings import Settings
from streams.clients import topic_name
from streams.dead_letter import OWN_HEADERS, Stage
from streams.headers import FORWARDED
from topics.codec import Undecodable, decode, encode
from topics.messages import CapabilityRequest
from topics.table import CAPABILITY_REQUESTS

_UNDO_MS = 60_000
# aiokafka asks for an unknown topic for a whole minute.
_TOPIC_S = 5.0
_LEFT_OUT = OWN_HEADERS | {FORWARDED}


class Redriver:
    """Sends letters through a started producer.

    Args:
        settings: prefix.
        producer: idempotent, waits for all replicas.
    """

    def __init__(self, settings: Settings, producer: Any) -> None:
        self._producer = producer
        self._undo_topics = topic_name(settings, f"{CAPABILITY_REQUESTS}.")

    async def send(self, letter: DeadLetter) -> str | None:
        """Send one letter; returns when Kafka has confirmed it. None, or why this letter cannot be sent.

        Raises:
            KafkaError: nothing can be sent now.
        """
        topic = letter.origin_topic
        if not topic:
            return "it does not say where it came from"
        partition = None if letter.stage == Stage.ROUTE else letter.origin_partition
        headers = [(name, data) for name, data in letter.headers if name not in _LEFT_OUT and data is not None]
        try:
            value = self._value(letter)
        except Undecodable as error:
            return f"it is no request any more: {error}"
        if value is None and letter.key is None:
            return "it has neither key nor value"
        try:
            known = await asyncio.wait_for(self._producer.partitions_for(topic), _TOPIC_S)
        except (TimeoutError, ValueError):
            return f"there is no topic {topic!r}"
        if partition is not None and partition not in known:
            return f"{topic} has no partition {partition}"
        try:
            await self._producer.send_and_wait(topic, value, letter.key, partition, headers=headers or None)
        except (MessageSizeTooLargeError, TopicAuthorizationFailedError) as error:
            return f"{topic} does not take it: {type(error).__name__} {error}"
        return None

    def _value(self, letter: DeadLetter) -> bytes | None:
        is_undo = letter.stage == Stage.COMPENSATE and letter.origin_topic.startswith(self._undo_topics)
        if not is_undo or letter.value is None:
            return letter.value
        request = decode(letter.value, CapabilityRequest)
        assert isinstance(request, CapabilityRequest)
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        return encode(request.model_copy(update={"deadline_at_ms": now_ms + _UNDO_MS}))
