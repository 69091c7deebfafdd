"""Building pricing packs in Postgres. Needs the owner's role; pack tables are read-only to the application's."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from uuid import UUID

from db.pack_build import BuildReport, PlannedPack, no_session, plan_build, require_sessions
from db.pack_content import Origin, PackContent, PackRejected, pack_id_of, require_valid, security_id_of
from db.pack_series import Security, require_same_units
from db.packs import PackRepository, pack_refusals
from db.postgres import Connection, Pool, transaction, upstream_failures
from db.sql import query
from topics.errors import Code, TerminalError
from topics.messages import PackRef, PackStatus

# Packs written and frozen in one transaction: large enough for speed, small enough to show progress.
_PACKS_AT_ONCE = 250
_PRICE_COLUMNS = ("pack_id", "asof_date", "security_id", "close", "currency", "basis", "source", "observed_on")
_RATE_COLUMNS = ("pack_id", "asof_date", "base_ccy", "quote_ccy", "rate", "source", "observed_on")


class PackWriter(PackRepository):
    """Everything a `PackRepository` does, and building packs.

    Args:
        pool: opened with the owner's URL.
    """

    @property
    def pool(self) -> Pool:
        """The pool it writes with."""
        return self._pool

    async def set_calendar(self, calendar: str, first_day: date, last_day: date, sessions: Sequence[date]) -> None:
        """Say which days of a range are sessions; replaces what was known of the calendar."""
        async with transaction(self._pool) as connection:
            await connection.execute(query("calendar_put"), calendar, first_day, last_day)
            await connection.execute(query("calendar_clear"), calendar)
            await connection.execute(query("calendar_add"), calendar, list(sessions))

    async def set_policy(self, policy: str, calendar: str, description: str = "") -> None:
        """Make a pricing policy, or change its calendar or description."""
        with upstream_failures("writing a policy"):
            await self._pool.execute(query("policy_put"), policy, calendar, description)

    async def sessions(self, policy: str, start: date, end: date) -> tuple[date, ...]:
        """Return the sessions of a policy's calendar from `start` to `end`, both included."""
        with upstream_failures("reading a calendar"):
            rows = await self._pool.fetch(query("calendar_sessions"), policy, start, end)
        return tuple(row[0] for row in rows)

    async def known_securities(self, symbols: Sequence[str]) -> Mapping[str, Security]:
        """Return what is known of each symbol today; unknown ones are absent."""
        with upstream_failures("reading securities"):
            rows = await self._pool.fetch(query("securities_known"), list(symbols))
        return {row["symbol"]: Security(**dict(row)) for row in rows}

    async def add_securities(self, securities: Iterable[Security]) -> None:
        """Make securities, or change the name and exchange that later packs see of known ones.

        Raises:
            TerminalError: INVALID_INPUT when currency or price unit of a known one would change.
        """
        rows = list(securities)
        require_same_units(rows, await self.known_securities([row.symbol for row in rows]))
        with upstream_failures("writing securities"):
            await self._pool.execute(
                query("securities_put"),
                [security_id_of(row.symbol) for row in rows],
                [row.symbol for row in rows],
                [row.name for row in rows],
                [row.trading_ccy for row in rows],
                [row.exchange_mic for row in rows],
                [row.price_unit for row in rows],
            )

    async def create(self, policy: str, asof: date, created_at: datetime, revision: int | None = None) -> PackRef:
        """Make an empty warming pack; making the same revision again returns it.

        Args:
            policy: an existing policy.
            asof: a session of its calendar.
            created_at: the time now.
            revision: None for the next one.

        Raises:
            TerminalError: INVALID_INPUT when the policy is unknown or the day is no session.
        """
        if asof not in await self.sessions(policy, asof, asof):
            sessions = await self.sessions(policy, date.min, date.max)
            raise TerminalError(Code.INVALID_INPUT, no_session(policy, asof, await self._policies(), sessions))
        async with transaction(self._pool) as connection:
            if revision is None:
                revision = await connection.fetchval(query("pack_next_revision"), policy, asof)
            assert revision is not None
            pack_id = pack_id_of(policy, asof, revision)
            if await connection.fetchval(query("pack_ref"), pack_id) is None:
                await connection.execute(query("pack_create"), [pack_id], policy, [asof], [revision], created_at)
        return (await self.show(pack_id)).ref

    async def load_rows(self, pack_id: UUID, content: PackContent) -> None:
        """Add rows to a warming pack, all or none.

        Raises:
            PackRejected: rows that no pack can hold, or of unknown securities.
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when the pack is not warming or has such a row already.
        """
        require_valid(content)
        asof = (await self.show(pack_id)).ref.asof_date
        async with transaction(self._pool) as connection:
            with pack_refusals(pack_id):
                await _copy(connection, [(pack_id, asof, content)])

    async def supersede(self, pack_id: UUID) -> None:
        """Withdraw a fresh pack without a successor; its day has no usable pack until a new revision is frozen.

        Raises:
            TerminalError: UNKNOWN_PACK; INVALID_REQUEST when it is not fresh.
        """
        with upstream_failures("superseding a pack"):
            done = await self._pool.fetchval(query("pack_supersede"), pack_id)
        if done is None:
            pack = (await self.show(pack_id)).ref
            if pack.status is not PackStatus.SUPERSEDED:
                raise TerminalError(
                    Code.INVALID_REQUEST, f"pack {pack_id} is {pack.status}: only a fresh one is superseded"
                )

    async def build(
        self,
        policy: str,
        days: Sequence[tuple[date, PackContent]],
        known_at: datetime,
        progress: Callable[[int], None] = lambda done: None,
        origins: Sequence[Origin] = (),
    ) -> BuildReport:
        """Make the packs of many days fresh; what is so already stays untouched.

        Args:
            policy: an existing policy.
            days: content by session, ascending, e.g. from `db.pack_content.assemble`.
            known_at: when the data became known; also the creation time.
            progress: called with the number of packs written so far.
            origins: where the rows were read, kept with each pack that is written.

        Raises:
            PackRejected: rows that no pack can hold; packs written before stay.
        """
        report = BuildReport()
        if not days:
            return report
        first, last = days[0][0], days[-1][0]
        sessions = set(await self.sessions(policy, first, last))
        if any(asof not in sessions for asof, _ in days):
            require_sessions(policy, (asof for asof, _ in days), sessions, await self._policies())
        stored: dict[date, list[PackRef]] = defaultdict(list)
        with upstream_failures("reading packs"):
            for row in await self._pool.fetch(query("pack_refs_between"), policy, first, last):
                pack = PackRef.model_validate_json(row[0])
                stored[pack.asof_date].append(pack)
            before = await self._pool.fetchval(query("pack_newest_before"), policy, first)
            facts = await self._pool.fetchrow(query("policy_get"), policy)
        previous = None if before is None else await self.content(before)
        plans = plan_build(days, stored, previous, report, facts["required_symbols"] if facts else ())
        done = 0
        while chunk := list(islice(plans, _PACKS_AT_ONCE)):
            report.written += await self._write(policy, chunk, known_at, origins)
            done += len(chunk)
            progress(done)
        if done >= _PACKS_AT_ONCE:
            # The planner would go by the numbers of an empty table until autovacuum comes round.
            with upstream_failures("counting rows"):
                await self._pool.execute(query("analyze_packs"))
        return report

    async def _policies(self) -> list[str]:
        with upstream_failures("reading policies"):
            return [row[0] for row in await self._pool.fetch(query("policy_names"))]

    async def add_origins(self, pack_ids: Sequence[UUID], origins: Sequence[Origin]) -> None:
        """Say where the rows of packs were read; saying it again changes nothing."""
        async with transaction(self._pool) as connection:
            await _add_origins(connection, pack_ids, origins)

    async def _write(
        self, policy: str, plans: Sequence[PlannedPack], known_at: datetime, origins: Sequence[Origin]
    ) -> list[PackRef]:
        ids = [pack_id_of(policy, plan.asof, plan.revision) for plan in plans]
        async with transaction(self._pool) as connection:
            await connection.execute(
                query("pack_create"),
                ids,
                policy,
                [plan.asof for plan in plans],
                [plan.revision for plan in plans],
                known_at,
            )
            await _copy(
                connection, [(pack_id, plan.asof, plan.content) for pack_id, plan in zip(ids, plans, strict=True)]
            )
            findings = [json.dumps([finding.as_json() for finding in plan.findings]) for plan in plans]
            # The database computes each digest from the stored rows and compares.
            await connection.fetch(query("pack_freeze"), ids, [plan.sha256 for plan in plans], known_at, findings)
            await _add_origins(connection, ids, origins)
        return [
            PackRef(
                pack_id=pack_id,
                policy=policy,
                asof_date=plan.asof,
                revision=plan.revision,
                status=PackStatus.FRESH,
                content_sha256=plan.sha256,
            )
            for pack_id, plan in zip(ids, plans, strict=True)
        ]


