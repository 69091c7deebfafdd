"""Removes what is no longer kept, a few at a time: artifacts whose lease has ended, old notes of requests.

A result that is not projected yet refers to artifacts that its projection would keep for good. So no artifact goes
before everything published is projected: a projector that was away for days first catches up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from aiokafka.errors import KafkaError

from db.artifacts import ArtifactRepository
from db.requests import RequestRepository
from topics.errors import RetryableError

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_BATCH = 1000


async def collect_artifacts(
    artifacts: ArtifactRepository, caught_up: Callable[[], Awaitable[bool]], every_s: float = _EVERY_S
) -> None:
    """Collect until cancelled.

    Args:
        artifacts: of all tenants.
        caught_up: tells whether everything published is projected.
        every_s: seconds between two times.
    """
    while True:
        try:
            if await caught_up():
                while (count := await artifacts.collect(_BATCH)) == _BATCH:
                    log.info("collected %s artifacts", count)
        except (RetryableError, KafkaError) as error:
            log.warning("cannot collect artifacts: %s", error)
        await asyncio.sleep(every_s)


async def collect_requests(requests: RequestRepository, keep: timedelta) -> None:
    """Remove requests older than `keep` every minute until cancelled."""
    while True:
        try:
            while (count := await requests.collect(datetime.now(UTC), keep, _BATCH)) == _BATCH:
                log.info("collected %s requests", count)
        except RetryableError as error:
            log.warning("cannot collect requests: %s", error)
        await asyncio.sleep(_EVERY_S)
