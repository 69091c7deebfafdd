"""Writes down a database's schema as SQL, in a fixed order; `schema.sql` is that text.

A test replays the migrations, writes the result down and compares. `python -m db.schema URL` prints it.
"""

import asyncio
import sys

import asyncpg

from db.postgres import Connection
from db.sql import query

_HEADER = """\
-- The schema after all migrations. Written by `python -m db.schema`; change it with a new file in db/migrations/.
"""
# In an order in which the statements can be run: functions of SQL check what they refer to.
_PARTS = ("sequences", "plain_functions", "tables", "constraints", "indexes", "row_functions", "triggers", "security")


async def describe_schema(connection: Connection) -> str:
    """Return everything in the schema `public` as SQL: same schema, same text."""
    parts = [_HEADER]
    for name in _PARTS:
        rows = await connection.fetch(query(f"schema_{name}"))
        parts.extend(f"{row[0].rstrip().rstrip(';')};\n" for row in rows)
    return "\n".join(parts)


async def _print(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        sys.stdout.write(await describe_schema(connection))
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(_print(sys.argv[1]))
