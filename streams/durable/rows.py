"""Rows in memory: newest fence wins, and each row knows its partition. No Faust here."""

from collections.abc import Iterator
from typing import Any

from streams.durable.fence import FENCE_HEADER, PREFIX_BYTES, epoch_of

_MARKER_PREFIX = b"@epoch/"
# As many as are written in the minute after which a former owner's producer gives up what it has not sent.
_GRAVES_MAX = 100_000


def marker_key(partition: int) -> bytes:
    """Return the key of the row that says who took over a partition last."""
    return _MARKER_PREFIX + b"%d" % partition


class FencedRows:
    """Bytes rows, each with the prefix of the write that made it.

    Attributes:
        data: key → prefix and payload.
        epochs: highest epoch seen by partition.
        outranked: keys whose newest record in the log is not the one that won; their owner writes the winner again,
            because compaction would keep the loser.
        graves: the last deleted keys with partition and prefix of the tombstone, while a log is read.
    """

    data: Any
    _key_partition: Any
    epochs: dict[int, int]
    outranked: dict[bytes, int]
    graves: dict[bytes, tuple[int, bytes]]

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
        """Forget the rows of all partitions but these."""
        for key in [key for key, partition in self._key_partition.items() if partition not in keep]:
            self.put_row(0, key, None)
        for partition in [partition for partition in self.epochs if partition not in keep]:
            del self.epochs[partition]
        for key in [key for key, partition in self.outranked.items() if partition not in keep]:
            del self.outranked[key]
        for key in [key for key, (partition, _) in self.graves.items() if partition not in keep]:
            del self.graves[key]

    def apply(self, partition: int, key: bytes, value: bytes | None, headers: Any) -> None:
        """Fold one changelog record.

        Raises:
            ValueError: no row of ours.
        """
        if value is None:
            prefix = next((data for name, data in headers or () if name == FENCE_HEADER), b"")
        else:
            prefix = value[:PREFIX_BYTES]
            if len(prefix) < PREFIX_BYTES:
                raise ValueError(f"partition {partition}, key {key!r}: expected an 8-byte prefix, got {value!r}")
        if prefix:
            self.epochs[partition] = max(self.epochs.get(partition, 0), epoch_of(prefix))
        if key.startswith(_MARKER_PREFIX):
            return
        old = self.data.get(key)
        rank = old[:PREFIX_BYTES] if old is not None else self.graves.pop(key, (partition, b""))[1]
        if prefix and prefix < rank:
            self.outranked[key] = partition
            if old is None:
                self.graves[key] = partition, rank
            return
        self.outranked.pop(key, None)
        if value is None and prefix:
            self.graves[key] = partition, prefix
            if len(self.graves) > _GRAVES_MAX:
                del self.graves[next(iter(self.graves))]
        self.put_row(partition, key, value)
