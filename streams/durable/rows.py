"""Rows in memory: newest fence wins, and each row knows its partition. No Faust here."""

from collections.abc import Iterator
from typing import Any

from streams.durable.fence import FENCE_HEADER, PREFIX_BYTES, epoch_of

_MARKER_PREFIX = b"@epoch/"


def marker_key(partition: int) -> bytes:
    """Return the key of the row that says who took over a partition last."""
    return _MARKER_PREFIX + b"%d" % partition


class FencedRows:
    """Bytes rows, each with the prefix of the write that made it: the fold of each partition's changelog.

    Attributes:
        data: key → prefix and payload.
        positions: offset of the changelog record to read next, by partition. Everything before it is folded; rows this
            worker has written itself may be newer. A partition that is not here has no rows here either.
        epochs: highest epoch seen by partition.
        outranked: keys whose newest record in the log is not the one that won; their owner writes the winner again,
            because compaction would keep the loser.
    """

    data: Any
    _key_partition: Any
    positions: dict[int, int]
    epochs: dict[int, int]
    outranked: dict[bytes, int]

    def clear_rows(self) -> None:
        """Begin with no rows of any partition."""
        self.positions, self.epochs, self.outranked = {}, {}, {}

    def partition_of(self, key: bytes) -> int | None:
        """Return the partition a stored row is in, or None."""
        return self._key_partition.get(key)

    def get_row(self, key: bytes) -> bytes | None:
        """Return a row without its prefix, or None."""
        value = self.data.get(key)
        return None if value is None else value[PREFIX_BYTES:]

    def put_row(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Store a row with its prefix; None deletes it."""
        if value is None:
            self.data.pop(key, None)
            self._key_partition.pop(key, None)
        else:
            self.data[key] = value
            self._key_partition[key] = partition

    def rows(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield key, partition and value without prefix of every row."""
        for key, value in self.data.items():
            yield key, self._key_partition[key], value[PREFIX_BYTES:]

    def drop_partitions(self, keep: set[int]) -> None:
        """Forget all partitions but these, with how far they were read."""
        for key in [key for key, partition in self._key_partition.items() if partition not in keep]:
            self.put_row(0, key, None)
        for known in (self.positions, self.epochs):
            for partition in [partition for partition in known if partition not in keep]:
                del known[partition]
        for key in [key for key, partition in self.outranked.items() if partition not in keep]:
            del self.outranked[key]

    def fold(self, partition: int, offset: int, key: bytes, value: bytes | None, headers: Any) -> None:
        """Fold one changelog record.

        What a former owner still appends after its successor's marker never counts: the successor read up to that
        marker, and goes on from what it had read.

        Raises:
            ValueError: no row of ours, or not behind everything that was folded.
        """
        position = self.positions.get(partition, 0)
        if offset < position:
            raise ValueError(f"partition {partition}: expected offset {position} or later, got {offset}")
        if value is None:
            prefix = next((data for name, data in headers or () if name == FENCE_HEADER), b"")
        else:
            prefix = value[:PREFIX_BYTES]
            if len(prefix) < PREFIX_BYTES:
                raise ValueError(f"partition {partition}, key {key!r}: expected an 8-byte prefix, got {value!r}")
        self.positions[partition] = offset + 1
        epoch, newest = epoch_of(prefix) if prefix else 0, self.epochs.get(partition, 0)
        if epoch > newest:
            self.epochs[partition] = epoch
        if key.startswith(_MARKER_PREFIX):
            return
        old = self.data.get(key)
        if prefix and (epoch < newest or (old is not None and prefix < old[:PREFIX_BYTES])):
            self.outranked[key] = partition
            return
        self.outranked.pop(key, None)
        self.put_row(partition, key, value)
