"""Loading market data into packs: one use case for `dawsos packs import` and for HTTP.

Idempotent: days whose packs have exactly these rows stay untouched; days that differ get revision n + 1, which
supersedes the one before. A kind of rows that is not given, prices or rates, stays what the day's pack has.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Annotated, Any, Protocol, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from db.identifiers import Identifier, IdentifierRepository, UnknownSecurities, symbol_on
from db.pack_build import BuildReport
from db.pack_checks import Finding
from db.pack_content import CARRY_DAYS_MAX, Origin, PackContent, PriceRow, RateRow, assemble
from db.pack_difference import RowChange, difference
from db.pack_policies import PolicyRepository
from db.pack_series import PackInfo, Security
from db.pack_writer import PackWriter
from db.packs import PackRepository
from db.postgres import Pool
from services.packs_build import extend_exchange
from services.security_codes import STANDARDS, code_fault
from topics.errors import Code, TerminalError
from topics.messages import PackStatus

ROWS_MAX = 2_000_000
_AHEAD = timedelta(days=366)
_MINOR = {"GBX": "GBP", "GBp": "GBP", "ZAc": "ZAR", "ZAC": "ZAR", "ILA": "ILS", "ILa": "ILS"}
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenPrice(_Given):
    """A close as quoted; `currency` may be GBX and the like for prices in hundredths."""

    symbol: _Text
    close: Decimal
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3}|GBp|ZAc|ILa)$")]
    observed_on: date


class GivenRate(_Given):
    """Units of `quote` for 1 `base`."""

    base: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    quote: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    rate: Decimal
    observed_on: date


class GivenIdentifier(_Given):
    """A code of a security, valid from a day to a day, both included. An ISIN and a FIGI have their check digit."""

    symbol: _Text
    scheme: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
    value: _Text
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if fault := code_fault(self.scheme, self.value):
            raise ValueError(fault)
        if self.first > self.last:
            raise ValueError(f"expected valid_from up to valid_to, got {self.valid_from} to {self.valid_to}")
        return self

    @property
    def first(self) -> date:
        """First day it is valid."""
        return self.valid_from or date.min

    @property
    def last(self) -> date:
        """Last day, included."""
        return self.valid_to or date.max

    def overlaps(self, other: "GivenIdentifier") -> bool:
        """Say whether there is a day on which both are valid."""
        return self.first <= other.last and other.first <= self.last


class GivenSecurity(_Given):
    """Name and exchange of a symbol; currency and price unit come with its prices."""

    symbol: _Text
    name: str = ""
    exchange_mic: str | None = None


class GivenOrigin(_Given):
    """Where rows were read."""

    kind: Annotated[str, Field(pattern=r"^(prices|rates|macro)$")]
    source: _Text
    name: _Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class ImportRequest(_Given):
    """Market data to load.

    Attributes:
        policy: pricing policy, made if it is not there.
        calendar: name of its calendar; None keeps the policy's, or names a new one after the policy.
        exchange: instead of `calendar`: code of an exchange. Its sessions from the first price to a year past the last
            are the calendar's, so that those to come can be overdue; packs are made up to the last price only.
        sessions: days that have a pack; empty: the calendar's, and for a new calendar the days that have a price.
        prices: None keeps what the packs have; likewise rates.
        identify_by: what `symbol` of the prices is: None for our symbols, else a scheme such as `isin`, looked up on
            the day of each price.
        source: provider, as it will stand in rows and traces.
        start: first day to write; None for the first price.
        expected_by: local time by which a session's pack is due; None leaves it as it is.
        time_zone: of `expected_by`.
        required_symbols: None leaves it as it is.
    """

    policy: _Text
    calendar: str | None = None
    exchange: str | None = None
    sessions: tuple[date, ...] = ()
    securities: tuple[GivenSecurity, ...] = ()
    identifiers: tuple[GivenIdentifier, ...] = ()
    prices: Annotated[tuple[GivenPrice, ...], Field(max_length=ROWS_MAX)] | None = None
    rates: Annotated[tuple[GivenRate, ...], Field(max_length=ROWS_MAX)] | None = None
    identify_by: str | None = None
    source: _Text
    rates_source: _Text | None = None
    origins: tuple[GivenOrigin, ...] = ()
    start: date | None = None
    end: date | None = None
    expected_by: time | None = None
    time_zone: str = "UTC"
    required_symbols: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """Packs that were frozen before an older day was restated. What a frozen pack sees never changes.

    Attributes:
        restated: the first day that was restated.
        packs: how many packs of later days there are; `first` and `last` are the days of theirs.
    """

    restated: date
    packs: int
    first: date
    last: date

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready columns."""
        return {
            "restated": str(self.restated),
            "packs": self.packs,
            "first": str(self.first),
            "last": str(self.last),
        }

    def __str__(self) -> str:
        if self.packs == 1:
            return (
                f"the pack of {self.first} was frozen before and keeps the old rows of {self.restated};"
                " the new ones are seen from the next pack on that is frozen"
            )
        return (
            f"{self.packs} packs, {self.first} to {self.last}, were frozen before and keep the old rows of what was"
            f" restated from {self.restated} on; the new ones are seen from the next pack on that is frozen"
        )


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A security that two codes of one standard scheme mean on the same day: one of them is probably another's."""

    symbol: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready columns."""
        return {"symbol": self.symbol, "message": self.message}

    def __str__(self) -> str:
        return f"{self.symbol}: {self.message}"


@dataclass(slots=True)
class ImportReport:
    """What an import did; with `dry_run` what it would do.

    Attributes:
        packs: day, revision, id and digest of each new pack.
        identifiers: how many were new or changed.
        doubtful: what is odd about the identifiers; `warnings` are those of packs.
        calendar: name of the policy's calendar, and the last day it is known for; packs are expected up to that day.
        to_come: days of new packs that have not begun anywhere: a mistyped year, mostly.
        keeping: packs after a restated day that were frozen before this import: they go on seeing its old rows.
    """

    created: int = 0
    restated: int = 0
    unchanged: int = 0
    identifiers: int = 0
    doubtful: list[Doubtful] = field(default_factory=list)
    calendar: tuple[str, date] | None = None
    packs: list[dict[str, Any]] = field(default_factory=list)
    keeping: Keeping | None = None
    to_come: list[date] = field(default_factory=list)
    faulty: list[tuple[date, Finding]] = field(default_factory=list)
    warnings: list[tuple[date, Finding]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready columns."""
        return {
            "created": self.created,
            "restated": self.restated,
            "unchanged": self.unchanged,
            "identifiers": self.identifiers,
            "doubtful": [found.as_json() for found in self.doubtful],
            "calendar": self.calendar and {"name": self.calendar[0], "known_until": str(self.calendar[1])},
            "packs": self.packs,
            "keeping": self.keeping and self.keeping.as_json(),
            "to_come": [str(on) for on in self.to_come],
            "faulty": [{"day": str(on), **found.as_json()} for on, found in self.faulty],
            "warnings": [{"day": str(on), **found.as_json()} for on, found in self.warnings],
        }


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
        made = _securities(request, prices or (), await _known(writer, request, prices or ()))
    await _require_securities(writer, request.identifiers, made)
    await writer.add_securities(made)
    report = ImportReport()
    if request.identifiers:
        report.identifiers = await codes.add([_identifier(row) for row in request.identifiers], request.source)
        report.doubtful = await _doubtful(codes, request.identifiers)
    if request.identify_by is not None and prices:
        prices = await _identified(codes, request.identify_by, prices)
        await writer.add_securities(_securities(request, prices, await _known(writer, request, prices)))
    sessions = await _settle_policy(writer, policies, request, prices)
    report.calendar = await _calendar(policies, request.policy)
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


