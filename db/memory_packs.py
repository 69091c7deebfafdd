"""Pricing packs in memory, by the same rules as on Postgres; see `db.memory`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from db.pack_build import BuildReport, no_session, plan_build, require_sessions
from db.pack_checks import Finding, check_content
from db.pack_choice import PackDecision, PackFacts, choose_pack
from db.pack_content import Origin, PackContent, PackRejected, pack_id_of, plain, require_valid
from db.pack_difference import RowChange, difference
from db.pack_series import (
    PackInfo,
    PackSeries,
    Security,
    in_currency,
    pivots,
    require_frozen,
    require_same_units,
    wanted_pair,
)
from topics.errors import Code, TerminalError
from topics.messages import PackEvent, PackRef, PackStatus

_FROZEN = (PackStatus.FRESH, PackStatus.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class _Pack:
    ref: PackRef
    content: PackContent
    created_at: datetime
    supersedes: UUID | None = None
    freeze_seq: int | None = None
    securities: Mapping[str, Security] | None = None
    known_at: datetime | None = None
    findings: tuple[Finding, ...] = ()
    failure: str | None = None


class MemoryPacks:
    """What `db.packs.PackRepository` and `db.pack_writer.PackWriter` do, without a server.

    Attributes:
        events: every status change in order, as the outbox would publish it.
    """

    def __init__(self) -> None:
        self._packs: dict[UUID, _Pack] = {}
        self._days: dict[tuple[str, date], tuple[UUID, ...]] = {}
        self._calendars: dict[str, tuple[date, date, tuple[date, ...]]] = {}
        self._policies: dict[str, str] = {}
        self._securities: Mapping[str, Security] = {}
        self._origins: dict[UUID, tuple[Origin, ...]] = {}
        self._freeze_seq = 0
        self.events: list[PackEvent] = []

    async def set_calendar(self, calendar: str, first_day: date, last_day: date, sessions: Sequence[date]) -> None:
        """Say which days of a range are sessions; replaces what was known of the calendar."""
        self._calendars[calendar] = (first_day, last_day, tuple(sorted(sessions)))

    async def set_policy(self, policy: str, calendar: str, description: str = "") -> None:
        """Make a pricing policy, or change its calendar."""
        self._policies[policy] = calendar

    async def sessions(self, policy: str, start: date, end: date) -> tuple[date, ...]:
        """Return the sessions of a policy's calendar from `start` to `end`, both included."""
        _, _, sessions = self._calendars.get(self._policies.get(policy, ""), (None, None, ()))
        return tuple(session for session in sessions if start <= session <= end)

    async def add_securities(self, securities: Iterable[Security]) -> None:
        """Make securities, or change the name and exchange that later packs see of known ones.

        Raises:
            TerminalError: INVALID_INPUT when currency or price unit of a known one would change.
        """
        rows = list(securities)
        require_same_units(rows, self._securities)
        # A new mapping: frozen packs keep the one they saw.
        self._securities = {**self._securities, **{row.symbol: row for row in rows}}

    async def known_securities(self, symbols: Sequence[str]) -> Mapping[str, Security]:
        """Return what is known of each symbol today; unknown ones are absent."""
        return {symbol: self._securities[symbol] for symbol in symbols if symbol in self._securities}

    async def securities(self, pack_id: UUID, symbols: Sequence[str]) -> Mapping[str, Security]:
        """Return what a frozen pack sees of each symbol; see `PackRepository.securities`."""
        pack = self._packs.get(pack_id)
        seen = (pack and pack.securities) or {}
        return {symbol: seen[symbol] for symbol in symbols if symbol in seen}

    async def create(self, policy: str, asof: date, created_at: datetime, revision: int | None = None) -> PackRef:
        """Make an empty warming pack; making the same revision again returns it.

        Raises:
            TerminalError: INVALID_INPUT when the policy is unknown or the day is no session.
        """
        if asof not in await self.sessions(policy, asof, asof):
            sessions = await self.sessions(policy, date.min, date.max)
            raise TerminalError(Code.INVALID_INPUT, no_session(policy, asof, self._policies, sessions))
        revision = revision or max((pack.ref.revision for pack in self._of_day(policy, asof)), default=0) + 1
        pack_id = pack_id_of(policy, asof, revision)
        if pack_id not in self._packs:
            ref = PackRef(pack_id=pack_id, policy=policy, asof_date=asof, revision=revision, status=PackStatus.WARMING)
            self._tell(_Pack(ref, PackContent((), ()), created_at))
        return self._packs[pack_id].ref

    async def load_rows(self, pack_id: UUID, content: PackContent) -> None:
        """Add rows to a warming pack, all or none.

        Raises:
            PackRejected: rows that no pack can hold, or of unknown securities.
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when the pack is not warming or has such a row already.
        """
        require_valid(content)
        pack = self._get(pack_id)
        self._require_quoted(content)
        if pack.ref.status is not PackStatus.WARMING:
            raise _refused(pack_id, f"rows can only be added to a warming pack, it is {pack.ref.status}")
        merged = PackContent(pack.content.prices + content.prices, pack.content.rates + content.rates)
        try:
            require_valid(merged)
        except PackRejected as twice:
            raise _refused(pack_id, str(twice)) from twice
        self._packs[pack_id] = replace(pack, content=merged)

    async def difference(self, before: UUID, after: UUID) -> tuple[RowChange, ...]:
        """Return the prices and rates that differ between two packs, whatever their status."""
        return difference(self._get(before).content, self._get(after).content)

    async def add_origins(self, pack_ids: Sequence[UUID], origins: Sequence[Origin]) -> None:
        """Say where the rows of packs were read; saying it again changes nothing."""
        for pack_id in pack_ids:
            self._origins[pack_id] = tuple(
                sorted({*self._origins.get(pack_id, ()), *origins}, key=lambda row: (row.kind, row.source, row.name))
            )

    async def provenance(self, pack_id: UUID) -> tuple[Origin, ...]:
        """Return where a pack's rows were read; empty when nobody said."""
        return self._origins.get(pack_id, ())

    async def content_before(self, policy: str, asof: date) -> PackContent | None:
        """Return the rows of the newest frozen pack of an earlier day; None without one."""
        return self._content_before(policy, asof)

    async def required(self, policy: str) -> tuple[str, ...]:
        """Return the symbols every pack of a policy must have: here none is ever required."""
        return ()

    async def check(self, pack_id: UUID) -> tuple[Finding, ...]:
        """Return what the checks notice about a pack, compared with the newest frozen one of an earlier day."""
        pack = self._get(pack_id)
        before = self._content_before(pack.ref.policy, pack.ref.asof_date)
        return check_content(pack.content, before, pack.ref.asof_date)

    async def freeze(self, pack_id: UUID, expected_sha256: str | None, known_at: datetime) -> PackRef:
        """Check a warming pack and freeze it; see `PackRepository.freeze`."""
        pack = self._get(pack_id)
        actual = pack.ref.content_sha256 or pack.content.sha256()
        findings: tuple[Finding, ...] = ()
        if pack.ref.status is PackStatus.WARMING:
            findings = await self.check(pack_id)
            faults = [f"{finding.kind} {finding.subject}: {finding.message}" for finding in findings if finding.fault]
            if faults:
                raise PackRejected(faults)
        if pack.ref.status is PackStatus.FAILED:
            raise _refused(pack_id, f"it has failed ({pack.failure}) and cannot be frozen")
        if expected_sha256 not in (None, actual):
            raise _refused(pack_id, f"expected SHA-256 {expected_sha256}, its rows give {actual}")
        return pack.ref if pack.ref.status in _FROZEN else self._freeze(pack, findings, actual, known_at)

    async def fail(self, pack_id: UUID, reason: str, findings: Sequence[Finding] = ()) -> None:
        """Give a warming pack up; saying it twice changes nothing.

        Raises:
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when it is frozen.
        """
        pack = self._get(pack_id)
        if pack.ref.status in _FROZEN:
            raise _refused(pack_id, f"it is {pack.ref.status}: it cannot become failed")
        if pack.ref.status is PackStatus.WARMING:
            self._move(replace(pack, failure=reason, findings=tuple(findings)), PackStatus.FAILED)

    async def supersede(self, pack_id: UUID) -> None:
        """Withdraw a fresh pack without a successor.

        Raises:
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when it is neither fresh nor superseded.
        """
        pack = self._get(pack_id)
        if pack.ref.status is PackStatus.FRESH:
            self._move(pack, PackStatus.SUPERSEDED)
        elif pack.ref.status is not PackStatus.SUPERSEDED:
            raise _refused(pack_id, f"it is {pack.ref.status}: only a fresh one is superseded")

    async def build(
        self,
        policy: str,
        days: Sequence[tuple[date, PackContent]],
        known_at: datetime,
        progress: Callable[[int], None] = lambda done: None,
        origins: Sequence[Origin] = (),
    ) -> BuildReport:
        """Make the packs of many days fresh; see `PackWriter.build`."""
        report = BuildReport()
        if not days:
            return report
        first, last = days[0][0], days[-1][0]
        sessions = set(await self.sessions(policy, first, last))
        require_sessions(policy, (asof for asof, _ in days), sessions, self._policies)
        stored: dict[date, list[PackRef]] = defaultdict(list)
        for pack in self._packs.values():
            if pack.ref.policy == policy:
                stored[pack.ref.asof_date].append(pack.ref)
        plans = plan_build(days, stored, self._content_before(policy, first), report)
        for done, plan in enumerate(list(plans), start=1):
            ref = await self.create(policy, plan.asof, known_at, plan.revision)
            await self.load_rows(ref.pack_id, plan.content)
            report.written.append(self._freeze(self._packs[ref.pack_id], plan.findings, plan.sha256, known_at))
            await self.add_origins([ref.pack_id], origins)
            progress(done)
        return report

    async def resolve(self, policy: str, asof: date | None, pack_id: UUID | None) -> PackDecision:
        """Choose the pack for a day, or check the one given; see `db.pack_choice`."""
        first, last, sessions = self._calendars.get(self._policies.get(policy, ""), (None, None, ()))
        days = sorted({pack.ref.asof_date for pack in self._packs.values() if pack.ref.policy == policy})
        usable = [
            day for day in days if any(pack.ref.status is not PackStatus.FAILED for pack in self._of_day(policy, day))
        ]
        newest = usable[-1] if usable else None
        given = self._packs[pack_id].ref if pack_id and pack_id in self._packs else None
        facts = PackFacts(
            policy=policy,
            asof=asof,
            pack_id=pack_id,
            known=(first, last) if first and last else None,
            session=max((session for session in sessions if asof and session <= asof), default=None),
            newest=newest,
            newest_failed=days[-1] if days and days[-1] != newest else None,
            given=given,
            revisions=(),
            previous_fresh=None,
        )
        target = facts.target
        if target is not None:
            of_policy = given.policy if given else policy
            earlier = [
                pack.ref
                for pack in self._packs.values()
                if pack.ref.policy == of_policy and pack.ref.asof_date < target and pack.ref.status is PackStatus.FRESH
            ]
            facts = replace(
                facts,
                revisions=tuple(pack.ref for pack in self._of_day(of_policy, target)),
                previous_fresh=max(earlier, key=lambda ref: ref.asof_date, default=None),
            )
        return choose_pack(facts)

    async def series(
        self, pack_id: UUID, symbols: Sequence[str], currencies: Sequence[str], start: date | None
    ) -> PackSeries:
        """Return prices and rates from `start` to the pack's own day; see `PackRepository.series`."""
        own = self._packs.get(pack_id)
        ref = require_frozen(own.ref if own else None, pack_id)
        assert own is not None and own.freeze_seq is not None
        newest: dict[date, _Pack] = {}
        for pack in sorted(self._packs.values(), key=lambda pack: pack.ref.revision):
            if pack.ref.policy != ref.policy or pack.freeze_seq is None or pack.freeze_seq > own.freeze_seq:
                continue
            if (start is None or pack.ref.asof_date >= start) and pack.ref.asof_date <= ref.asof_date:
                newest[pack.ref.asof_date] = pack
        dates = tuple(sorted(newest))
        through = pivots((rate.base, rate.quote) for rate in own.content.rates)
        closes: dict[str, list[Decimal | None]] = {}
        observed: dict[str, list[date | None]] = {}
        rates: dict[tuple[str, str], list[Decimal | None]] = {}
        sources: set[str] = set()
        for place, day in enumerate(dates):
            for price in newest[day].content.prices:
                if price.symbol in symbols:
                    unit = self._securities[price.symbol].price_unit
                    column = closes.setdefault(price.symbol, [None] * len(dates))
                    column[place] = in_currency(Decimal(plain(price.close)), unit)
                    observed.setdefault(price.symbol, [None] * len(dates))[place] = price.observed_on
                    sources.add(f"prices:{price.source}")
            for rate in newest[day].content.rates:
                if wanted_pair(rate.base, rate.quote, currencies, through):
                    column = rates.setdefault((rate.base, rate.quote), [None] * len(dates))
                    column[place] = Decimal(plain(rate.rate))
                    sources.add(f"rates:{rate.source}")
        return PackSeries(
            dates,
            {symbol: tuple(column) for symbol, column in closes.items()},
            {symbol: self._securities[symbol].trading_ccy for symbol in closes},
            {symbol: tuple(column) for symbol, column in observed.items()},
            {pair: tuple(column) for pair, column in rates.items()},
            tuple(sorted(sources)),
        )

    async def show(self, pack_id: UUID) -> PackInfo:
        """Return a pack with everything people ask about it.

        Raises:
            TerminalError: UNKNOWN_PACK.
        """
        return _info(self._get(pack_id))

    async def list(
        self,
        policy: str | None = None,
        start: date | None = None,
        end: date | None = None,
        status: PackStatus | None = None,
        limit: int = 100,
    ) -> tuple[PackInfo, ...]:
        """Return packs, the newest day and revision first."""
        found = [
            pack
            for pack in self._packs.values()
            if policy in (None, pack.ref.policy)
            and status in (None, pack.ref.status)
            and (start is None or pack.ref.asof_date >= start)
            and (end is None or pack.ref.asof_date <= end)
        ]
        found.sort(key=lambda pack: (-pack.ref.asof_date.toordinal(), pack.ref.policy, -pack.ref.revision))
        return tuple(_info(pack) for pack in found[:limit])

    async def content(self, pack_id: UUID) -> PackContent:
        """Return all rows of a pack; empty for one without rows, also for an unknown one."""
        pack = self._packs.get(pack_id)
        return PackContent((), ()) if pack is None else pack.content

    async def verify(self, pack_id: UUID) -> str:
        """Compute a frozen pack's digest again from its rows and return it."""
        require_frozen(self._packs[pack_id].ref if pack_id in self._packs else None, pack_id)
        return self._packs[pack_id].content.sha256()

    def _freeze(self, pack: _Pack, findings: tuple[Finding, ...], sha256: str, known_at: datetime) -> PackRef:
        day = self._of_day(pack.ref.policy, pack.ref.asof_date)
        if any(other.ref.revision > pack.ref.revision and other.ref.status in _FROZEN for other in day):
            raise _refused(pack.ref.pack_id, f"a newer revision of {pack.ref.asof_date} was frozen already")
        older = next((other for other in day if other.ref.status is PackStatus.FRESH), None)
        if older is not None:
            self._move(older, PackStatus.SUPERSEDED)
        self._freeze_seq += 1
        frozen = replace(
            pack,
            ref=pack.ref.model_copy(update={"content_sha256": sha256}),
            supersedes=older and older.ref.pack_id,
            freeze_seq=self._freeze_seq,
            securities=self._securities,
            known_at=known_at,
            findings=findings,
        )
        return self._move(frozen, PackStatus.FRESH)

    def _of_day(self, policy: str, day: date) -> tuple[_Pack, ...]:
        return tuple(self._packs[pack_id] for pack_id in self._days.get((policy, day), ()))

    def _content_before(self, policy: str, day: date) -> PackContent | None:
        before = [
            pack
            for pack in self._packs.values()
            if pack.ref.policy == policy and pack.ref.asof_date < day and pack.freeze_seq is not None
        ]
        newest = max(before, key=lambda pack: (pack.ref.asof_date, pack.ref.revision), default=None)
        return None if newest is None else newest.content

    def _get(self, pack_id: UUID) -> _Pack:
        if pack_id not in self._packs:
            raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {pack_id}")
        return self._packs[pack_id]

    def _require_quoted(self, content: PackContent) -> None:
        faults: list[str] = []
        for row in content.prices:
            security = self._securities.get(row.symbol)
            if security is None:
                faults.append(f"there is no security {row.symbol}")
            elif security.trading_ccy != row.currency:
                faults.append(
                    f"price of {row.symbol}: expected {security.trading_ccy}, its trading currency, got {row.currency}"
                )
        if faults:
            raise PackRejected(faults)

    def _move(self, pack: _Pack, status: PackStatus) -> PackRef:
        pack = replace(pack, ref=pack.ref.model_copy(update={"status": status}))
        self._tell(pack)
        return pack.ref

    def _tell(self, pack: _Pack) -> None:
        if pack.ref.pack_id not in self._packs:
            day = (pack.ref.policy, pack.ref.asof_date)
            self._days[day] = (*self._days.get(day, ()), pack.ref.pack_id)
        self._packs[pack.ref.pack_id] = pack
        self.events.append(PackEvent(pack=pack.ref, seq=len(self.events) + 1))


def _info(pack: _Pack) -> PackInfo:
    return PackInfo(
        ref=pack.ref,
        supersedes=pack.supersedes,
        freeze_seq=pack.freeze_seq,
        created_at=pack.created_at,
        known_at=pack.known_at,
        findings=tuple(finding.as_json() for finding in pack.findings),
        failure=pack.failure,
        prices=len(pack.content.prices),
        rates=len(pack.content.rates),
    )


def _refused(pack_id: UUID, why: str) -> TerminalError:
    return TerminalError(Code.INVALID_REQUEST, f"pack {pack_id}: {why}")
