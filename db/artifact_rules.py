"""Limits and checks of large values, whatever store keeps them."""

from datetime import UTC, datetime, timedelta

from topics.canonical import sha256_hex
from topics.errors import Code, TerminalError

BYTES_MAX = 20 * 1024 * 1024
# After its deadline an execution undoes for a minute, an agent does not renew again what it renewed minutes ago, clocks
# differ, and a result waits for its projection.
_MARGIN = timedelta(hours=24)
LEASE = timedelta(hours=24) + _MARGIN


def lease_for(deadline_s_max: float) -> timedelta:
    """Return how long values must stay that an execution of the longest deadline may refer to."""
    return timedelta(seconds=deadline_s_max) + _MARGIN


def utc_now() -> datetime:
    """Return the time now; the default clock of repositories."""
    return datetime.now(UTC)


def require_small(data: bytes, bytes_max: int) -> None:
    """Check the size of a value.

    Raises:
        TerminalError: OUTPUT_TOO_LARGE.
    """
    if len(data) > bytes_max:
        raise TerminalError(Code.OUTPUT_TOO_LARGE, f"expected a value of at most {bytes_max} bytes, got {len(data)}")


def require_intact(data: bytes, sha256: str) -> bytes:
    """Return bytes that are what their key says.

    Raises:
        TerminalError: INTERNAL when they were damaged in the store.
    """
    actual = sha256_hex(data)
    if actual != sha256:
        raise TerminalError(Code.INTERNAL, f"artifact {sha256} is damaged: its bytes have SHA-256 {actual}")
    return data
