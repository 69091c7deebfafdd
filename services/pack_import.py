"""Loading market data into packs: one use case for `dawsos packs import` and for HTTP.

Idempotent: days whose packs have exactly these rows stay untouched; days that differ get revision n + 1, which
supersedes the one before. A kind of rows that is not given, prices or rates, stays what the day's pack has.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol
from uuid import UUID

from analytics.fx import MINOR_UNITS
from db.identifiers import IdentifierRepository
from db.pack_build import BuildReport
from db.pack_checks import Finding
from db.pack_content import CARRY_DAYS_MAX, Origin, PackContent, PriceRow, RateRow, assemble
from db.pack_difference import RowChange, difference
from db.pack_policies import PolicyRepository
from db.pack_series import PackInfo, Security
from db.pack_writer import PackWriter
from db.packs import PackRepository
from db.postgres import Pool
from services.pack_import_policy import calendar_of, settle_policy
from services.pack_import_report import ImportReport, Keeping
from services.pack_import_request import GivenPrice, ImportRequest
from services.pack_import_securities import add_identifiers, doubtful, identified, require_securities, securities_of
from topics.messages import PackStatus

# Where a day begins first it is 14 hours ahead of UTC.
_EARLIEST_ZONE = timedelta(hours=14)


class _Store(Protocol):
    """What content of packs is read from; `PackWriter` and `MemoryPacks`."""

    async def list(
        self,
        policy: str | None = None,
        start: date | None = None,
        end: date | None = None,
        status: PackStatus | None = None,
        limit: int = 100,
    ) -> tuple[PackInfo, ...]: ...
    async def content(self, pack_id: UUID) -> PackContent: ...


async def import_packs(
    pool: Pool,
    request: ImportRequest,
    known_at: datetime,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> ImportReport:
    """Load market data: securities, identifiers, and one fresh pack per session.

    Args:
        pool: of the owner's role; packs are read-only to the application's.
        request: checked.
        known_at: the time now: when the data became known.
        progress: called with (packs written, sessions in all).

    Raises:
        UnknownSecurities: identifiers of securities that are neither there nor priced; nothing was written.
        TerminalError: INVALID_INPUT when currencies, codes or days do not fit what is there.
        PackRejected: rows that no pack can hold.
    """
    writer, policies, codes = PackWriter(pool), PolicyRepository(pool), IdentifierRepository(pool)
    prices = request.prices
    made: list[Security] = []
    if request.identify_by is None:
        made = await securities_of(writer, request, prices or ())
    await require_securities(writer, request.identifiers, made)
    await writer.add_securities(made)
    report = ImportReport()
    if request.identifiers:
        report.identifiers = await add_identifiers(codes, request.identifiers, request.source)
        report.doubtful = await doubtful(codes, request.identifiers)
    if request.identify_by is not None and prices:
        prices = await identified(codes, request.identify_by, prices)
        await writer.add_securities(await securities_of(writer, request, prices))
    sessions = await settle_policy(writer, policies, request, prices)
    report.calendar = await calendar_of(policies, request.policy)
    days = await _days(writer, request, sessions, prices)
    built: BuildReport = await writer.build(
        request.policy,
        days,
        known_at,
        lambda done: progress(done, len(days)),
        [Origin(row.kind, row.source, row.name, row.sha256) for row in request.origins],
    )
    report.created, report.restated, report.unchanged = built.created, built.restated, built.unchanged
    report.keeping = await _keeping(writer, request.policy, built)
    today = (known_at + _EARLIEST_ZONE).date()
    report.to_come = sorted({pack.asof_date for pack in built.written if pack.asof_date > today})
    report.faulty, report.warnings = built.faulty, built.warnings
    report.faulty += await _holes(writer, request.policy, sessions, prices or (), {on for on, _ in days})
    report.faulty.sort(key=lambda found: found[0])
    report.packs = [
        {
            "day": str(pack.asof_date),
            "revision": pack.revision,
            "pack_id": str(pack.pack_id),
            "content_sha256": pack.content_sha256,
        }
        for pack in built.written
    ]
    return report


async def rebuilt_difference(packs: PackRepository, pack_id: UUID, request: ImportRequest) -> tuple[RowChange, ...]:
    """Return how a pack differs from what the given rows would make of its day; empty when they rebuild it.

    Only kinds that are given are compared. Sources count as equal: a file does not say where the pack's rows came from.
    """
    pack = (await packs.show(pack_id)).ref
    content = await packs.content(pack_id)
    [(_, made)] = await _days(
        packs, request.model_copy(update={"policy": pack.policy}), [pack.asof_date], request.prices
    ) or [(pack.asof_date, PackContent((), ()))]
    prices = content.prices if request.prices is None else made.prices
    rates = content.rates if request.rates is None else made.rates
    changes = difference(content, PackContent(prices, rates))
    return tuple(change for change in changes if change.what != ("source",))


async def _keeping(writer: PackWriter, policy: str, built: BuildReport) -> Keeping | None:
    if not built.restated_days:
        return None
    restated = built.restated_days[0]
    written = {pack.asof_date for pack in built.written}
    later = await writer.list(policy, restated + timedelta(days=1), status=PackStatus.FRESH, limit=1_000_000)
    days = sorted(pack.ref.asof_date for pack in later if pack.ref.asof_date not in written)
    return Keeping(restated, len(days), days[0], days[-1]) if days else None


async def _holes(
    writer: PackWriter, policy: str, sessions: Sequence[date], prices: Sequence[GivenPrice], built: Container[date]
) -> list[tuple[date, Finding]]:
    """Return the sessions between the first and the last price that have no rows here and no pack yet."""
    first, last = (choose((row.observed_on for row in prices), default=date.max) for choose in (min, max))
    holes = [on for on in sessions if first <= on <= last and on not in built]
    if not holes:
        return []
    fresh = await writer.list(policy, holes[0], holes[-1], PackStatus.FRESH, limit=1_000_000)
    there = {pack.ref.asof_date for pack in fresh}
    return [
        (on, Finding("empty", True, "", "no row is of this session of the calendar")) for on in holes if on not in there
    ]


async def _days(
    store: _Store, request: ImportRequest, sessions: Sequence[date], prices: Sequence[GivenPrice] | None
) -> list[tuple[date, PackContent]]:
    if not sessions:
        return []
    closes = [
        PriceRow(row.symbol, row.close, MINOR_UNITS.get(row.currency, row.currency), row.observed_on, request.source)
        for row in prices or ()
    ]
    rates = [
        RateRow(row.base, row.quote, row.rate, row.observed_on, request.rates_source or request.source)
        for row in request.rates or ()
    ]
    days = list(assemble(sessions, closes, rates, CARRY_DAYS_MAX))
    if request.prices is not None and request.rates is not None:
        return [(on, content) for on, content in days if content.prices or content.rates]
    stored = await _stored(store, request.policy, sessions)
    merged: list[tuple[date, PackContent]] = []
    for on, content in days:
        have = stored.get(on, PackContent((), ()))
        kept = PackContent(
            have.prices if request.prices is None else content.prices,
            have.rates if request.rates is None else content.rates,
        )
        if kept.prices or kept.rates:
            merged.append((on, kept))
    return merged


async def _stored(store: _Store, policy: str, sessions: Sequence[date]) -> dict[date, PackContent]:
    found: dict[date, PackContent] = defaultdict(lambda: PackContent((), ()))
    fresh = await store.list(policy, sessions[0], sessions[-1], PackStatus.FRESH, limit=1_000_000)
    for pack in fresh:
        found[pack.ref.asof_date] = await store.content(pack.ref.pack_id)
    return dict(found)
