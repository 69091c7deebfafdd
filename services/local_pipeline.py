"""The pack pipeline of `dawsos try`: a user's own files as a market source, and a desk that forgets what it built.

The policy is `files`, its sessions are the days with a price. The pack of the day before is there to be compared with,
so that `packs.validate` notices what it would notice on a server.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date

from agents.pack_ports import MacroPoint, PackRows, QuotedPrice, QuotedRate
from db.memory_packs import MemoryPacks
from services.local_packs import POLICY, LocalPacks
from services.market_sources import newest_rates
from services.pack_desk import StorePackDesk
from topics.errors import TerminalError
from topics.messages import PackRef

SOURCE = "files"


class FilesSource:
    """The files given to `dawsos try`; see `agents.pack_ports.MarketSource`.

    Args:
        packs: made of them.
    """

    def __init__(self, packs: LocalPacks) -> None:
        self._packs = packs

    async def prices(self, asof: date) -> Sequence[QuotedPrice]:
        """See `agents.pack_ports.MarketSource`."""
        return [QuotedPrice(row[1], row[2], row[3], row[0], SOURCE) for row in self._packs.prices_on(asof)]

    async def rates(self, asof: date) -> Sequence[QuotedRate]:
        """See `agents.pack_ports.MarketSource`."""
        return newest_rates(self._packs.rates_until(asof), asof, SOURCE)

    async def macro(self, asof: date) -> Sequence[MacroPoint]:
        """See `agents.pack_ports.MarketSource`; the files have none."""
        return ()


class LocalPackDesk(StorePackDesk):
    """Builds packs in memory; see `agents.pack_ports.PackDesk`.

    Args:
        packs: of the user's files; they stay as they are.
    """

    def __init__(self, packs: LocalPacks) -> None:
        self._packs = packs
        self._source = FilesSource(packs)
        self._memory: MemoryPacks | None = None

        @asynccontextmanager
        async def store() -> AsyncIterator[MemoryPacks]:
            if self._memory is None:
                self._memory = await _made(packs.dates)
            yield self._memory

        super().__init__(store)

    async def begin(self, policy: str, asof: date, now_ms: int) -> PackRef:
        """See `agents.pack_ports.PackDesk`."""
        earlier = [on for on in self._packs.dates if on < asof]
        if policy == POLICY and earlier:
            # A day before whose rows no pack can hold is one nothing can be compared with.
            with suppress(TerminalError):
                await self._build(earlier[-1], now_ms)
        return await super().begin(policy, asof, now_ms)

    async def _build(self, on: date, now_ms: int) -> None:
        rows = PackRows(await self._source.prices(on), await self._source.rates(on))
        pack = await super().begin(POLICY, on, now_ms)
        sha256 = (await self.check(pack.pack_id, rows)).sha256
        await self.freeze(pack.pack_id, rows, sha256, now_ms)


async def _made(dates: Sequence[date]) -> MemoryPacks:
    memory = MemoryPacks()
    if dates:
        await memory.set_calendar(POLICY, dates[0], dates[-1], dates)
    await memory.set_policy(POLICY, POLICY, "The days of the price file")
    return memory
