"""Rows of a state table under an owner's fence: who may write which partition, and taking one over.

No Faust here: `table.py` puts this on a Faust table, `simulation/` on its own log.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

import orjson

from streams.durable.fence import FENCE_HEADER, Fence
from streams.durable.rows import FencedRows, marker_key

log = logging.getLogger(__name__)


class NotOwner(Exception):
    """A write to a partition this worker does not own (any more)."""


class OwnedRows:
    """A table of bytes rows, read locally, each write appended to a changelog.

    A partition takes writes from the end of its recovery, when this worker has written its epoch marker, until the next
    rebalance begins. Whoever mixes this in calls `_begin`, appends to the changelog, and says who the owner is.

    Attributes:
        on_take_over: called with the owned partitions after each recovery, before any event is processed.
        on_stray: called with a partition in which somebody else's record stands between this owner's.
        taken_over_at_ms: the broker's time when the last marker was appended; None before the first.
    """

    name: str
    _fences: dict[int, Fence]
    _pending: set[asyncio.Future[Any]]
    _closings: int
    _strayed: set[int]
    on_take_over: Callable[[frozenset[int]], Awaitable[None]] | None
    on_stray: Callable[[int], None] | None
    taken_over_at_ms: int | None

    def _begin(self) -> None:
        self._fences = {}
        self._pending = set()
        self._closings = 0
        self._strayed = set()
        self.on_take_over = None
        self.on_stray = None
        self.taken_over_at_ms = None

    @property
    def store(self) -> FencedRows:
        """The rows in memory."""
        raise NotImplementedError

    @property
    def _owner(self) -> str:
        raise NotImplementedError

    def _append(
        self, partition: int, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None
    ) -> Awaitable[asyncio.Future[Any]]:
        """Append to the changelog; the outer awaitable ends when the record is on its way, the inner when confirmed."""
        raise NotImplementedError

    def owns(self, partition: int) -> bool:
        """Tell whether rows of this partition may be written now."""
        return partition in self._fences

    def row(self, key: bytes) -> bytes | None:
        """Return a row's payload, or None."""
        return self.store.get_row(key)

    def rows(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield key, partition and payload of every row."""
        return self.store.rows()

    async def put(self, partition: int, key: bytes, payload: bytes | None) -> asyncio.Future[Any]:
        """Write a row (None deletes it) and return the future of its delivery to the changelog.

        Raises:
            NotOwner: the partition is not, or no longer, this worker's.
        """
        fence = self._fences.get(partition)
        if fence is None:
            raise NotOwner(f"partition {partition} of {self.name} is not owned by this worker")
        prefix = fence.next_prefix()
        value = None if payload is None else prefix + payload
        self.store.put_row(partition, key, value)
        future = await self._append(partition, key, value, [(FENCE_HEADER, prefix)] if value is None else None)
        self._pending.add(future)
        future.add_done_callback(self._delivered)
        return future

    def _delivered(self, future: asyncio.Future[Any]) -> None:
        self._pending.discard(future)
        if future.cancelled() or future.exception() is not None:
            return
        record = future.result()
        partition = record.partition
        if self._follows(record) or partition in self._strayed or partition not in self.store.positions:
            return
        self._strayed.add(partition)
        if self.on_stray is not None and self.owns(partition):
            self.on_stray(partition)

    def _follows(self, record: Any) -> bool:
        """Tell whether a record of ours directly follows what was read; then it need not be read any more."""
        positions = self.store.positions
        if positions.get(record.partition) != record.offset:
            return False
        positions[record.partition] = record.offset + 1
        return True

    def _marked(self, partition: int, epoch: int, future: asyncio.Future[Any]) -> None:
        self._pending.discard(future)
        if not future.cancelled() and future.exception() is None and self._follows(future.result()):
            # Together with the position that goes past the marker: what a former owner appends from here on is late.
            self.store.epochs[partition] = epoch

    def close_partitions(self) -> None:
        """Refuse writes until the next recovery is complete."""
        self._fences.clear()
        self._closings += 1

    async def close(self) -> None:
        """Refuse writes, and wait until every one that was begun is confirmed or failed."""
        self.close_partitions()
        while self._pending:
            await asyncio.wait(self._pending)

    def forget_all_but(self, partitions: Iterable[int]) -> None:
        """Drop the rows of lost partitions, and of those where rows of this worker may have come too late to count."""
        self.store.drop_partitions(set(partitions) - self._strayed)
        self._strayed.clear()

    async def take_over(self, partitions: Iterable[int]) -> bool:
        """Take the next epoch of each partition and open it for writes.

        Args:
            partitions: whose changelogs were read to their ends.

        Returns:
            False if somebody wrote to a changelog partition after it was read: read on, then call again.

        Raises:
            NotOwner: the partitions were closed meanwhile: they may be somebody else's by now.
        """
        closings, store = self._closings, self.store
        read = {partition: store.positions.get(partition, 0) for partition in partitions}
        fences = {partition: Fence(store.epochs.get(partition, 0) + 1) for partition in read}
        note = orjson.dumps({"owner": self._owner})
        markers = {}
        for partition, fence in fences.items():
            prefix = fence.next_prefix()
            marker = markers[partition] = await self._append(partition, marker_key(partition), prefix + note, None)
            self._pending.add(marker)
            marker.add_done_callback(partial(self._marked, partition, fence.epoch))
        undisturbed = True
        for partition, marker in markers.items():
            record = await marker
            self.taken_over_at_ms = record.timestamp
            if record.offset != read[partition]:
                log.warning("changelog partition %s: read %s, marker at %s", partition, read[partition], record.offset)
                undisturbed = False
        # Markers are confirmed together; their callbacks have not all run yet.
        await asyncio.sleep(0)
        if self._closings != closings:
            raise NotOwner(f"another rebalance began while {self.name} was taken over")
        if not undisturbed:
            return False
        self._fences = fences
        await self._write_winners_again()
        if self.on_take_over is not None:
            await self.on_take_over(frozenset(fences))
        return True

    async def _write_winners_again(self) -> None:
        outranked = dict(self.store.outranked)
        written = [await self.put(partition, key, self.row(key)) for key, partition in outranked.items()]
        if written:
            log.warning("wrote %s rows again that a former owner had overwritten", len(written))
            await asyncio.gather(*written)
            for key in outranked:
                self.store.outranked.pop(key, None)
