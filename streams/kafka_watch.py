"""Says once in plain words that Kafka went away, and once that it is back.

Libraries complain of every try to every node, which `streams.logs` holds back; none of them says when it is over.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from settings import Settings
from streams.clients import ask_a_broker

log = logging.getLogger(__name__)

_EVERY_S = 5.0
_ANSWER_S = 5.0


class KafkaWatch:
    """Asks the brokers every few seconds whether one answers; says so when that changes.

    Nothing is done about it: the clients connect again by themselves, and a worker that cannot go on ends.

    Args:
        address: of the brokers, for people.
        ask: returns when a broker has answered, raises when none does.
        now_s: seconds that pass evenly.
    """

    def __init__(
        self, address: str, ask: Callable[[], Awaitable[None]], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self._ask = ask
        self._now_s = now_s
        self._away_since_s: float | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Ask once."""
        asked_s = self._now_s()
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._ask()
        except Exception as error:
            if self._away_since_s is None:
                self._away_since_s = asked_s
                log.warning("Kafka at %s does not answer: %s", self._address, str(error) or type(error).__name__)
            return
        if self._away_since_s is not None:
            away_s, self._away_since_s = self._now_s() - self._away_since_s, None
            log.warning("Kafka at %s answers again after %.0f s", self._address, away_s)


def watch_of(settings: Settings) -> KafkaWatch:
    """Return the watch over the brokers of the settings."""
    return KafkaWatch(", ".join(settings.kafka_address().hosts), lambda: ask_a_broker(settings))
