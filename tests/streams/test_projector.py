"""Projector, outbox relay, announcements and leadership on real Kafka and Postgres."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.dead_letters import DeadLetterRepository
from db.executions import ExecutionRepository
from db.migrate import migrate
from db.offsets import load_offsets
from db.outbox import OutboxRepository
from db.pack_content import PackContent, RateRow
from db.pack_policies import PolicyRepository
from db.pack_watch import PackWatchRepository
from db.pack_writer import PackWriter
from db.postgres import open_pool
from settings import Settings
from streams.announcements import AnnouncementApplier
from streams.clients import start_producer, topic_name
from streams.dead_letter import Stage, dead_letter
from streams.leadership import LeadershipLost, leadership
from streams.outbox_relay import OutboxRelay
from streams.pack_watch import PackWatcher
from streams.projector import Projector
from streams.topics_admin import create_topics
from tests.conftest import MakeDatabase
from tests.streams.system import USER, read_all, read_until
from topics.codec import decode, encode, key_of
from topics.messages import ExecutionResult, ExecutionStatus, PackAnnouncement, PackEvent, PackStatus
from topics.table import DEAD_LETTERS, EXECUTION_RESULTS, PACK_ANNOUNCEMENTS, PACK_EVENTS
from topics.trace import Trace

pytestmark = pytest.mark.integration

DAY = date(2024, 5, 17)


def result(pattern_id: str = "two_echoes") -> ExecutionResult:
    return ExecutionResult(
        execution_id=str(uuid4()),
        request_id=uuid4().hex,
        tenant="acme",
        user_id=USER,
        pattern_id=pattern_id,
        status=ExecutionStatus.SUCCEEDED,
        data={"answer": 1},
        trace=Trace(pattern_id=pattern_id),
        digest="ab" * 32,
        started_at_ms=1,
        finished_at_ms=2,
    )


@pytest.fixture
async def place(service_settings: Settings, fresh_database: MakeDatabase):
    """Settings, pool and producer on topics and a database of the test's own."""

    async def prepare(admin_url: str) -> None:
        await migrate(admin_url, service_settings.postgres_url())

    database = await fresh_database(prepare, key="streams")
    settings = service_settings.with_addresses(
        kafka="kafka://" + ",".join(service_settings.kafka_address().hosts),
        postgres=database.url,
        postgres_admin=database.admin_url,
        redis=service_settings.redis_url(),
    )
    await create_topics(settings, ["probe"])
    pool = await open_pool(settings.postgres_url())
    producer = await start_producer(settings, "test")
    yield settings, pool, producer
    await producer.stop()
    await pool.close()


@asynccontextmanager
async def projecting(settings: Settings, pool: Any, producer: Any):
    projector = Projector(settings, pool, producer)
    await projector.start()
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await projector.stop()


async def until_projected(pool: Any, topic: str, count: int) -> None:
    async with asyncio.timeout(30):
        while sum((await load_offsets(pool, topic)).values()) < count:  # noqa: ASYNC110 - Postgres does not tell
            await asyncio.sleep(0.02)


async def test_results_and_dead_letters_are_projected_once(place: Any) -> None:
    settings, pool, producer = place
    topic = topic_name(settings, EXECUTION_RESULTS)
    good, other = result(), result()
    again = good.model_copy(update={"status": ExecutionStatus.FAILED})
    for one in (good, other, again):
        await producer.send_and_wait(topic, encode(one), key_of(one.execution_id))
    async with projecting(settings, pool, producer):
        await until_projected(pool, topic, 3)
    # A second projector goes on where the first stopped. What cannot be read becomes a dead letter, projected as well.
    await producer.send_and_wait(topic, b"no result", b"k")
    unstorable = result("nul\x00byte")
    await producer.send_and_wait(topic, encode(unstorable), b"k")
    async with projecting(settings, pool, producer) as projector:
        await until_projected(pool, topic, 5)
        await until_projected(pool, topic_name(settings, DEAD_LETTERS), 2)
        assert set((await projector.measure_lag()).values()) == {0}
    executions = ExecutionRepository(pool)
    assert await executions.show("acme", USER, UUID(good.execution_id)) == good
    assert len(await executions.list("acme", USER)) == 2
    letters = await DeadLetterRepository(pool).list()
    assert {(letter.value, letter.stage) for letter in letters} == {
        (b"no result", "project"),
        (encode(unstorable), "project"),
    }
    assert {letter.origin_topic for letter in letters} == {topic}


async def test_a_dead_letter_keeps_bytes_headers_and_origin(place: Any) -> None:
    settings, pool, producer = place
    topic = topic_name(settings, DEAD_LETTERS)
    records = []
    sent = await producer.send_and_wait(topic, b"\x00\xff", None, headers=[("sender", b"\x00me")])
    for record in await read_all(settings, DEAD_LETTERS):
        records.append(record)
    letter = dead_letter(records[0], Stage.DECODE, "expected a message, got \x00")
    await producer.send_and_wait(topic, letter.value, letter.key, headers=letter.headers)
    async with projecting(settings, pool, producer):
        await until_projected(pool, topic, 2)
    found = next(item for item in await DeadLetterRepository(pool).list() if item.stage == "decode")
    assert (found.value, found.headers) == (b"\x00\xff", (("sender", b"\x00me"),))
    assert (found.origin_partition, found.origin_offset) == (sent.partition, sent.offset)