async def _known(writer: PackWriter, request: ImportRequest, prices: Sequence[GivenPrice]) -> Mapping[str, Security]:
    symbols = {row.symbol for row in prices} | {row.symbol for row in request.securities}
    return await writer.known_securities(sorted(symbols))


def _securities(request: ImportRequest, prices: Sequence[GivenPrice], known: Mapping[str, Security]) -> list[Security]:
    """Return the securities to make or rename; a symbol quoted in two currencies is refused."""
    quoted: dict[str, str] = {}
    for row in prices:
        before = quoted.setdefault(row.symbol, row.currency)
        if before != row.currency:
            raise TerminalError(
                Code.INVALID_INPUT, f"{row.symbol} is quoted in {before} and in {row.currency} on {row.observed_on}"
            )
    named = {row.symbol: row for row in request.securities}
    made: list[Security] = []
    for symbol in sorted({*quoted, *named}):
        have, said = known.get(symbol), named.get(symbol)
        currency = quoted.get(symbol)
        if currency is None and have is None:
            continue  # a name without a price: nothing is known of its currency yet
        made.append(
            Security(
                symbol=symbol,
                name=said.name if said and said.name else have.name if have else "",
                trading_ccy=_MINOR.get(currency, currency) if currency else have.trading_ccy if have else "",
                exchange_mic=said.exchange_mic if said and said.exchange_mic else have.exchange_mic if have else None,
                price_unit=(100 if currency in _MINOR else 1) if currency else have.price_unit if have else 1,
            )
        )
    return made


def _identifier(row: GivenIdentifier) -> Identifier:
    return Identifier(row.symbol, row.scheme, row.value, row.first, row.last)


async def _require_securities(
    writer: PackWriter, identifiers: Sequence[GivenIdentifier], made: Sequence[Security]
) -> None:
    symbols = {row.symbol for row in identifiers} - {security.symbol for security in made}
    if unknown := symbols - set(await writer.known_securities(sorted(symbols))):
        raise UnknownSecurities(sorted(unknown))


