"""Pricing packs in Postgres: reading, and the moves the application's role may make (freeze, fail).

Frozen packs never change, so what was read of one may be kept for ever.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import asyncpg

from db.pack_checks import Finding, check_content
from db.pack_choice import PackDecision, PackFacts, choose_pack
from db.pack_content import Origin, PackContent, PackRejected, PriceRow, RateRow
from db.pack_difference import RowChange, difference
from db.pack_series import PackInfo, PackSeries, Security, continued, in_currency, part, require_frozen
from db.postgres import Pool, upstream_failures
from db.sql import query
from topics.errors import Code, TerminalError
from topics.messages import PackAnnouncement, PackRef, PackStatus

# At 10 symbols over 9 years one takes about 3 MB.
_SERIES_KEPT_MAX = 16
T = TypeVar("T")
# Symbols, currencies, first day.
_Question = tuple[tuple[str, ...], tuple[str, ...], date | None]


class AnnouncedEarly(TerminalError):
    """A pack was announced that is not there, or not with those rows."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A series that was read, with what tells whether another one begins with it or is a part of it."""

    series: PackSeries
    policy: str
    freeze_seq: int
    usable: tuple[str, ...]
    pivots: frozenset[str]

    @property
    def last(self) -> date:
        return self.series.dates[-1]


