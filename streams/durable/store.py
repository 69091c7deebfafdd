"""The store of the state table in Faust."""

from faust.stores import memory

from streams.durable.rows import FencedRows


class FencedStore(FencedRows, memory.Store):
    """Memory store of bytes rows.

    Stock takes rows in log order, so a worker that slept through a rebalance overwrites newer rows when it wakes up;
    and it does not know the partition of rows written live, so those of lost partitions stay.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clear_rows()
