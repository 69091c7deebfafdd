"""What could not be processed, kept for operators. Bytes of any tenant: never shown to users."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from db.postgres import Connection, Pool, transaction, upstream_failures
from db.sql import query

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic.

    Attributes:
        topic, partition, offset: where the dead letter itself stands.
        key, value, headers: of the original record, byte for byte.
        reason: what was expected and what arrived.
        stage: where processing stopped, `streams.dead_letter.Stage`.
        origin_topic, origin_partition, origin_offset: where the original stood; the numbers are None if unknown.
        arrived_at: broker time of the dead letter.
        tenant: whose record it says it is; None where it does not say.
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
    tenant: str | None = None
    id: int | None = None
    redriven_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant: those that fit everything given; None asks for nothing.

    Attributes:
        stage: where processing stopped.
        origin_topics: one of these topics.
        reason: text somewhere in the reason, upper and lower case alike.
        tenant: whose record it says it is.
        since, before: arrived at or after, and before.
        waiting: True for those never redriven, False for those redriven.
        value: the original's bytes.
    """

    stage: str | None = None
    origin_topics: tuple[str, ...] | None = None
    reason: str | None = None
    tenant: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    waiting: bool | None = None
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of letters that were to be redriven; each is in one of the members.

    Attributes:
        sent: ids of those sent now.
        handled: those redriven before, and therefore left alone; with when.
        refused: those the topic did not take; with why.
        unknown: ids nobody knows.
    """

    sent: tuple[int, ...] = ()
    handled: tuple[tuple[int, datetime], ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    unknown: tuple[int, ...] = ()

    def __add__(self, other: "Redriven") -> "Redriven":
        return Redriven(
            self.sent + other.sent,
            self.handled + other.handled,
            self.refused + other.refused,
            self.unknown + other.unknown,
        )


async def store_dead_letter(connection: Connection, letter: DeadLetter) -> bool:
    """Store a dead letter in the projector's transaction; False when it is stored already.

    A letter is known by its place, and by its origin, stage and bytes: a record that is delivered again after a crash
    gives the same letter in another place.
    """
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
        None if letter.tenant is None else _text(letter.tenant),
    )
    return made is not None


class DeadLetterRepository:
    """Dead letters for operators. Works with the application's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(
        self, wanted: LetterFilter, *, before_id: int | None = None, limit: int | None = None
    ) -> tuple[int, ...]:
        """Return the ids of dead letters that fit a filter, the newest first.

        Args:
            wanted: which.
            before_id: only those with a smaller id, for the next page.
            limit: at most this many; None for all.
        """
        reason = None if wanted.reason is None else _text(wanted.reason)
        topics = None if wanted.origin_topics is None else list(wanted.origin_topics)
        with upstream_failures("finding dead letters"):
            rows = await self._pool.fetch(
                query("dead_letter_find"),
                wanted.stage,
                topics,
                reason,
                wanted.tenant,
                wanted.since,
                wanted.before,
                wanted.waiting,
                wanted.value,
                before_id,
                limit,
            )
        return tuple(row["id"] for row in rows)

    async def read(self, ids: Sequence[int]) -> tuple[DeadLetter, ...]:
        """Return the dead letters with these ids, the newest first; unknown ids are left out."""
        with upstream_failures("reading dead letters"):
            rows = await self._pool.fetch(query("dead_letter_read"), _known(ids))
        return tuple(_letter(row) for row in rows)

    async def list(
        self, wanted: LetterFilter | None = None, *, before_id: int | None = None, limit: int = 50
    ) -> tuple[DeadLetter, ...]:
        """Return dead letters that fit a filter, the newest first; see `find`."""
        return await self.read(await self.find(wanted or LetterFilter(), before_id=before_id, limit=limit))

    async def redrive(
        self,
        ids: Sequence[int],
        send: Callable[[DeadLetter], Awaitable[str | None]],
        at: datetime,
        *,
        again: bool = False,
    ) -> Redriven:
        """Send letters to their origin, oldest first, and mark what was sent.

        Whoever redrives the same letters at the same time waits, and then finds them handled. A process that dies in
        between leaves them unmarked; they may then be sent once more, which starts nothing twice.

        Args:
            ids: which; few enough for one transaction.
            send: sends one and returns None, or why it cannot be sent; raises when nothing can be sent.
            at: the time now.
            again: also those redriven before.
        """
        sent: list[int] = []
        handled: list[tuple[int, datetime]] = []
        refused: list[tuple[int, str]] = []
        async with transaction(self._pool) as connection:
            letters = [_letter(row) for row in await connection.fetch(query("dead_letter_lock"), _known(ids))]
            for letter in letters:
                assert letter.id is not None
                if letter.redriven_at is not None and not again:
                    handled.append((letter.id, letter.redriven_at))
                elif (why := await send(letter)) is None:
                    sent.append(letter.id)
                else:
                    refused.append((letter.id, why))
            await connection.execute(query("dead_letter_mark"), sent, at)
        unknown = sorted(set(ids) - {letter.id for letter in letters})
        return Redriven(tuple(sent), tuple(handled), tuple(refused), tuple(unknown))

    async def purge(self, ids: Sequence[int]) -> int:
        """Remove letters for good, and return how many there were."""
        with upstream_failures("purging dead letters"):
            done = await self._pool.execute(query("dead_letter_purge"), _known(ids))
        return int(done.split()[-1])


def _letter(row: asyncpg.Record) -> DeadLetter:
    values = dict(row)
    pairs = json.loads(values["headers"])
    values["headers"] = tuple((name, None if data is None else base64.b64decode(data)) for name, data in pairs)
    return DeadLetter(**values)


def _known(ids: Sequence[int]) -> list[int]:
    """No letter has a number the column cannot hold."""
    return [each for each in ids if 0 < each < 2**63]


def _text(text: str) -> str:
    """Postgres text cannot hold U+0000; the original bytes are in `value`."""
    return text.replace("\x00", "\ufffd")
