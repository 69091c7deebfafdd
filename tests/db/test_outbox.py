import asyncio

import pytest

from db.outbox import OutboxRepository
from db.pack_writer import PackWriter
from db.postgres import Pool
from tests.db.market import FRIDAY, NOW, POLICY, SESSIONS, THURSDAY, content, open_market
from topics.messages import PackStatus

pytestmark = pytest.mark.integration


@pytest.fixture
async def writer(owner: Pool) -> PackWriter:
    store = PackWriter(owner)
    await open_market(store)
    return store


async def test_every_status_change_is_told_once_and_in_order(app: Pool, writer: PackWriter) -> None:
    outbox = OutboxRepository(app)
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, content(FRIDAY))
    fresh = await writer.freeze(pack.pack_id, None, NOW)
    await writer.freeze(pack.pack_id, None, NOW)
    again = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(again.pack_id, content(FRIDAY, close="11"))
    refrozen = await writer.freeze(again.pack_id, None, NOW)
    failed = await writer.create(POLICY, THURSDAY, NOW)
    await writer.fail(failed.pack_id, "no data")
    events = await outbox.pending()
    assert [event.pack for event in events] == [
        pack,
        fresh,
        again,
        fresh.model_copy(update={"status": PackStatus.SUPERSEDED}),
        refrozen,
        failed,
        failed.model_copy(update={"status": PackStatus.FAILED}),
    ]
    seqs = [event.seq for event in events]
    assert seqs == sorted(set(seqs))
    assert await outbox.pending(2) == events[:2]
    await outbox.mark_published(seqs[:3])
    await outbox.mark_published(seqs[:3])
    assert await outbox.pending() == events[3:]


async def test_an_event_never_precedes_its_commit_and_goes_with_a_rollback(
    app: Pool, owner: Pool, writer: PackWriter
) -> None:
    outbox = OutboxRepository(app)
    async with owner.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO pricing_pack (id, policy, asof_date, revision, created_at) "
            "VALUES (gen_random_uuid(), 'close', $1, 1, now())",
            FRIDAY,
        )
        assert await outbox.pending() == ()
        await transaction.rollback()
    assert await outbox.pending() == ()


async def test_seq_follows_commit_order(app: Pool, owner: Pool, writer: PackWriter) -> None:
    """A change that began first but commits later must not appear behind what was read already."""
    outbox = OutboxRepository(app)
    async with owner.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO pricing_pack (id, policy, asof_date, revision, created_at) "
            "VALUES (gen_random_uuid(), 'close', $1, 7, now())",
            FRIDAY,
        )
        second = asyncio.create_task(writer.create(POLICY, THURSDAY, NOW))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done and await outbox.pending() == ()
        await transaction.commit()
        await second
    assert [event.pack.asof_date for event in await outbox.pending()] == [FRIDAY, THURSDAY]


async def test_bulk_builds_tell_every_change(app: Pool, writer: PackWriter) -> None:
    await writer.build(POLICY, [(day, content(day)) for day in SESSIONS], NOW)
    events = await OutboxRepository(app).pending()
    assert len(events) == 10
    assert {event.pack.asof_date for event in events if event.pack.status is PackStatus.FRESH} == set(SESSIONS)


async def test_waiting_relays_are_woken_by_the_commit(app: Pool, writer: PackWriter) -> None:
    async with OutboxRepository(app).changes() as changed:
        assert not changed.is_set()
        await writer.create(POLICY, FRIDAY, NOW)
        async with asyncio.timeout(5):
            await changed.wait()