class PackRepository:
    """Read access to packs, and their freezing. Works with the application's role.

    Args:
        pool: from `db.postgres.open_pool`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._kept: OrderedDict[tuple[UUID, _Question], _Known] = OrderedDict()

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision:
        """Choose the pack for a day (None: the newest day with a pack that has not failed), or check the one given.

        Raises:
            TerminalError: NO_PACK, PACK_FAILED, UNKNOWN_PACK, INVALID_REQUEST; see `db.pack_choice`.
            RetryableError: Postgres failed.
        """
        with upstream_failures("choosing a pack"):
            row = await self._pool.fetchrow(query("pack_facts"), policy, asof, pack_id)
        assert row is not None
        known = None if row["first_day"] is None else (row["first_day"], row["last_day"])
        return choose_pack(
            PackFacts(
                policy=policy,
                asof=asof,
                pack_id=pack_id,
                known=known,
                session=row["session"],
                newest=row["newest"],
                newest_failed=row["newest_failed"],
                given=_ref_or_none(row["given"]),
                revisions=tuple(PackRef.model_validate_json(pack) for pack in row["revisions"] or ()),
                previous_fresh=_ref_or_none(row["previous_fresh"]),
            )
        )

    async def series(
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> PackSeries:
        """Return prices and rates from `start` (None: the first day there is) to the pack's own day.

        Rates are the stored pairs that help to convert between `currencies`: both sides among them, or one side and
        a currency that stands in several pairs of the pack. One round trip; remembered afterwards, so that the pack of
        a later day reads its own rows only.

        Raises:
            TerminalError: UNKNOWN_PACK, PACK_WARMING, PACK_FAILED.
            RetryableError: Postgres failed.
        """
        question = (tuple(sorted(set(symbols))), tuple(sorted(set(currencies))), start)
        kept = self._kept.get((pack_id, question))
        if kept is not None:
            self._kept.move_to_end((pack_id, question))
            return kept.series
        found = self._part(pack_id, question)
        if found is not None:
            return found
        known = self._last_known(question)
        reach = (None,) * 4 if known is None else (known.policy, known.last, known.freeze_seq, list(known.usable))
        with upstream_failures("reading a price series"):
            rows = await self._pool.fetch(
                query("pack_series"), pack_id, list(question[0]), list(question[1]), start, *reach
            )
        if not rows or not rows[0]["days"]:
            require_frozen(await self._ref(pack_id), pack_id)
        series, own = _series(rows), rows[0]
        if own["kind"] == "rest":
            assert known is not None
            series = continued(known.series, series)
        pivots = frozenset(filter(None, own["currency"].split(",")))
        self._kept[pack_id, question] = _Known(series, own["name"], int(own["numbers"]), tuple(own["sources"]), pivots)
        if len(self._kept) > _SERIES_KEPT_MAX:
            self._kept.popitem(last=False)
        return series

    def _part(self, pack_id: UUID, question: _Question) -> PackSeries | None:
        """Return what is asked for out of a series that was read of the same pack, if there is one it is a part of."""
        symbols, currencies, start = question
        for (kept_id, (kept_symbols, kept_currencies, kept_start)), known in reversed(self._kept.items()):
            if (
                kept_id == pack_id
                and (kept_start is None or (start is not None and kept_start <= start))
                and set(symbols) <= set(kept_symbols)
                and set(currencies) <= set(kept_currencies)
            ):
                found = part(known.series, symbols, currencies, known.pivots, start)
                if found is not None:
                    return found
        return None

    def _last_known(self, question: _Question) -> _Known | None:
        """Return what was last asked for in the same words, of whichever pack."""
        same = (known for (_, asked), known in reversed(self._kept.items()) if asked == question and known.series.dates)
        return next(same, None)

    async def securities(self, pack_id: UUID, symbols: Sequence[str]) -> Mapping[str, Security]:
        """Return what a frozen pack sees of each symbol: what was known when it was frozen; unknown ones are absent."""
        with upstream_failures("reading securities"):
            rows = await self._pool.fetch(query("securities_seen"), pack_id, list(symbols))
        return {row["symbol"]: Security(**dict(row)) for row in rows}

    async def show(self, pack_id: UUID) -> PackInfo:
        """Return a pack with everything people ask about it.

        Raises:
            TerminalError: UNKNOWN_PACK.
        """
        with upstream_failures("reading a pack"):
            row = await self._pool.fetchrow(query("pack_show"), pack_id)
        if row is None:
            raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {pack_id}")
        return _info(row)

    async def list(
        self,
        policy: str | None = None,
        start: date | None = None,
        end: date | None = None,
        status: PackStatus | None = None,
        limit: int = 100,
    ) -> tuple[PackInfo, ...]:
        """Return packs, the newest day and revision first."""
        with upstream_failures("listing packs"):
            rows = await self._pool.fetch(query("pack_list"), policy, start, end, status and status.value, limit)
        return tuple(_info(row) for row in rows)

    async def page(
        self,
        policy: str | None,
        start: date | None,
        end: date | None,
        status: PackStatus | None,
        after: tuple[date, str, int] | None,
        limit: int,
    ) -> tuple[PackInfo, ...]:
        """Return packs, the newest day and revision first, from the one after (day, policy, revision) on."""
        with upstream_failures("listing packs"):
            rows = await self._pool.fetch(
                query("pack_page"), policy, start, end, status and status.value, *(after or (None, None, None)), limit
            )
        return tuple(_info(row) for row in rows)

    async def content(self, pack_id: UUID) -> PackContent:
        """Return all rows of a pack; empty for one without rows, also for an unknown one."""
        with upstream_failures("reading a pack's rows"):
            prices = await self._pool.fetch(query("pack_prices"), pack_id)
            rates = await self._pool.fetch(query("pack_rates"), pack_id)
        return PackContent(
            tuple(
                PriceRow(row[0], Decimal(row[1]), row[2], row[3], row[4], row[5])  # as selected
                for row in prices
            ),
            tuple(RateRow(row[0], row[1], Decimal(row[2]), row[3], row[4]) for row in rates),
        )

    async def verify(self, pack_id: UUID) -> str:
        """Compute a frozen pack's digest again from its rows and return it.

        Raises:
            TerminalError: UNKNOWN_PACK, PACK_WARMING, PACK_FAILED; INTERNAL when the rows are not those once frozen.
        """
        pack = require_frozen(await self._ref(pack_id), pack_id)
        actual = (await self.content(pack_id)).sha256()
        if actual != pack.content_sha256:
            raise TerminalError(
                Code.INTERNAL, f"pack {pack_id}: frozen with SHA-256 {pack.content_sha256}, its rows give {actual}"
            )
        return actual

    async def difference(self, before: UUID, after: UUID) -> tuple[RowChange, ...]:
        """Return the prices and rates that differ between two packs, whatever their status.

        Raises:
            TerminalError: UNKNOWN_PACK.
        """
        for pack_id in (before, after):
            if await self._ref(pack_id) is None:
                raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {pack_id}")
        return difference(await self.content(before), await self.content(after))

    async def provenance(self, pack_id: UUID) -> tuple[Origin, ...]:
        """Return where a pack's rows were read; empty when nobody said."""
        with upstream_failures("reading a pack's provenance"):
            rows = await self._pool.fetch(query("provenance_get"), pack_id)
        return tuple(Origin(**dict(row)) for row in rows)

    async def content_before(self, policy: str, asof: date) -> PackContent | None:
        """Return the rows of the newest frozen pack of an earlier day; None without one."""
        with upstream_failures("reading the pack before"):
            before = await self._pool.fetchval(query("pack_newest_before"), policy, asof)
        return None if before is None else await self.content(before)

    async def required(self, policy: str) -> tuple[str, ...]:
        """Return the symbols every pack of a policy must have."""
        with upstream_failures("reading a policy"):
            row = await self._pool.fetchrow(query("policy_get"), policy)
        return tuple(row["required_symbols"]) if row else ()

    async def check(self, pack_id: UUID) -> tuple[Finding, ...]:
        """Return what the checks notice about a pack, compared with the newest frozen one of an earlier day."""
        content = await self.content(pack_id)
        with upstream_failures("reading the pack before"):
            before = await self._pool.fetchval(query("pack_before"), pack_id)
            facts = await self._pool.fetchrow(query("pack_checked_by"), pack_id)
        asof, required = (None, ()) if facts is None else (facts[0], tuple(facts[1]))
        return check_content(content, None if before is None else await self.content(before), asof, required)

    async def freeze(self, pack_id: UUID, expected_sha256: str | None, known_at: datetime) -> PackRef:
        """Check a warming pack and freeze it: from now on it is fresh and never changes.

        The fresh pack of the same day is superseded. Freezing a frozen pack again changes nothing.

        Args:
            pack_id: the pack.
            expected_sha256: digest its rows must have; None accepts what is there.
            known_at: when its data became known.

        Raises:
            PackRejected: the checks found faults; the pack stays warming.
            TerminalError: UNKNOWN_PACK, PACK_FAILED; INVALID_REQUEST when the digest differs, or a newer revision of
                the day is frozen already.
        """
        pack = await self._ref(pack_id)
        if pack is None:
            raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {pack_id}")
        findings: tuple[Finding, ...] = ()
        if pack.status is PackStatus.WARMING:
            findings = await self.check(pack_id)
            faults = [f"{finding.kind} {finding.subject}: {finding.message}" for finding in findings if finding.fault]
            if faults:
                raise PackRejected(faults)
        stored = json.dumps([finding.as_json() for finding in findings])
        with upstream_failures("freezing a pack"), pack_refusals(pack_id):
            await self._pool.fetch(query("pack_freeze"), [pack_id], [expected_sha256], known_at, [stored])
        return require_frozen(await self._ref(pack_id), pack_id)

    async def fail(self, pack_id: UUID, reason: str, findings: Sequence[Finding] = ()) -> None:
        """Give a warming pack up; saying it twice changes nothing.

        Raises:
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when it is frozen.
        """
        stored = json.dumps([finding.as_json() for finding in findings])
        with upstream_failures("failing a pack"), pack_refusals(pack_id):
            await self._pool.fetchval(query("pack_fail"), pack_id, reason, stored)

    async def announced(self, announcement: PackAnnouncement) -> PackRef:
        """Return the pack that an announcement is about; its rows are not looked at.

        Raises:
            AnnouncedEarly: UNKNOWN_PACK, it is not there yet.
            TerminalError: INVALID_REQUEST when the announcement does not fit the pack.
        """
        pack = await self._ref(announcement.pack_id)
        if pack is None:
            raise AnnouncedEarly(Code.UNKNOWN_PACK, f"there is no pack {announcement.pack_id}")
        said = (announcement.policy, announcement.asof_date, announcement.revision)
        if said != (pack.policy, pack.asof_date, pack.revision):
            raise TerminalError(
                Code.INVALID_REQUEST,
                f"pack {pack.pack_id} is policy {pack.policy}, day {pack.asof_date}, revision {pack.revision}; "
                f"announced as {said[0]}, {said[1]}, {said[2]}",
            )
        if pack.content_sha256 not in (None, announcement.content_sha256):
            raise TerminalError(
                Code.INVALID_REQUEST,
                f"pack {pack.pack_id} was frozen with SHA-256 {pack.content_sha256};"
                f" announced with {announcement.content_sha256}",
            )
        return pack

    async def apply(self, announcement: PackAnnouncement, known_at: datetime) -> PackRef:
        """Do what an external pipeline's announcement asks for: freeze the pack, or fail it if its rows have faults.

        Repeating an announcement is harmless.

        Raises:
            AnnouncedEarly: the pack, or rows of it, are not there yet; the same announcement may fit later.
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when the announcement does not fit the pack or its rows. The
                pack stays as it is, so that the pipeline can announce it correctly.
        """
        pack = await self.announced(announcement)
        if pack.status is PackStatus.WARMING:
            content = await self.content(pack.pack_id)
            if content.sha256() != announcement.content_sha256:
                raise AnnouncedEarly(
                    Code.INVALID_REQUEST,
                    f"pack {pack.pack_id} of {pack.asof_date} was announced with SHA-256 {announcement.content_sha256};"
                    f" its {len(content.prices)} prices and {len(content.rates)} rates give {content.sha256()}",
                )
        try:
            return await self.freeze(pack.pack_id, announcement.content_sha256, known_at)
        except PackRejected as rejected:
            await self.fail(pack.pack_id, str(rejected), await self.check(pack.pack_id))
            return pack.model_copy(update={"status": PackStatus.FAILED})

    async def _ref(self, pack_id: UUID) -> PackRef | None:
        with upstream_failures("reading a pack"):
            return _ref_or_none(await self._pool.fetchval(query("pack_ref"), pack_id))


