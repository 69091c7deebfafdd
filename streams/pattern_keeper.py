"""Copies every pattern version from its topic into Postgres, where results that name it are kept as well."""

import asyncio
import logging
from typing import Any

from db.pattern_texts import PatternTextRepository
from db.postgres import Pool
from settings import Settings
from streams.compacted import CompactedReader
from topics.codec import decode
from topics.errors import RetryableError
from topics.messages import PatternVersion
from topics.table import PATTERN_VERSIONS

log = logging.getLogger(__name__)

_RETRY_S = 1.0


class PatternKeeper:
    """Follows `pattern-versions` while this process leads; keeping a text twice changes nothing.

    Args:
        settings: where Kafka is, prefix.
        pool: Postgres, the application's role.
    """

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._texts = PatternTextRepository(pool)
        self._reader = CompactedReader(settings, PATTERN_VERSIONS, "projector-patterns", self._on_record)

    async def run(self) -> None:
        """Keep texts until cancelled."""
        try:
            await self._reader.start()
            await asyncio.Event().wait()
        finally:
            await self._reader.stop()

    async def _on_record(self, record: Any) -> None:
        if record.value is None:
            return
        version = decode(record.value, PatternVersion)
        assert isinstance(version, PatternVersion)
        while True:
            try:
                await self._texts.put(version.digest, version.pattern_id, version.source, version.capabilities)
                return
            except RetryableError as error:
                log.warning("Postgres does not take pattern texts, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)
