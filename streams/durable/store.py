"""The store of the state table in Faust."""

# ruff: noqa: D102 - what overrides is documented upstream

import logging
from collections.abc import Callable, Iterable
from typing import Any

from faust.stores import memory

from streams.durable.rows import FencedRows
from streams.failstop import fail_stop

log = logging.getLogger(__name__)

_GAPS_TOLD_MAX = 5


class FencedStore(FencedRows, memory.Store):
    """Memory store of bytes rows.

    Stock takes rows in log order, so a worker that slept through a rebalance overwrites newer rows when it wakes up;
    and it does not know the partition of rows written live, so those of lost partitions stay.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.epochs = {}
        self.outranked = {}
        self.graves = {}
        self._read: dict[int, int] = {}
        self._gaps: list[tuple[int, int, int]] = []

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
                self._note(message.partition, message.offset)
                self.apply(message.partition, message.key, message.value, message.headers)
        except Exception as error:
            fail_stop("the state changelog holds a record that is no state row", error)

    def _note(self, partition: int, offset: int) -> None:
        last = self._read.get(partition)
        if last is not None and offset > last + 1:
            self._gaps.append((partition, last + 1, offset - 1))
        self._read[partition] = offset

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        if self._gaps:
            # Compaction makes gaps; before it has run, a gap is records that a rebalance made Faust skip.
            told = ", ".join(f"{partition}/{first}-{last}" for partition, first, last in self._gaps[:_GAPS_TOLD_MAX])
            log.warning("the changelog was read with %s gaps, the first: %s", len(self._gaps), told)
        self._gaps.clear()
        self._read.clear()
        self.drop_partitions({tp.partition for tp in active_tps})
