"""Large values of one process, kept until it ends."""

from uuid import UUID

from topics.canonical import sha256_hex


class LocalArtifacts:
    """See `agents.store_ports.ArtifactStore`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """See `agents.store_ports.ArtifactStore`."""
        sha = sha256_hex(data)
        self._kept[tenant, sha] = data
        return sha

    async def get(self, tenant: str, user_id: UUID, sha256: str) -> bytes | None:
        """See `agents.store_ports.ArtifactStore`."""
        return self._kept.get((tenant, sha256))

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        """See `agents.store_ports.ArtifactStore`."""
        return (tenant, sha256) in self._kept
