"""Where the pack builder writes: packs and their securities, in any store; `services.pipeline_pool` has Postgres."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from typing import Protocol
from uuid import UUID

from agents.pack_ports import MacroPoint, PackCheck, PackRows
from analytics.fx import MINOR_UNITS
from db.pack_checks import Finding, check_content
from db.pack_content import PackContent, PackRejected, PriceRow, RateRow, require_valid
from db.pack_series import PackInfo, Security
from topics.errors import Code, TerminalError
from topics.messages import PackRef, PackStatus

AddMacro = Callable[[Sequence[MacroPoint]], Awaitable[None]]
_PACKS_OF_A_DAY_MAX = 1_000


class Store(Protocol):
    """What is needed of `db.pack_writer.PackWriter` or `db.memory_packs.MemoryPacks`."""

    async def create(  # noqa: D102
        self, policy: str, asof: date, created_at: datetime, revision: int | None = None
    ) -> PackRef: ...
    async def list(  # noqa: D102
        self,
        policy: str | None = None,
        start: date | None = None,
        end: date | None = None,
        status: PackStatus | None = None,
        limit: int = 100,
    ) -> tuple[PackInfo, ...]: ...
    async def show(self, pack_id: UUID) -> PackInfo: ...  # noqa: D102
    async def content(self, pack_id: UUID) -> PackContent: ...  # noqa: D102
    async def content_before(self, policy: str, asof: date) -> PackContent | None: ...  # noqa: D102
    async def required(self, policy: str) -> Sequence[str]: ...  # noqa: D102
    async def load_rows(self, pack_id: UUID, content: PackContent) -> None: ...  # noqa: D102
    async def freeze(self, pack_id: UUID, expected_sha256: str | None, known_at: datetime) -> PackRef: ...  # noqa: D102
    async def fail(self, pack_id: UUID, reason: str, findings: Sequence[Finding] = ()) -> None: ...  # noqa: D102
    async def known_securities(self, symbols: Sequence[str]) -> Mapping[str, Security]: ...  # noqa: D102
    async def add_securities(self, securities: Sequence[Security]) -> None: ...  # noqa: D102


class StorePackDesk:
    """See `agents.pack_ports.PackDesk`.

    Args:
        store: gives the pack store, opened for writing, for one call.
        add_macro: keeps macro observations; None drops them.
    """

    def __init__(
        self, store: Callable[[], AbstractAsyncContextManager[Store]], add_macro: AddMacro | None = None
    ) -> None:
        self._store = store
        self._add_macro = add_macro

    async def begin(self, policy: str, asof: date, now_ms: int) -> PackRef:
        """See `agents.pack_ports.PackDesk`."""
        async with self._store() as store:
            revisions = await store.list(policy, asof, asof, limit=_PACKS_OF_A_DAY_MAX)
            newest = revisions[0] if revisions else None
            fresh = next((each.ref for each in revisions if each.ref.status is PackStatus.FRESH), None)
            if fresh is not None:
                # Nobody waits for a day that has a fresh pack; only rows that differ make the next revision.
                return fresh
            if newest and newest.ref.status is PackStatus.WARMING and not newest.prices and not newest.rates:
                return newest.ref
            revision = newest.ref.revision + 1 if newest else 1
            # Another build may have begun at the same moment: then both get the one pack.
            return await store.create(policy, asof, _time(now_ms), revision)

    async def check(self, pack_id: UUID, rows: PackRows) -> PackCheck:
        """See `agents.pack_ports.PackDesk`."""
        content = _content(rows)
        async with self._store() as store:
            pack = (await store.show(pack_id)).ref
            previous = await store.content_before(pack.policy, pack.asof_date)
            required = await store.required(pack.policy)
        findings = check_content(content, previous, pack.asof_date, required)
        before = () if previous is None else previous.prices
        expected = frozenset({*required, *(row.symbol for row in before)})
        return PackCheck(pack.asof_date, content.sha256(), findings, expected)

    async def freeze(self, pack_id: UUID, rows: PackRows, sha256: str, now_ms: int) -> tuple[PackRef, bool]:
        """See `agents.pack_ports.PackDesk`."""
        content = _content(rows)
        if content.sha256() != sha256:
            raise TerminalError(
                Code.INVALID_REQUEST, f"expected rows with SHA-256 {sha256}, these give {content.sha256()}"
            )
        async with self._store() as store:
            pack = (await store.show(pack_id)).ref
            fresh = await store.list(pack.policy, pack.asof_date, pack.asof_date, PackStatus.FRESH)
            if fresh and fresh[0].ref.content_sha256 == sha256:
                if pack.status is PackStatus.WARMING:
                    await store.fail(pack_id, f"nothing new: revision {fresh[0].ref.revision} has the same rows")
                await self._keep_macro(rows)
                return fresh[0].ref, True
            if pack.status is not PackStatus.FRESH:
                return await self._fill(store, pack, rows, content, sha256, now_ms), False
            pack = await self._next(store, pack, content, now_ms)
            try:
                return await self._fill(store, pack, rows, content, sha256, now_ms), False
            except TerminalError as refused:
                # What takes the build back knows only the pack it began with.
                await self.fail(pack.pack_id, str(refused))
                raise

    async def _next(self, store: Store, fresh: PackRef, content: PackContent, now_ms: int) -> PackRef:
        """Return the revision that is to supersede a fresh one: the one a killed attempt left, else a new one."""
        [newest, *_] = await store.list(fresh.policy, fresh.asof_date, fresh.asof_date, limit=1)
        if newest.ref.status is PackStatus.WARMING:
            there = await store.content(newest.ref.pack_id)
            if {*there.prices, *there.rates} <= {*content.prices, *content.rates}:
                return newest.ref
        return await store.create(fresh.policy, fresh.asof_date, _time(now_ms), newest.ref.revision + 1)

    async def _fill(
        self, store: Store, pack: PackRef, rows: PackRows, content: PackContent, sha256: str, now_ms: int
    ) -> PackRef:
        if pack.status is PackStatus.WARMING:
            await self._load(store, pack.pack_id, rows, content)
        await self._keep_macro(rows)
        try:
            return await store.freeze(pack.pack_id, sha256, _time(now_ms))
        except PackRejected as rejected:
            raise TerminalError(Code.INVALID_INPUT, str(rejected), faults=list(rejected.faults)) from rejected

    async def _keep_macro(self, rows: PackRows) -> None:
        if self._add_macro is not None and rows.macro:
            await self._add_macro(rows.macro)

    async def _load(self, store: Store, pack_id: UUID, rows: PackRows, content: PackContent) -> None:
        there = await store.content(pack_id)
        strange = {*there.prices, *there.rates} - {*content.prices, *content.rates}
        if strange:
            raise TerminalError(
                Code.INVALID_REQUEST, f"pack {pack_id} holds {len(strange)} other rows: another build is filling it"
            )
        missing = PackContent(
            tuple(row for row in content.prices if row not in set(there.prices)),
            tuple(row for row in content.rates if row not in set(there.rates)),
        )
        symbols = sorted({row.symbol for row in rows.prices})
        known = await store.known_securities(symbols)
        await store.add_securities(
            [
                Security(row.symbol, "", MINOR_UNITS.get(row.currency, row.currency), None, _unit(row.currency))
                for row in rows.prices
                if row.symbol not in known
            ]
        )
        for row in rows.prices:
            have = known.get(row.symbol)
            if have and have.price_unit != _unit(row.currency):
                raise TerminalError(
                    Code.INVALID_INPUT,
                    f"{row.symbol} is quoted in {have.trading_ccy}/{have.price_unit}, got a price in {row.currency}",
                )
        try:
            await store.load_rows(pack_id, missing)
        except PackRejected as rejected:
            raise TerminalError(Code.INVALID_INPUT, str(rejected), faults=list(rejected.faults)) from rejected

    async def fail(self, pack_id: UUID, reason: str) -> PackRef:
        """See `agents.pack_ports.PackDesk`."""
        async with self._store() as store:
            pack = (await store.show(pack_id)).ref
            if pack.status is PackStatus.WARMING:
                await store.fail(pack_id, reason)
                pack = (await store.show(pack_id)).ref
            return pack


def _content(rows: PackRows) -> PackContent:
    """Return rows as a pack holds them.

    Raises:
        TerminalError: INVALID_INPUT with every row that no pack can hold.
    """
    content = PackContent(
        tuple(
            PriceRow(row.symbol, row.close, MINOR_UNITS.get(row.currency, row.currency), row.observed_on, row.source)
            for row in rows.prices
        ),
        tuple(RateRow(row.base, row.quote, row.rate, row.observed_on, row.source) for row in rows.rates),
    )
    try:
        require_valid(content)
    except PackRejected as rejected:
        raise TerminalError(Code.INVALID_INPUT, str(rejected), faults=list(rejected.faults)) from rejected
    return content


def _unit(currency: str) -> int:
    return 100 if currency in MINOR_UNITS else 1


def _time(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
