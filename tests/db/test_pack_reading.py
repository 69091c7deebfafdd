"""How much is read of packs: the series of a later day goes on where an earlier one ended."""

from typing import Any, cast

import pytest

from db.pack_content import PackContent, PriceRow
from db.pack_series import Security
from db.pack_writer import PackWriter
from db.postgres import Pool
from services.pack_rows import RowPacks
from tests.db.market import FRIDAY, MONDAY, NOW, POLICY, THURSDAY, TUESDAY, WEDNESDAY, content, open_market

pytestmark = pytest.mark.integration

QUESTION = (["SYN-A", "SYN-N"], ["USD", "GBP"], None)


class Watched:
    """A pool that notes of each series how it was read, and how many days."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.read: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def fetch(self, *args: Any) -> Any:
        rows = await self._pool.fetch(*args)
        if rows and "kind" in dict(rows[0]):
            self.read.append((rows[0]["kind"], len(rows[0]["days"])))
        return rows


@pytest.fixture
async def writer(owner: Pool) -> PackWriter:
    store = PackWriter(owner)
    await open_market(store)
    await store.add_securities([Security("SYN-N", "Synthetic, new", "USD")])
    return store


async def frozen(writer: PackWriter, day, rows: PackContent):
    pack = await writer.create(POLICY, day, NOW)
    await writer.load_rows(pack.pack_id, rows)
    return (await writer.freeze(pack.pack_id, None, NOW)).pack_id


async def test_a_later_day_reads_its_own_rows_only(writer: PackWriter, owner: Pool) -> None:
    pool = Watched(owner)
    reader = PackWriter(cast(Pool, pool))
    for day in (TUESDAY, WEDNESDAY, FRIDAY):
        await reader.series(await frozen(writer, day, content(day)), *QUESTION)
    # Frozen after Friday's pack, so not in what that one saw.
    await reader.series(await frozen(writer, THURSDAY, content(THURSDAY)), *QUESTION)
    await reader.series(await frozen(writer, MONDAY, content(MONDAY)), *QUESTION)
    assert pool.read == [("all", 1), ("rest", 1), ("rest", 1), ("all", 3), ("rest", 2)]


async def test_rows_that_go_on_are_those_turned_anew(writer: PackWriter, owner: Pool) -> None:
    new = PriceRow("SYN-N", content(FRIDAY).prices[0].close, "USD", FRIDAY, "syn")
    packs = [
        await frozen(writer, TUESDAY, content(TUESDAY)),
        await frozen(writer, WEDNESDAY, PackContent(content(WEDNESDAY).prices[1:], content(WEDNESDAY).rates)),
        await frozen(writer, FRIDAY, PackContent((*content(FRIDAY).prices, new), content(FRIDAY).rates)),
        await frozen(writer, TUESDAY, content(TUESDAY, close="99")),
        await frozen(writer, MONDAY, content(MONDAY)),
    ]
    going_on = RowPacks(PackWriter(owner))
    for pack in packs:
        rows = await going_on.series(pack, *QUESTION)
        anew = await RowPacks(PackWriter(owner)).series(pack, *QUESTION)
        assert rows.dates == anew.dates and rows.sources == anew.sources
        assert sorted(rows.prices) == sorted(anew.prices)
        assert sorted(rows.rates) == sorted(anew.rates)
    assert {row[1] for row in rows.prices} == {"SYN-A", "SYN-N"} and len(rows.rates) == 8
