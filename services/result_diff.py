"""Comparing two results with all that is known here about their causes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.catalogue import Catalogue
from provenance.diff import Difference, diff
from services.evidence import gather_evidence
from services.kept_patterns import KeptPatterns
from settings import Settings

if TYPE_CHECKING:
    from db.postgres import Pool


async def diff_results(
    settings: Settings, catalogue: Catalogue, pool: Pool | None, a: Mapping[str, Any], b: Mapping[str, Any]
) -> Difference:
    """Return what differs between two results, with restated prices, bookings and pattern lines as causes.

    Args:
        settings: folders of patterns.
        catalogue: says which pins a capability reads.
        pool: the application's role; None names causes by their versions alone.
        a: an `ExecutionResult` as parsed JSON, outputs in their places.
        b: the other one, of the same user.
    """
    texts = KeptPatterns(settings, catalogue, pool)
    if pool is None:
        return diff(a, b, await gather_evidence(a, b, catalogue, texts, None, None))
    from db.ledgers import SnapshotRepository
    from db.packs import PackRepository

    evidence = await gather_evidence(a, b, catalogue, texts, PackRepository(pool), SnapshotRepository(pool))
    return diff(a, b, evidence)