async def test_a_pack_status_is_published_after_its_commit_and_announcements_freeze(place: Any) -> None:
    settings, pool, producer = place
    owner = await open_pool(settings.postgres_admin_url(), allow_bypass=True)
    packs = PackWriter(owner)
    await packs.set_calendar("TEST", DAY, DAY, [DAY])
    await packs.set_policy("test", "TEST")
    pack = await packs.create("test", DAY, datetime.now(UTC))
    content = PackContent((), (RateRow("EUR", "USD", Decimal("1.1"), DAY, "ecb"),))
    announced = PackAnnouncement(
        pack_id=pack.pack_id, policy="test", asof_date=DAY, revision=1, content_sha256=content.sha256()
    )
    unknown = announced.model_copy(update={"pack_id": uuid4()})
    misnamed = announced.model_copy(update={"revision": 2})
    relay = asyncio.create_task(OutboxRelay(settings, pool, producer).run())
    applier = asyncio.create_task(AnnouncementApplier(settings, pool, producer).run())
    watch, watcher = PackWatchRepository(pool), PackWatcher(settings, pool, producer)
    try:
        await read_until(settings, PACK_EVENTS, bool)
        topic = topic_name(settings, PACK_ANNOUNCEMENTS)
        # Announced before its rows, of a pack nobody made, as another revision: and one that is no announcement.
        for data in (encode(announced), encode(unknown), encode(misnamed), b"garbage"):
            await producer.send_and_wait(topic, data, b"one key", partition=0)
        await read_until(settings, DEAD_LETTERS, lambda found: len(found) >= 2)
        held = {each.announcement.pack_id: each for each in await watch.pending()}
        assert set(held) == {pack.pack_id, unknown.pack_id}
        assert "0 prices and 0 rates" in held[pack.pack_id].problem

        now = datetime.now(UTC)
        await watcher.look(now)
        assert (await packs.show(pack.pack_id)).ref.status is PackStatus.WARMING
        assert _gauges(watcher)["dawsos_packs_announced_early"] == {"test": 2}
        await packs.load_rows(pack.pack_id, content)
        await watcher.look(now)
        assert (await packs.show(pack.pack_id)).ref.status is PackStatus.FRESH
        await watcher.look(now + timedelta(seconds=settings.announcement_wait_s + 60))
        assert await watch.pending() == ()
        await read_until(settings, DEAD_LETTERS, lambda found: len(found) >= 3)
        # The same announcement again is harmless.
        await producer.send_and_wait(topic, encode(announced), b"one key", partition=0)
        await read_until(settings, PACK_EVENTS, lambda found: len(found) >= 2)
        # What is sent is marked a moment later.
        while await OutboxRepository(pool).pending():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    finally:
        for task in (relay, applier):
            task.cancel()
        await asyncio.gather(relay, applier, return_exceptions=True)
        await owner.close()
    events = [decode(record.value, PackEvent) for record in await read_all(settings, PACK_EVENTS)]
    assert [event.pack.status for event in events] == [PackStatus.WARMING, PackStatus.FRESH]  # type: ignore[union-attr]
    assert await OutboxRelay(settings, pool, producer).relay_pending() == 0


async def test_an_overdue_pack_is_said_once_and_counted(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings, pool, producer = place
    owner = await open_pool(settings.postgres_admin_url(), allow_bypass=True)
    try:
        packs = PackWriter(owner)
        await packs.set_calendar("TEST", DAY, DAY, [DAY])
        await packs.set_policy("test", "TEST")
        await PolicyRepository(owner).expect("test", time(18), "UTC", None)
        watcher = PackWatcher(settings, pool, producer)
        late = datetime(DAY.year, DAY.month, DAY.day, 18, 1, tzinfo=UTC)
        with caplog.at_level("INFO"):
            for _ in range(3):
                await watcher.look(late)
        assert sum("pack overdue: test of" in record.message for record in caplog.records) == 1
        assert _gauges(watcher)["dawsos_packs_overdue"] == {"test": 1}
        pack = await packs.create("test", DAY, late)
        await packs.load_rows(pack.pack_id, PackContent((), (RateRow("EUR", "USD", Decimal("1.1"), DAY, "ecb"),)))
        await packs.freeze(pack.pack_id, None, late)
        with caplog.at_level("INFO"):
            await watcher.look(late)
        assert "no longer overdue: test of" in caplog.text
        assert _gauges(watcher)["dawsos_packs_overdue"] == {}
    finally:
        await owner.close()


def _gauges(watcher: PackWatcher) -> dict[str, dict[str, float]]:
    return {
        family.name: {sample.labels["policy"]: sample.value for sample in family.samples}
        for family in watcher.families()
    }


async def test_one_leads_and_the_other_follows_when_it_is_gone(service_settings: Settings) -> None:
    url = service_settings.postgres_url()
    key, stop = 4711, asyncio.Event()
    order: list[str] = []
    leads, follows = asyncio.Event(), asyncio.Event()

    async def second() -> None:
        async with leadership(url, key, stop):
            order.append("second")
            follows.set()

    async with leadership(url, key, stop) as watch:
        assert watch is not None
        follower = asyncio.create_task(second())
        order.append("first")
        leads.set()
        await asyncio.wait([follower], timeout=0.2)
        assert not follower.done()
    await asyncio.wait_for(follows.wait(), 10)
    await follower
    assert order == ["first", "second"]


async def test_stop_ends_the_wait_for_leadership(service_settings: Settings) -> None:
    url, stop = service_settings.postgres_url(), asyncio.Event()
    async with leadership(url, 4712, stop):
        stop.set()
        async with leadership(url, 4712, stop) as watch:
            assert watch is None


async def test_a_lost_connection_ends_leadership(service_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncpg

    monkeypatch.setattr("streams.leadership._CHECK_EVERY_S", 0.05)
    url = service_settings.postgres_url()
    async with leadership(url, 4713, asyncio.Event()) as watch:
        assert watch is not None
        killer = await asyncpg.connect(url)
        query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713"
        assert await killer.fetchval(query)
        await killer.close()
        with pytest.raises(LeadershipLost):
            await asyncio.wait_for(watch, 10)