async def _doubtful(codes: IdentifierRepository, given: Sequence[GivenIdentifier]) -> list[Doubtful]:
    """Return each pair of codes of one standard scheme that one of these securities has on the same day."""
    found: list[Doubtful] = []
    for symbol in sorted({row.symbol for row in given if row.scheme in STANDARDS}):
        known = [row for row in await codes.of(symbol) if row.scheme in STANDARDS]
        for one, other in combinations(known, 2):
            since, until = max(one.valid_from, other.valid_from), min(one.valid_to, other.valid_to)
            if one.scheme == other.scheme and since <= until:
                begins = "" if since == date.min else f" from {since}"
                ends = "" if until == date.max else f" to {until}"
                when = f"{begins}{ends}" or " at all times"
                message = f"{one.scheme} {one.value} and {other.value} both mean it{when}"
                found.append(Doubtful(symbol, message))
    return found


async def _calendar(policies: PolicyRepository, policy: str) -> tuple[str, date] | None:
    known = await policies.get(policy)
    covered = known and await policies.calendar_range(known.calendar)
    return (known.calendar, covered[1]) if known and covered else None


async def _identified(codes: IdentifierRepository, scheme: str, prices: Sequence[GivenPrice]) -> tuple[GivenPrice, ...]:
    """Return the prices under our symbols, each code looked up on the day of its price."""
    named = await codes.named(scheme, sorted({row.symbol for row in prices}))
    found: list[GivenPrice] = []
    unknown: dict[str, date] = {}
    for row in prices:
        symbol = symbol_on(named.get(row.symbol, ()), row.observed_on)
        if symbol is None:
            unknown.setdefault(row.symbol, row.observed_on)
        else:
            found.append(row.model_copy(update={"symbol": symbol}))
    if unknown:
        listed = ", ".join(f"{code} on {on}" for code, on in sorted(unknown.items())[:10])
        raise TerminalError(Code.INVALID_INPUT, f"{len(unknown)} {scheme} code(s) name no security: {listed}")
    return tuple(found)


async def _settle_policy(
    writer: PackWriter, policies: PolicyRepository, request: ImportRequest, prices: Sequence[GivenPrice] | None
) -> tuple[date, ...]:
    """Make or extend policy and calendar and return the sessions to write."""
    known = await policies.get(request.policy)
    calendar = request.exchange or request.calendar or (known.calendar if known else request.policy)
    priced = sorted({row.observed_on for row in prices or ()})
    given = priced or sorted({row.observed_on for row in request.rates or ()})
    sessions = request.sessions
    if not sessions and given and (priced or known):
        sessions = await _exchange(policies, request, calendar, given)
    if bare := not sessions and (known is None or known.calendar == request.policy):
        # A calendar without an exchange behind it: the days that have prices are its sessions.
        sessions = tuple(priced)
    if not sessions and known is None:
        raise TerminalError(
            Code.INVALID_INPUT, f"policy {request.policy!r} is new: give prices or sessions, so that it has days"
        )
    if request.expected_by is not None:
        if bare:
            raise TerminalError(
                Code.INVALID_INPUT,
                f"the sessions of policy {request.policy!r} are the days that have prices, so none can be overdue:"
                " a due time needs an exchange's calendar (--calendar XNYS)",
            )
    await policies.extend_calendar(calendar, sessions)
    if known is None or known.calendar != calendar:
        await writer.set_policy(request.policy, calendar, known.description if known else "")
    if request.expected_by is not None:
        since = known.expected_from if known and known.expected_from else (given or list(sessions) or [None])[-1]
        await policies.expect(request.policy, request.expected_by, request.time_zone, since)
    if request.required_symbols is not None:
        await policies.require(request.policy, request.required_symbols)
    start = request.start or (given[0] if given else date.max)
    end = request.end or (given[-1] if given else date.min)
    # Sessions after the last price wait for theirs.
    last = priced[-1] if priced else await _last_priced(writer, request.policy)
    end = end if last is None else min(end, last)
    wanted = await writer.sessions(request.policy, start, end) if start <= end else ()
    strange = sorted(set(priced) - set(await writer.sessions(request.policy, date.min, date.max)))
    strange = [on for on in strange if start <= on <= end]
    if strange:
        listed = ", ".join(map(str, strange[:10]))
        raise TerminalError(
            Code.INVALID_INPUT, f"{len(strange)} day(s) with prices are no session of calendar {calendar}: {listed}"
        )
    return wanted


async def _exchange(
    policies: PolicyRepository, request: ImportRequest, calendar: str, days: Sequence[date]
) -> tuple[date, ...]:
    """Return the sessions of the exchange behind a calendar, well past the given days; none when there is none."""
    if request.exchange is None and (request.calendar is not None or calendar == request.policy):
        return ()
    try:
        return await extend_exchange(policies, calendar, days[0], days[-1] + _AHEAD)
    except LookupError as unknown:
        if request.exchange is None:
            return ()
        raise TerminalError(Code.INVALID_INPUT, str(unknown)) from None


async def _last_priced(writer: PackWriter, policy: str) -> date | None:
    newest = await writer.list(policy, status=PackStatus.FRESH, limit=1)
    return newest[0].ref.asof_date if newest and newest[0].prices else None


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
        PriceRow(row.symbol, row.close, _MINOR.get(row.currency, row.currency), row.observed_on, request.source)
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
