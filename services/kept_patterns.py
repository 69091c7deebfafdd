"""Texts of patterns by digest: those kept with stored results, else those of this machine's folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.catalogue import Catalogue
from services.patterns import load_patterns
from services.replay import PatternText
from settings import Settings

if TYPE_CHECKING:
    from db.postgres import Pool


class KeptPatterns:
    """Looks patterns up.

    Args:
        settings: folders of patterns.
        catalogue: what they are compiled against.
        pool: of the application's role; None where there is no database.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, pool: Pool | None) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._pool = pool

    async def get(self, digest: str) -> PatternText | None:
        """Return the text with this digest; None when it is not known here.

        Raises:
            PatternFaults: the patterns in the folders cannot be read.
        """
        if self._pool is not None:
            from db.pattern_texts import PatternTextRepository

            kept = await PatternTextRepository(self._pool).get(digest)
            if kept is not None:
                return PatternText(kept.source, kept.capabilities)
        known = load_patterns(self._settings, self._catalogue).by_digest(digest)
        return None if known is None else PatternText(known.source, known.capabilities)
