"""Removes what is no longer kept, a few at a time: artifacts whose lease has ended, old notes of requests."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from db.artifacts import ArtifactRepository
from db.requests import RequestRepository
from topics.errors import RetryableError

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_BATCH = 1000


async def collect_artifacts(artifacts: ArtifactRepository) -> None:
    """Collect every minute until cancelled."""
    while True:
        try:
            while (count := await artifacts.collect(_BATCH)) == _BATCH:
                log.info("collected %s artifacts", count)
        except RetryableError as error:
            log.warning("cannot collect artifacts: %s", error)
        await asyncio.sleep(_EVERY_S)


async def collect_requests(requests: RequestRepository, keep: timedelta) -> None:
    """Remove requests older than `keep` every minute until cancelled."""
    while True:
        try:
            while (count := await requests.collect(datetime.now(UTC), keep, _BATCH)) == _BATCH:
                log.info("collected %s requests", count)
        except RetryableError as error:
            log.warning("cannot collect requests: %s", error)
        await asyncio.sleep(_EVERY_S)
