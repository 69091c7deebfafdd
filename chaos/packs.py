"""Pricing packs that are warming when a run begins and become fresh while it goes on."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from chaos.mix import POLICY, day_of
from db.pack_content import PackContent, PriceRow
from db.pack_series import Security
from db.pack_writer import PackWriter
from db.postgres import open_pool
from settings import Settings
from topics.errors import RetryableError

_SYMBOL = "CHAOS"
_CALENDAR = "chaos"
_RETRY_S = 0.5


class WarmingPacks:
    """The packs of a run, one per day.

    Args:
        settings: with addresses.
        days: how many.
    """

    def __init__(self, settings: Settings, days: int) -> None:
        self._settings = settings
        self._days = days
        self._ids: list[UUID] = []
        self.fresh = 0

    async def make(self) -> None:
        """Make policy, calendar and one warming pack for each day; before any fault."""
        pool = await open_pool(self._settings.postgres_admin_url(), size_max=2, allow_bypass=True)
        try:
            writer = PackWriter(pool)
            days = [day_of(number) for number in range(self._days)]
            await writer.set_calendar(_CALENDAR, days[0], days[-1], days)
            await writer.set_policy(POLICY, _CALENDAR, "Packs of a chaos run")
            await writer.add_securities([Security(_SYMBOL, _SYMBOL, "USD")])
            for day in days:
                pack = await writer.create(POLICY, day, datetime.now(UTC))
                price = PriceRow(_SYMBOL, Decimal(100 + len(self._ids)), "USD", day, "made-up")
                await writer.load_rows(pack.pack_id, PackContent((price,), ()))
                self._ids.append(pack.pack_id)
        finally:
            await pool.close()

    async def freeze_next(self) -> None:
        """Make the next day's pack fresh, however long Postgres is away."""
        if self.fresh >= self._days:
            return
        pack_id = self._ids[self.fresh]
        while True:
            try:
                pool = await open_pool(self._settings.postgres_admin_url(), size_max=1, allow_bypass=True)
                try:
                    await PackWriter(pool).freeze(pack_id, None, datetime.now(UTC))
                finally:
                    await pool.close()
            except (RetryableError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await asyncio.sleep(_RETRY_S)
            else:
                self.fresh += 1
                return