async def _add_origins(connection: Connection, pack_ids: Sequence[UUID], origins: Sequence[Origin]) -> None:
    if origins:
        await connection.execute(
            query("provenance_put"),
            list(pack_ids),
            [row.kind for row in origins],
            [row.source for row in origins],
            [row.name for row in origins],
            [row.sha256 for row in origins],
        )


async def _copy(connection: Connection, packs: Sequence[tuple[UUID, date, PackContent]]) -> None:
    symbols = sorted({row.symbol for _, _, content in packs for row in content.prices})
    known = {row[0]: (row[1], row[2]) for row in await connection.fetch(query("securities_ids"), symbols)}
    faults = [f"there is no security {symbol}" for symbol in symbols if symbol not in known]
    faults += sorted(
        {
            f"price of {row.symbol}: expected {known[row.symbol][1]}, its trading currency, got {row.currency}"
            for _, _, content in packs
            for row in content.prices
            if row.symbol in known and row.currency != known[row.symbol][1]
        }
    )
    if faults:
        raise PackRejected(faults)
    await connection.copy_records_to_table(
        "prices",
        columns=_PRICE_COLUMNS,
        records=[
            (pack_id, asof, known[row.symbol][0], row.close, row.currency, row.basis, row.source, row.observed_on)
            for pack_id, asof, content in packs
            for row in content.prices
        ],
    )
    await connection.copy_records_to_table(
        "fx_rates",
        columns=_RATE_COLUMNS,
        records=[
            (pack_id, asof, row.base, row.quote, row.rate, row.source, row.observed_on)
            for pack_id, asof, content in packs
            for row in content.rates
        ],
    )
