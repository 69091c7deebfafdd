"""The 8-byte prefix that decides between two rows of one key: the higher wins.

It is epoch ‖ version: 24 bits of epoch, 40 bits of version, big-endian. A partition's owner takes an epoch above all
it has seen when it takes over, and numbers its writes from 1. So whatever a former owner still writes, however late,
ranks below everything the present owner wrote.
"""

import struct

_PREFIX = struct.Struct(">Q")
PREFIX_BYTES = _PREFIX.size
_VERSION_BITS = 40
_VERSION_MAX = (1 << _VERSION_BITS) - 1
EPOCH_MAX = (1 << 24) - 1
# Tombstones have no value to carry the prefix, so it travels in this record header.
FENCE_HEADER = "fence"


class Fence:
    """Numbers the writes of one partition's owner.

    Args:
        epoch: this ownership's epoch, 1 to `EPOCH_MAX`.
    """

    __slots__ = ("_version", "epoch")

    def __init__(self, epoch: int) -> None:
        if not 0 < epoch <= EPOCH_MAX:
            raise OverflowError(f"expected an epoch from 1 to {EPOCH_MAX}, got {epoch}")
        self.epoch = epoch
        self._version = 0

    def next_prefix(self) -> bytes:
        """Return the prefix of the next write."""
        self._version += 1
        if self._version > _VERSION_MAX:
            raise OverflowError(f"more than {_VERSION_MAX} writes in epoch {self.epoch}")
        return _PREFIX.pack(self.epoch << _VERSION_BITS | self._version)


def epoch_of(prefix: bytes) -> int:
    """Return the epoch in a prefix (or in a row that starts with one)."""
    return _PREFIX.unpack_from(prefix)[0] >> _VERSION_BITS
