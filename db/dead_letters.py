"""What could not be processed, kept for operators. Bytes of any tenant: never shown to users."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from db.postgres import Connection, Pool, upstream_failures
from db.sql import query

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic.

    Attributes:
        topic, partition, offset: where the dead letter itself stands; storing the same place twice keeps the first.
        key, value, headers: of the original record, byte for byte.
        reason: what was expected and what arrived.
        stage: `decode`, `process` or `publish`.
        origin_topic, origin_partition, origin_offset: where the original stood; the numbers are None if unknown.
        arrived_at: broker time of the dead letter.
        id: number in this table; None until stored.
        redriven_at: when it was last sent to its origin again; None if never.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    stage: str
    origin_topic: str
    origin_partition: int | None
    origin_offset: int | None
    arrived_at: datetime
    id: int | None = None
    redriven_at: datetime | None = None


async def store_dead_letter(connection: Connection, letter: DeadLetter) -> bool:
    """Store a dead letter in the projector's transaction; False when its place is stored already."""
    made = await connection.fetchval(
        query("dead_letter_put"),
        letter.topic,
        letter.partition,
        letter.offset,
        letter.key,
        letter.value,
        json.dumps(
            [[_text(name), None if data is None else base64.b64encode(data).decode()] for name, data in letter.headers]
        ),
        _text(letter.reason),
        _text(letter.stage),
        _text(letter.origin_topic),
        letter.origin_partition,
        letter.origin_offset,
        letter.arrived_at,
    )
    return made is not None


class DeadLetterRepository:
    """Dead letters for operators. Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(
        self,
        *,
        stage: str | None = None,
        origin_topic: str | None = None,
        waiting: bool | None = None,
        before_id: int | None = None,
        limit: int = 50,
    ) -> tuple[DeadLetter, ...]:
        """Return dead letters, the newest first.

        Args:
            stage: only those of one stage.
            origin_topic: only those from one topic.
            waiting: True for those never redriven, False for those redriven, None for both.
            before_id: only those with a smaller id, for the next page.
            limit: at most this many.
        """
        with upstream_failures("listing dead letters"):
            rows = await self._pool.fetch(query("dead_letter_list"), stage, origin_topic, waiting, before_id, limit)
        return tuple(_letter(row) for row in rows)

    async def show(self, letter_id: int) -> DeadLetter | None:
        """Return one dead letter; None when there is none."""
        with upstream_failures("reading a dead letter"):
            row = await self._pool.fetchrow(query("dead_letter_get"), letter_id)
        return None if row is None else _letter(row)

    async def mark_redriven(self, ids: Sequence[int], at: datetime) -> int:
        """Note that these were sent to their origin again, and return how many there are."""
        with upstream_failures("marking dead letters"):
            done = await self._pool.execute(query("dead_letter_mark"), list(ids), at)
        return int(done.split()[-1])


def _letter(row: asyncpg.Record) -> DeadLetter:
    values = dict(row)
    pairs = json.loads(values["headers"])
    values["headers"] = tuple((name, None if data is None else base64.b64decode(data)) for name, data in pairs)
    return DeadLetter(**values)


def _text(text: str) -> str:
    """Postgres text cannot hold U+0000; the original bytes are in `value`."""
    return text.replace("\x00", "\ufffd")
