"""Collection against renewal, in both orders, each forced to wait for the other inside Postgres."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.artifact_rules import LEASE, lease_for
from db.artifacts import ArtifactRepository
from db.postgres import Pool, open_pool, tenant_transaction, transaction
from db.sql import query
from settings import Settings
from streams.collector import collect_artifacts
from tests.services import Database

pytestmark = pytest.mark.integration
ALICE = UUID(int=1)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


async def until_somebody_waits(pool: Pool) -> None:
    while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - Postgres tells nobody
        await asyncio.sleep(0.01)


async def test_what_is_renewed_while_the_collector_looks_stays(app: Pool, database: Database) -> None:
    sha256 = await ArtifactRepository(app, clock=lambda: PAST).put("acme", ALICE, b"expired")
    async with tenant_transaction(app, "acme", ALICE) as connection:
        until = datetime.now(UTC) + timedelta(hours=1)
        assert await connection.fetchval(query("artifact_touch"), "acme", ALICE, sha256, until)
        collecting = asyncio.create_task(ArtifactRepository(app).collect())
        await until_somebody_waits(app)
        assert not collecting.done()
    assert await collecting == 0
    assert await ArtifactRepository(app).get("acme", ALICE, sha256) == b"expired"


async def test_what_is_written_while_the_collector_removes_it_is_there_afterwards(app: Pool) -> None:
    sha256 = await ArtifactRepository(app, clock=lambda: PAST).put("acme", ALICE, b"expired")
    async with transaction(app) as connection:
        await connection.execute(query("act_as_collector"))
        assert (await connection.execute(query("artifact_collect"), 10)).split()[-1] == "1"
        writing = asyncio.create_task(ArtifactRepository(app).put("acme", ALICE, b"expired"))
        await until_somebody_waits(app)
        assert not writing.done()
    assert await writing == sha256
    assert await ArtifactRepository(app).get("acme", ALICE, sha256) == b"expired"


async def test_nothing_is_collected_before_everything_published_is_projected(database: Database) -> None:
    pool = await open_pool(database.url, size_max=2)
    try:
        artifacts = ArtifactRepository(pool, clock=lambda: PAST)
        await artifacts.put("acme", ALICE, b"a result that waits for its projection refers to it")
        asked = asyncio.Event()
        behind = True

        async def caught_up() -> bool:
            asked.set()
            return not behind

        collecting = asyncio.create_task(collect_artifacts(ArtifactRepository(pool), caught_up, every_s=0.01))
        await asked.wait()
        await asyncio.sleep(0.1)
        assert await count(pool) == 1
        behind = False
        async with asyncio.timeout(10):
            while await count(pool):  # noqa: ASYNC110 - Postgres tells nobody
                await asyncio.sleep(0.01)
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
    finally:
        await pool.close()


async def count(pool: Pool) -> int:
    async with tenant_transaction(pool, "acme", ALICE) as connection:
        return await connection.fetchval("SELECT count(*) FROM artifacts")


def test_a_lease_outlives_the_longest_execution() -> None:
    day_s = Settings.model_fields["deadline_s_max"].default
    assert LEASE == lease_for(day_s) > timedelta(seconds=day_s) + timedelta(hours=12)
