"""Removes artifacts whose lease has ended, a few at a time."""

import asyncio
import logging

from db.artifacts import ArtifactRepository
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
