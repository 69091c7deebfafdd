"""What the database itself guarantees about packs, whoever asks."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest

from db.pack_content import PackContent, PriceRow, RateRow, pack_id_of
from db.pack_writer import PackWriter
from db.packs import PackRepository
from db.postgres import Pool
from tests.db.market import FRIDAY, NOW, POLICY, THURSDAY, content, open_market
from topics.errors import Code, TerminalError
from topics.messages import PackAnnouncement, PackStatus

pytestmark = pytest.mark.integration


@pytest.fixture
async def writer(owner: Pool) -> PackWriter:
    store = PackWriter(owner)
    await open_market(store)
    return store


async def frozen(writer: PackWriter, rows: PackContent):
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, rows)
    return await writer.freeze(pack.pack_id, None, NOW)


REFUSED = (
    "UPDATE prices SET close = close + 1",
    "DELETE FROM prices",
    "TRUNCATE prices",
    "UPDATE fx_rates SET rate = rate + 1",
    "DELETE FROM fx_rates",
    "TRUNCATE fx_rates",
    "DELETE FROM pricing_pack",
    "TRUNCATE pricing_pack CASCADE",
    "UPDATE pricing_pack SET status = 'warming'",
    "UPDATE pricing_pack SET status = 'failed', failure = 'x'",
    "UPDATE pricing_pack SET content_sha256 = repeat('0', 64)",
    "UPDATE pricing_pack SET status = 'superseded', content_sha256 = repeat('0', 64)",
    "UPDATE pricing_pack SET freeze_seq = freeze_seq + 100",
    "UPDATE pricing_pack SET asof_date = asof_date - 1",
    "UPDATE securities SET price_unit = 100",
    "UPDATE security_names SET name = 'another'",
    "UPDATE security_names SET since_seq = since_seq + 100",
    "DELETE FROM security_names",
    "TRUNCATE security_names",
    "INSERT INTO fx_rates SELECT id, asof_date, 'EUR', 'CHF', 1, 'x', asof_date FROM pricing_pack",
    "INSERT INTO pricing_pack (id, policy, asof_date, revision, status, created_at, failure) "
    "VALUES (gen_random_uuid(), 'close', '2024-01-04', 1, 'failed', now(), 'x')",
)


async def test_a_frozen_pack_is_immutable_even_to_the_owner(owner: Pool, writer: PackWriter) -> None:
    pack = await frozen(writer, content(FRIDAY))
    for statement in REFUSED:
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement)
            pytest.fail(f"went through: {statement}")
    assert await PackWriter(owner).verify(pack.pack_id) == pack.content_sha256


async def test_rows_of_a_warming_pack_are_append_only(owner: Pool, writer: PackWriter) -> None:
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, content(FRIDAY))
    for statement in ("UPDATE prices SET close = 1", "DELETE FROM fx_rates"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement)


async def test_a_digest_cannot_be_made_up(owner: Pool, writer: PackWriter) -> None:
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, content(FRIDAY))
    with pytest.raises(asyncpg.CheckViolationError, match="its rows give"):
        await owner.execute(
            "UPDATE pricing_pack SET status = 'fresh', content_sha256 = repeat('0', 64), known_at = now()"
        )


async def test_database_and_python_compute_the_same_digest(owner: Pool, writer: PackWriter) -> None:
    rows = PackContent(
        (
            PriceRow("SYN-P", Decimal("0.00000001"), "GBP", THURSDAY, "Börse ☃ €", "total"),
            PriceRow("SYN-A", Decimal("999999999999.99999999"), "USD", FRIDAY, "z", "split"),
        ),
        (
            RateRow("EUR", "USD", Decimal("0.0000000001"), FRIDAY, "a"),
            RateRow("EUR", "GBP", Decimal("1E+2"), FRIDAY, "\U0001f600"),
        ),
    )
    pack = await frozen(writer, rows)
    assert pack.content_sha256 == rows.sha256()


async def test_a_freeze_waits_for_rows_under_way(owner: Pool, writer: PackWriter) -> None:
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, content(FRIDAY))
    late = RateRow("EUR", "CHF", Decimal("0.95"), FRIDAY, "ecb")
    async with owner.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO fx_rates VALUES ($1, $2, 'EUR', 'CHF', 0.95, 'ecb', $2)", pack.pack_id, FRIDAY
        )
        freezing = asyncio.create_task(writer.freeze(pack.pack_id, None, NOW))
        done, _ = await asyncio.wait([freezing], timeout=0.3)
        assert not done
        await transaction.commit()
        fresh = await freezing
    rows = content(FRIDAY)
    assert fresh.content_sha256 == PackContent(rows.prices, (*rows.rates, late)).sha256()


async def test_two_freezes_at_once_leave_one_fresh_pack(writer: PackWriter) -> None:
    packs = [await writer.create(POLICY, FRIDAY, NOW) for _ in range(2)]
    for number, pack in enumerate(packs):
        await writer.load_rows(pack.pack_id, content(FRIDAY, close=f"10.{number + 1}"))
    await asyncio.gather(*(writer.freeze(pack.pack_id, None, NOW) for pack in packs), return_exceptions=True)
    states = [(await writer.show(pack.pack_id)).ref.status for pack in packs]
    assert states[1] is PackStatus.FRESH and states[0] in (PackStatus.SUPERSEDED, PackStatus.WARMING)


async def test_the_application_reads_packs_and_freezes_but_writes_no_rows(app: Pool, writer: PackWriter) -> None:
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, content(FRIDAY))
    for statement in (
        "INSERT INTO fx_rates SELECT id, asof_date, 'EUR', 'CHF', 1, 'x', asof_date FROM pricing_pack",
        "UPDATE pricing_pack SET status = 'failed', failure = 'x'",
        "DELETE FROM securities",
        "INSERT INTO pack_outbox (pack_id) VALUES (gen_random_uuid())",
        "ALTER TABLE prices DISABLE TRIGGER ALL",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)
    reader = PackRepository(app)
    assert (await reader.freeze(pack.pack_id, content(FRIDAY).sha256(), NOW)).status is PackStatus.FRESH
    other = await writer.create(POLICY, THURSDAY, NOW)
    await reader.fail(other.pack_id, "no data")
    assert (await reader.show(other.pack_id)).ref.status is PackStatus.FAILED


def announcement(sha256: str, **changes: object) -> PackAnnouncement:
    fields = {
        "pack_id": pack_id_of(POLICY, FRIDAY, 1),
        "policy": POLICY,
        "asof_date": FRIDAY,
        "revision": 1,
        "content_sha256": sha256,
    }
    return PackAnnouncement.model_validate({**fields, **changes})


async def test_announcements_freeze_and_repeats_are_harmless(app: Pool, writer: PackWriter) -> None:
    pack = await writer.create(POLICY, FRIDAY, NOW)
    await writer.load_rows(pack.pack_id, content(FRIDAY))
    reader = PackRepository(app)
    with pytest.raises(TerminalError) as refused:
        await reader.apply(announcement("0" * 64), NOW)
    assert refused.value.code is Code.INVALID_REQUEST
    with pytest.raises(TerminalError, match="announced as close, 2024-01-04, 1"):
        await reader.apply(announcement(content(FRIDAY).sha256(), asof_date=THURSDAY), NOW)
    assert (await reader.show(pack.pack_id)).ref.status is PackStatus.WARMING
    first = await reader.apply(announcement(content(FRIDAY).sha256()), NOW)
    assert first.status is PackStatus.FRESH
    assert await reader.apply(announcement(content(FRIDAY).sha256()), NOW) == first
    assert await app.fetchval("SELECT count(*) FROM pack_outbox") == 2


async def test_an_announced_pack_with_faults_fails(app: Pool, writer: PackWriter) -> None:
    pack = await writer.create(POLICY, FRIDAY, NOW)
    crooked = PackContent(
        (), tuple(RateRow(*pair, Decimal(2), FRIDAY, "syn") for pair in (("EUR", "USD"), ("USD", "EUR")))
    )
    await writer.load_rows(pack.pack_id, crooked)
    reader = PackRepository(app)
    assert (await reader.apply(announcement(crooked.sha256()), NOW)).status is PackStatus.FAILED
    info = await reader.show(pack.pack_id)
    assert info.failure is not None and "triangulation" in info.failure and len(info.findings) == 1
