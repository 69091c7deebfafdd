"""A database with the demo in it, filled once per session and copied for each test."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from db.migrate import migrate
from db.pack_writer import PackWriter
from db.portfolios import PortfolioRepository
from db.postgres import Pool, open_pool
from services import demo_data
from services.packs_build import POLICY, build_packs
from settings import Settings
from tests.conftest import MakeDatabase
from tests.services import Database

KNOWN_AT = datetime(2020, 1, 1, tzinfo=UTC)
START, END = date(2004, 1, 2), date(2005, 12, 30)


async def _demo_schema(admin_url: str) -> None:
    await migrate(admin_url)
    owner = await open_pool(admin_url, size_max=2, allow_bypass=True)
    try:
        await build_packs(PackWriter(owner), START, END, KNOWN_AT)
    finally:
        await owner.close()


@pytest.fixture
async def database(fresh_database: MakeDatabase) -> Database:
    """A database of the test's own with two years of packs."""
    return await fresh_database(_demo_schema, key="services-packs")


@pytest.fixture
async def pack_database(fresh_database: MakeDatabase) -> Database:
    """A database of the test's own with the schema and no packs."""
    return await fresh_database(migrate, key="services-schema")


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(database.url, size_max=4)
    yield pool
    await pool.close()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(database.admin_url, size_max=2, allow_bypass=True)
    yield pool
    await pool.close()


@pytest.fixture
async def demo_settings(app: Pool, database: Database, service_settings: Settings, tmp_path: Path) -> Settings:
    """Settings of a system with the demo's ledgers and portfolios."""
    repository = tmp_path / "ledger.git"
    demo_data.write_ledgers(repository)
    portfolios = PortfolioRepository(app)
    for portfolio in demo_data.PORTFOLIOS:
        await portfolios.put(demo_data.TENANT, portfolio.user_id, demo_data.stored(portfolio))
    assert POLICY == service_settings.policy
    return service_settings.model_copy(update={"ledger_repository": repository})
