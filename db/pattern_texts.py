"""Texts of patterns by digest, kept for as long as results that name them: what `replay` compiles.

The projector copies them from the topic `pattern-versions`. They hold no tenant's data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from db.postgres import Pool, upstream_failures
from db.sql import query


@dataclass(frozen=True, slots=True)
class StoredPattern:
    """A pattern as it was admitted; `capabilities` are the versions it was compiled against."""

    pattern_id: str
    source: bytes
    capabilities: Mapping[str, int]


class PatternTextRepository:
    """Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, digest: str) -> StoredPattern | None:
        """Return the text with this digest; None when it was never kept."""
        with upstream_failures("reading a pattern"):
            row = await self._pool.fetchrow(query("pattern_text_get"), digest)
        if row is None:
            return None
        return StoredPattern(row["pattern_id"], row["source"].encode(), json.loads(row["capabilities"]))

    async def put(self, digest: str, pattern_id: str, source: str, capabilities: Mapping[str, int]) -> bool:
        """Keep a text; False when it is there already, which changes nothing."""
        with upstream_failures("keeping a pattern"):
            made = await self._pool.fetchval(
                query("pattern_text_put"), digest, pattern_id, source, json.dumps(dict(capabilities), sort_keys=True)
            )
        return made is not None
