"""Replaying an execution that is stored: its result, pattern text, packs and artifacts from Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from orchestrator.catalogue import Catalogue
from services.composition import build_runtime_postgres
from services.kept_patterns import KeptPatterns
from services.replay import OverlayArtifacts, Replay, replay
from settings import Settings

if TYPE_CHECKING:
    from db.postgres import Pool


async def replay_stored(
    settings: Settings, catalogue: Catalogue, pool: Pool, tenant: str, user_id: UUID, execution_id: UUID
) -> Replay | None:
    """Recompute a stored execution on its pins; None when this user has no such finished execution.

    Args:
        settings: agents that are here, ledger repository, limits.
        catalogue: what is offered here.
        pool: the application's role, row-level security applies.
        tenant: whose.
        user_id: whose.
        execution_id: of a finished execution.

    Raises:
        AgentNotLoadable, PatternFaults: the agents or patterns here cannot be read.
    """
    from db.artifacts import ArtifactRepository
    from db.executions import ExecutionRepository

    result = await ExecutionRepository(pool).show(tenant, user_id, execution_id)
    if result is None:
        return None
    digest = result.trace.pattern_digest
    text = None if digest is None else await KeptPatterns(settings, catalogue, pool).get(digest)
    artifacts = OverlayArtifacts(ArtifactRepository(pool, settings.artifact_bytes_max))
    runtime = build_runtime_postgres(pool, None, None, settings, artifacts=artifacts)
    return await replay(result, text, catalogue, runtime, artifacts)
