"""Patterns as the orchestrator needs them: the newest of each id for admissions, any version by digest for the rest.

A pattern's text is in `pattern-versions` before its first admission, so that another worker, or this one after an
upgrade, can finish an execution on the version it began with.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Any, Protocol

from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.faults import PatternFaults
from orchestrator.pattern import CompiledPattern
from orchestrator.registry import PatternRegistry
from orchestrator.versions import versions_digest
from settings import Settings
from streams.clients import topic_name
from streams.compacted import CompactedReader
from topics.codec import decode, encode
from topics.messages import PatternVersion
from topics.table import PATTERN_VERSIONS

log = logging.getLogger(__name__)

_COMPILED_MAX = 1000


class Patterns(Protocol):
    """Where a processor finds patterns."""

    def newest(self, pattern_id: str) -> CompiledPattern | None:
        """Return the version new executions of this pattern start with; None if there is no such pattern."""
        ...

    def by_digest(self, digest: str, versions: str = "") -> CompiledPattern | None:
        """Return one exact version, or None; `versions` names those of its capabilities, empty takes any."""
        ...


class PatternBook:
    """The registry of this worker's pattern files, and every version any worker ever admitted.

    Args:
        settings: where Kafka is.
        registry: patterns of this worker's folders, compiled.
        catalogue: what older versions are compiled against.
    """

    def __init__(self, settings: Settings, registry: PatternRegistry, catalogue: Catalogue) -> None:
        self._settings = settings
        self._registry = registry
        self._catalogue = catalogue
        # By digest and capability versions; by digest alone whichever came last.
        self._versions: dict[tuple[str, str], PatternVersion] = {}
        self._compiled: OrderedDict[tuple[str, str], CompiledPattern | None] = OrderedDict()
        self._reader = CompactedReader(settings, PATTERN_VERSIONS, "orchestrator-patterns", self._on_record)

    async def start(self, producer: Any) -> None:
        """Read all versions, then publish those of the registry that are new; return when they are confirmed."""
        await self._reader.start()
        deliveries = []
        for pattern in self._registry.patterns():
            if (pattern.digest, pattern.versions) in self._versions:
                continue
            version = PatternVersion(
                digest=pattern.digest,
                pattern_id=pattern.id,
                source=pattern.source.decode(),
                capabilities=dict(pattern.capabilities),
            )
            topic = topic_name(self._settings, PATTERN_VERSIONS)
            key = f"{pattern.digest}/{pattern.versions}".encode()
            deliveries.append(await producer.send(topic, encode(version), key))
        await asyncio.gather(*deliveries)

    async def stop(self) -> None:
        """Stop following the topic."""
        await self._reader.stop()

    def newest(self, pattern_id: str) -> CompiledPattern | None:
        """Return the version new executions of this pattern start with; None if there is no such pattern."""
        return self._registry.newest(pattern_id)

    def by_digest(self, digest: str, versions: str = "") -> CompiledPattern | None:
        """Return one exact version; None if it was never admitted or no longer compiles."""
        pattern = self._registry.by_digest(digest, versions)
        if pattern is not None:
            return pattern
        name = digest, versions
        if name in self._compiled:
            self._compiled.move_to_end(name)
            return self._compiled[name]
        version = self._versions.get(name)
        if version is None:
            return None
        try:
            # Its commands go on naming the versions it was admitted with.
            catalogue = self._catalogue.pinned(version.capabilities)
            pattern = compile_pattern(version.source.encode(), catalogue, f"pattern-versions/{digest}")
        except PatternFaults as error:
            log.error("pattern %s (%s) no longer compiles: %s", version.pattern_id, digest, error)
        self._compiled[name] = pattern
        if len(self._compiled) > _COMPILED_MAX:
            self._compiled.popitem(last=False)
        return pattern

    async def _on_record(self, record: Any) -> None:
        if record.value is not None:
            version = decode(record.value, PatternVersion)
            assert isinstance(version, PatternVersion)
            versions = versions_digest(version.capabilities)
            self._versions[version.digest, versions] = self._versions[version.digest, ""] = version
