"""Rows of the table in memory: newest fence wins, and each row knows its partition."""

# ruff: noqa: D102 - what overrides is documented upstream

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faust.stores import memory

from streams.durable.fence import FENCE_HEADER, PREFIX_BYTES, epoch_of
from streams.failstop import fail_stop

_MARKER_PREFIX = b"@epoch/"


def marker_key(partition: int) -> bytes:
    """Return the key of the row that says who took over a partition last."""
    return _MARKER_PREFIX + b"%d" % partition


class FencedStore(memory.Store):
    """Memory store of bytes rows.

    Stock takes rows in log order, so a worker that slept through a rebalance overwrites newer rows when it wakes up;
    and it does not know the partition of rows written live, so those of lost partitions stay.

    Attributes:
        epochs: highest epoch seen by partition.
        outranked: keys whose newest record in the log is not the one that won; their owner writes the winner again,
            because compaction would keep the loser.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.epochs: dict[int, int] = {}
        self.outranked: dict[bytes, int] = {}

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

    def apply_changelog_batch(
        self,
        batch: Iterable[Any],
        to_key: Callable[[Any], Any],
        to_value: Callable[[Any], Any],
    ) -> None:
        """Fold changelog records, oldest first. Ends the process on a record that is no row of ours.

        The caller logs exceptions as warnings and goes on without the rest of the batch.
        """
        try:
            for event in batch:
                message = event.message
                self._apply(message.partition, message.key, message.value, message.headers)
        except Exception as error:
            fail_stop("the state changelog holds a record that is no state row", error)

    def _apply(self, partition: int, key: bytes, value: bytes | None, headers: Any) -> None:
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
        if old is not None and prefix and prefix < old[:PREFIX_BYTES]:
            self.outranked[key] = partition
            return
        self.outranked.pop(key, None)
        self.put_row(partition, key, value)

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        self.drop_partitions({tp.partition for tp in active_tps})
