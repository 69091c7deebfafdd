"""Portfolios, ledgers and artifacts on Postgres and in memory answer alike."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest

from db.artifacts import ArtifactRepository
from db.ledgers import SnapshotRepository
from db.memory import MemoryArtifacts, MemoryPortfolios, MemorySnapshots
from db.pack_writer import PackWriter
from db.portfolio import Portfolio
from db.portfolios import PortfolioRepository
from db.postgres import open_pool
from db.snapshot_rules import COLUMNS
from ledger.booking import book
from ledger.sources import from_text
from tests.db.market import POLICY, open_market
from tests.services import Database
from topics.errors import Code, TerminalError

ALICE, BOB = UUID(int=1), UUID(int=2)
CORE = Portfolio(UUID(int=10), "Core", "CAD", "SP500", "FIFO", "core.beancount", POLICY)
SIDE = Portfolio(UUID(int=11), "Also", "USD", None, "AVERAGE", "side.beancount", POLICY)
COMMIT = "c" * 40


class Clock:
    """A clock that stands where it is put; far back, so that leases are over for the database as well."""

    def __init__(self) -> None:
        self.now = datetime(2020, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Stores:
    portfolios: PortfolioRepository | MemoryPortfolios
    snapshots: SnapshotRepository | MemorySnapshots
    artifacts: ArtifactRepository | MemoryArtifacts
    clock: Clock


@pytest.fixture
async def stores(database_or_memory: Database | None) -> AsyncIterator[Stores]:
    clock = Clock()
    if database_or_memory is None:
        portfolios = MemoryPortfolios()
        yield Stores(portfolios, MemorySnapshots(portfolios), MemoryArtifacts(100, clock=clock), clock)
        return
    app = await open_pool(database_or_memory.url, size_max=2)
    owner = await open_pool(database_or_memory.admin_url, size_max=1)
    await open_market(PackWriter(owner))
    yield Stores(
        PortfolioRepository(app),
        SnapshotRepository(app),
        ArtifactRepository(app, 100, clock=clock),
        clock,
    )
    await app.close()
    await owner.close()


async def test_portfolios(stores: Stores) -> None:
    portfolios = stores.portfolios
    assert await portfolios.get("acme", ALICE, CORE.id) is None
    assert await portfolios.put("acme", ALICE, CORE)
    assert await portfolios.put("acme", ALICE, SIDE)
    assert await portfolios.get("acme", ALICE, CORE.id) == CORE
    assert await portfolios.list("acme", ALICE) == (SIDE, CORE)
    renamed = replace(CORE, name="Able")
    assert await portfolios.put("acme", ALICE, renamed)
    assert await portfolios.list("acme", ALICE) == (renamed, SIDE)
    assert not await portfolios.put("acme", BOB, replace(CORE, name="stolen"))
    for changed in (replace(renamed, booking="AVERAGE"), replace(renamed, ledger_path="other.beancount")):
        with pytest.raises(TerminalError, match="make a new portfolio") as refused:
            await portfolios.put("acme", ALICE, changed)
        assert refused.value.code is Code.INVALID_INPUT
    assert await portfolios.get("acme", BOB, CORE.id) is None
    assert await portfolios.get("other", ALICE, CORE.id) is None
    assert await portfolios.get("acme", ALICE, CORE.id) == renamed


LEDGER = """
option "operating_currency" "CAD"
2020-01-01 open Assets:Cash
2020-01-01 open Assets:Broker
2020-01-01 open Income:Gains
2020-01-01 open Equity:Contributions
2020-01-01 open Expenses:Commission
2020-01-02 * "deposit"
  Assets:Cash  10000.00 USD
  Equity:Contributions
2020-01-03 * "Käufe ☃"
  Assets:Broker  3 SYN-A {33.3333333 USD}
  Expenses:Commission  1.50 USD
  Assets:Cash
2020-02-01 custom "split" "SYN-A" 2
2020-03-01 * "sell"
  Assets:Broker  -2 SYN-A {} @ 20 USD
  Assets:Cash
2020-03-02 * "sell in another currency than it cost"
  Assets:Broker  -1 SYN-A {} @ 18 EUR
  Assets:Cash  18 EUR
  Income:Gains
