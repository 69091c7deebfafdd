"""How far the projector has come, kept in the transaction of what it wrote: nothing is projected twice or skipped."""

from db.postgres import Connection, Pool, upstream_failures
from db.sql import query


async def store_offset(connection: Connection, topic: str, partition: int, next_offset: int) -> None:
    """Note the next offset to read; it never goes back."""
    await connection.execute(query("offset_put"), topic, partition, next_offset)


async def load_offsets(pool: Pool, topic: str) -> dict[int, int]:
    """Return partition → next offset to read; a partition never read is absent."""
    with upstream_failures("reading offsets"):
        rows = await pool.fetch(query("offsets_get"), topic)
    return {row["partition"]: row["next_offset"] for row in rows}
