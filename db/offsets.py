"""How far the projector has come, kept in the transaction of what it wrote: nothing is projected twice or skipped."""

from collections.abc import Sequence

from db.postgres import Connection, Pool, upstream_failures
from db.sql import query


async def store_offset(connection: Connection, topic: str, partition: int, next_offset: int) -> None:
    """Note the next offset to read; it never goes back."""
    await store_offsets(connection, [(topic, partition, next_offset)])


async def store_offsets(connection: Connection, places: Sequence[tuple[str, int, int]]) -> None:
    """Note the next offset to read of each (topic, partition), all different; none goes back."""
    # Always in one order, so that two writers cannot wait for each other.
    topics, partitions, offsets = zip(*sorted(places), strict=True)
    await connection.execute(query("offsets_put"), topics, partitions, offsets)


async def load_offsets(pool: Pool, topic: str) -> dict[int, int]:
    """Return partition → next offset to read; a partition never read is absent."""
    with upstream_failures("reading offsets"):
        rows = await pool.fetch(query("offsets_get"), topic)
    return {row["partition"]: row["next_offset"] for row in rows}