@contextmanager
def pack_refusals(pack_id: UUID) -> Iterator[None]:
    """Turn the database's refusals to change a pack into `TerminalError`; other errors pass."""
    try:
        yield
    except asyncpg.NoDataFoundError as error:
        raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {pack_id}") from error
    except (asyncpg.RestrictViolationError, asyncpg.CheckViolationError, asyncpg.UniqueViolationError) as error:
        raise TerminalError(Code.INVALID_REQUEST, f"pack {pack_id}: {error}") from error


def _ref_or_none(text: str | None) -> PackRef | None:
    return None if text is None else PackRef.model_validate_json(text)


def _info(row: asyncpg.Record) -> PackInfo:
    return PackInfo(
        ref=PackRef.model_validate_json(row["ref"]),
        supersedes=row["supersedes"],
        freeze_seq=row["freeze_seq"],
        created_at=row["created_at"],
        known_at=row["known_at"],
        findings=tuple(json.loads(row["checks"])),
        failure=row["failure"],
        prices=row["prices"],
        rates=row["rates"],
    )


def _series(rows: Sequence[asyncpg.Record]) -> PackSeries:
    """Rows: first that of the days, then one for each symbol and each pair, its values as one comma-separated text.

    Text, because the driver decodes arrays of numeric five times slower than `Decimal` reads strings.
    """
    dates: tuple[date, ...] = tuple(rows[0]["days"] or ())
    place_of: dict[date, int] = {}
    closes: dict[str, tuple[Decimal | None, ...]] = {}
    observed: dict[str, tuple[date | None, ...]] = {}
    currencies: dict[str, str] = {}
    rates: dict[tuple[str, str], tuple[Decimal | None, ...]] = {}
    sources: set[str] = set()
    for row in rows[1:]:
        values = _decimals(row["numbers"])
        days: Sequence[date] | None = row["days"]
        if days is not None and not place_of:
            place_of = {day: place for place, day in enumerate(dates)}
        sources.update(f"{row['kind']}s:{source}" for source in row["sources"])
        if row["kind"] == "rate":
            rates[row["name"], row["currency"]] = _spread(values, days, dates, place_of)
            continue
        symbol, unit = row["name"], row["price_unit"]
        if unit != 1:
            values = [in_currency(value, unit) for value in values]
        closes[symbol] = _spread(values, days, dates, place_of)
        currencies[symbol] = row["currency"]
        observed[symbol] = _spread(row["observed"] or days or dates, days, dates, place_of)
    return PackSeries(dates, closes, currencies, observed, rates, tuple(sorted(sources)))


def _decimals(text: str) -> list[Decimal]:
    """Read numbers as the database prints them, in full scale, without trailing zeros."""
    return [Decimal(number.rstrip("0").rstrip(".")) for number in text.split(",")]


def _spread(
    values: Sequence[T], days: Sequence[date] | None, dates: tuple[date, ...], place_of: Mapping[date, int]
) -> tuple[T | None, ...]:
    """Put values on their days' places; None for the days means that every day has one."""
    if days is None:
        return tuple(values)
    spread: list[T | None] = [None] * len(dates)
    for day, value in zip(days, values, strict=True):
        spread[place_of[day]] = value
    return tuple(spread)
