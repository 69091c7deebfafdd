"""What the agent runtime keeps outside itself, as Protocols: large values, remembered answers, circuits."""

from typing import Protocol
from uuid import UUID


class ArtifactStore(Protocol):
    """Large values by content: key (tenant, SHA-256 of the bytes)."""

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """Keep the bytes (lease renewed if they are there already) and return their SHA-256."""
        ...

    async def get(self, tenant: str, user_id: UUID, sha256: str) -> bytes | None:
        """Return the bytes; None when there are none, they expired or belong to another tenant."""
        ...

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        """Renew the lease; False when the artifact is gone."""
        ...


class Cache(Protocol):
    """Bytes that may vanish at any time."""

    async def get(self, key: str) -> bytes | None:
        """Return the bytes; None when absent or expired."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: int | None) -> None:
        """Keep the bytes for `ttl_s` seconds; None lets the store choose."""
        ...


class Admission(Protocol):
    """What a circuit says before a call.

    Attributes:
        retry_after_s: None = go ahead; else the circuit is open for that long.
        failures: consecutive failures on record; a success need only be reported when this is above 0.
    """

    @property
    def retry_after_s(self) -> float | None: ...  # noqa: D102
    @property
    def failures(self) -> int: ...  # noqa: D102


class BreakerStore(Protocol):
    """State of all circuits, shared by all workers. `circuit` is `<agent>/<service>`."""

    async def admit(self, circuit: str, now_ms: int) -> Admission:
        """Ask before a call. An open circuit lets one trial through once its pause is over (half-open)."""
        ...

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        """Close the circuit and forget its failures."""
        ...

    async def failed(self, circuit: str, now_ms: int) -> None:
        """Count a failure: the 5th in a row, or a failed trial, opens the circuit: for 1 s, doubled up to 60 s."""
        ...
