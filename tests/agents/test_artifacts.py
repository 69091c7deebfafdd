"""An answer that is found in the cache keeps its artifact alive, at the cost of a write now and then."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from agents.artifacts import Artifacts
from db.memory import MemoryArtifacts

TENANT, USER = "acme", UUID(int=1)
DATA = b"x" * 10_000


class Counted(MemoryArtifacts):
    """Counts what would be a transaction in Postgres."""

    writes = 0

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        self.writes += 1
        return await super().put(tenant, user_id, data)

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        self.writes += 1
        return await super().touch(tenant, user_id, sha256)


class World:
    """A store and its users' clock."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = Counted(clock=lambda: self.now)
        self.artifacts = self.worker()

    def worker(self) -> Artifacts:
        return Artifacts(self.store, 1_000_000, lambda: round(self.now.timestamp() * 1000))


async def test_what_was_just_written_or_renewed_needs_no_renewal() -> None:
    world = World()
    sha = await world.artifacts.put(TENANT, USER, DATA)
    world.now += timedelta(minutes=4)
    await world.artifacts.keep(TENANT, USER, sha, DATA)
    assert world.store.writes == 1
    world.now += timedelta(minutes=2)
    for _ in range(3):
        await world.artifacts.keep(TENANT, USER, sha, DATA)
    assert world.store.writes == 2


async def test_another_worker_renews_what_it_did_not_write() -> None:
    world = World()
    sha = await world.artifacts.put(TENANT, USER, DATA)
    await world.worker().keep(TENANT, USER, sha, DATA)
    assert world.store.writes == 2


async def test_what_is_used_all_the_time_stays_and_what_is_gone_is_written_again() -> None:
    world = World()
    sha = await world.artifacts.put(TENANT, USER, DATA)
    for _ in range(100):
        world.now += timedelta(hours=1)
        await world.artifacts.keep(TENANT, USER, sha, DATA)
    assert await world.store.get(TENANT, USER, sha) == DATA
    world.now += timedelta(days=400)
    await world.store.collect()
    assert await world.store.get(TENANT, USER, sha) is None
    await world.artifacts.keep(TENANT, USER, sha, DATA)
    assert await world.store.get(TENANT, USER, sha) == DATA