"""


async def test_snapshots_of_a_real_ledger_come_back_cell_by_cell(stores: Stores) -> None:
    booked = book(from_text(LEDGER))
    rows = [row.as_row() for row in booked.rows]
    assert tuple(rows[0]) == COLUMNS and {row["kind"] for row in rows} >= {"lot", "split", "cash", "commission"}
    await stores.portfolios.put("acme", ALICE, CORE)
    assert await stores.snapshots.load("acme", ALICE, CORE.id, COMMIT) is None
    await stores.snapshots.store("acme", ALICE, CORE.id, COMMIT, booked.content_hash, rows)
    await stores.snapshots.store("acme", ALICE, CORE.id, COMMIT, booked.content_hash, rows)
    assert await stores.snapshots.load("acme", ALICE, CORE.id, COMMIT) == (booked.content_hash, rows)
    assert await stores.snapshots.load("acme", BOB, CORE.id, COMMIT) is None
    assert await stores.snapshots.load("other", ALICE, CORE.id, COMMIT) is None
    assert await stores.snapshots.load("acme", ALICE, CORE.id, "d" * 40) is None


async def test_an_empty_ledger_is_a_snapshot_too(stores: Stores) -> None:
    await stores.portfolios.put("acme", ALICE, CORE)
    await stores.snapshots.store("acme", ALICE, CORE.id, COMMIT, "a" * 64, [])
    assert await stores.snapshots.load("acme", ALICE, CORE.id, COMMIT) == ("a" * 64, [])


async def test_a_commit_has_one_content(stores: Stores) -> None:
    await stores.portfolios.put("acme", ALICE, CORE)
    await stores.snapshots.store("acme", ALICE, CORE.id, COMMIT, "a" * 64, [])
    with pytest.raises(TerminalError) as refused:
        await stores.snapshots.store("acme", ALICE, CORE.id, COMMIT, "b" * 64, [])
    assert refused.value.code is Code.INTERNAL and "a" * 64 in refused.value.message
    with pytest.raises(TerminalError) as refused:
        await stores.snapshots.store("acme", BOB, CORE.id, COMMIT, "a" * 64, [])
    assert refused.value.code is Code.UNKNOWN_PORTFOLIO


async def test_artifacts(stores: Stores) -> None:
    artifacts = stores.artifacts
    key = await artifacts.put("acme", ALICE, b"\x00large\xff")
    assert key == sha256(b"\x00large\xff").hexdigest()
    assert await artifacts.get("acme", ALICE, key) == b"\x00large\xff"
    assert await artifacts.get("acme", BOB, key) == b"\x00large\xff"
    assert await artifacts.get("other", ALICE, key) is None
    assert not await artifacts.touch("other", ALICE, key)
    assert await artifacts.get("acme", ALICE, "0" * 64) is None
    assert await artifacts.put("acme", ALICE, b"") == sha256(b"").hexdigest()
    assert await artifacts.put("acme", ALICE, b"x" * 100)
    with pytest.raises(TerminalError, match="at most 100 bytes, got 101") as refused:
        await artifacts.put("acme", ALICE, b"x" * 101)
    assert refused.value.code is Code.OUTPUT_TOO_LARGE


async def test_leases_are_renewed_by_writing_and_touching(stores: Stores) -> None:
    artifacts, clock = stores.artifacts, stores.clock
    old = await artifacts.put("acme", ALICE, b"old")
    touched = await artifacts.put("acme", ALICE, b"touched")
    written = await artifacts.put("acme", ALICE, b"written")
    clock.now += timedelta(hours=30)
    assert await artifacts.touch("acme", ALICE, touched)
    assert await artifacts.put("acme", ALICE, b"written") == written
    clock.now += timedelta(hours=30)
    assert await artifacts.get("acme", ALICE, old) is None
    assert await artifacts.get("acme", ALICE, touched) == b"touched"
    assert await artifacts.get("acme", ALICE, written) == b"written"


async def test_what_expired_is_collected_for_all_tenants(stores: Stores) -> None:
    artifacts, clock = stores.artifacts, stores.clock
    for tenant in ("acme", "other"):
        for number in range(3):
            await artifacts.put(tenant, ALICE, f"{tenant} {number}".encode())
    clock.now = datetime(2999, 1, 1, tzinfo=UTC)
    kept = await artifacts.put("acme", ALICE, b"leased")
    assert [await artifacts.collect(4), await artifacts.collect(4), await artifacts.collect(4)] == [4, 2, 0]
    assert await artifacts.get("acme", ALICE, kept) == b"leased"
