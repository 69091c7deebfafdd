import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.artifacts import ArtifactRepository
from db.dead_letters import DeadLetter, DeadLetterRepository, LetterFilter, Redriven, store_dead_letter
from db.executions import ExecutionRepository, store_result
from db.offsets import load_offsets, store_offset
from db.postgres import Pool, transaction
from tests.db.results import result_of
from topics.codec import encode
from topics.errors import Code, TerminalError
from topics.messages import ExecutionStatus

pytestmark = pytest.mark.integration

ALICE, BOB = UUID(int=1), UUID(int=2)
AT_MS = 1_704_884_400_000


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


async def test_the_first_result_of_an_execution_wins(app: Pool) -> None:
    first = result_of("acme", ALICE, "r-1")
    second = result_of("acme", ALICE, "r-1", status=ExecutionStatus.FAILED)
    for result, stored in ((first, True), (second, False), (first, False)):
        async with transaction(app) as connection:
            assert await store_result(connection, result) is stored
    executions = ExecutionRepository(app)
    kept = await executions.show("acme", ALICE, UUID(first.execution_id))
    assert kept is not None and encode(kept) == encode(first)
    assert await executions.show("acme", BOB, UUID(first.execution_id)) is None
    assert await executions.show("acme", ALICE, UUID(int=9)) is None


async def test_one_transaction_for_many_tenants_and_the_offset(app: Pool) -> None:
    async with transaction(app) as connection:
        await store_result(connection, result_of("acme", ALICE, "r-1"))
        await store_result(connection, result_of("other", BOB, "r-1"))
        await store_offset(connection, "execution-results", 3, 12)
    executions = ExecutionRepository(app)
    assert len(await executions.list("acme", ALICE)) == len(await executions.list("other", BOB)) == 1
    assert await load_offsets(app, "execution-results") == {3: 12}


async def test_results_and_offsets_are_rolled_back_together(app: Pool) -> None:
    with pytest.raises(ZeroDivisionError):
        async with transaction(app) as connection:
            await store_result(connection, result_of("acme", ALICE, "r-1"))
            await store_offset(connection, "execution-results", 3, 12)
            raise ZeroDivisionError
    assert await ExecutionRepository(app).list("acme", ALICE) == ()
    assert await load_offsets(app, "execution-results") == {}


async def test_offsets_never_go_back(app: Pool) -> None:
    for partition, offset in ((0, 5), (0, 4), (1, 7), (1, 9)):
        async with transaction(app) as connection:
            await store_offset(connection, "t", partition, offset)
    assert await load_offsets(app, "t") == {0: 5, 1: 9}
    assert await load_offsets(app, "unread") == {}


async def test_the_day_asked_for_stands_in_for_that_of_no_pack(app: Pool) -> None:
    asked, served = date(1990, 1, 2), date(1989, 12, 29)
    async with transaction(app) as connection:
        await store_result(connection, result_of("acme", ALICE, "r-1", asof_requested=asked))
        await store_result(connection, result_of("acme", ALICE, "r-2", asof=served, asof_requested=asked))
        await store_result(connection, result_of("acme", ALICE, "r-3"))
    days = {each.request_id: each.asof for each in await ExecutionRepository(app).list("acme", ALICE)}
    assert days == {"r-1": asked, "r-2": served, "r-3": None}


async def test_list_filters_and_pages(app: Pool) -> None:
    portfolio = UUID(int=77)
    rows: list[dict[str, Any]] = [
        {},
        {"status": ExecutionStatus.FAILED},
        {"pattern_id": "risk"},
        {"portfolio_id": portfolio},
    ]
    async with transaction(app) as connection:
        for number, fields in enumerate(rows):
            result = result_of("acme", ALICE, f"r-{number}", finished_at_ms=AT_MS + number * 1000, **fields)
            await store_result(connection, result)
    executions = ExecutionRepository(app)

    async def found(**filters) -> list[str]:
        return [row.request_id for row in await executions.list("acme", ALICE, **filters)]

    assert await found() == ["r-3", "r-2", "r-1", "r-0"]
    assert await found(status=ExecutionStatus.FAILED) == ["r-1"]
    assert await found(pattern_id="risk") == ["r-2"]
    assert await found(portfolio_id=portfolio) == ["r-3"]
    assert await found(since=at(AT_MS + 2000)) == ["r-3", "r-2"]
    assert await found(limit=2) == ["r-3", "r-2"]
    assert await found(limit=2, before=at(AT_MS + 2000)) == ["r-1", "r-0"]
    [failed] = await executions.list("acme", ALICE, status=ExecutionStatus.FAILED)
    assert (failed.error_code, failed.finished_at) == ("INTERNAL", at(AT_MS + 1000))


async def test_large_results_are_kept_beside(app: Pool) -> None:
    large = result_of("acme", ALICE, "r-1", data={"text": "x" * 5000})
    async with transaction(app) as connection:
        assert await store_result(connection, large, inline_bytes_max=1000)
    async with transaction(app) as connection:
        assert not await store_result(connection, large, inline_bytes_max=1000)
    assert await ExecutionRepository(app).show("acme", ALICE, UUID(large.execution_id)) == large
    assert await ArtifactRepository(app).collect() == 0


async def test_what_a_kept_result_refers_to_is_not_collected(app: Pool) -> None:
    leased = ArtifactRepository(app, lease=timedelta(seconds=-60))
    output, argument, loose = [await leased.put("acme", ALICE, name) for name in (b"output", b"argument", b"loose")]
    foreign = await leased.put("other", BOB, b"output")
    assert foreign == output
    result = result_of("acme", ALICE, "r-1", refs={"/data/x": output}, step_refs={"/rows": argument})
    async with transaction(app) as connection:
        await store_result(connection, result)
    assert await leased.collect() == 2
    assert await leased.get("acme", ALICE, output) == b"output"
    assert await leased.get("acme", ALICE, argument) == b"argument"
    assert not await leased.touch("acme", ALICE, loose)
    assert not await leased.touch("other", BOB, foreign)


async def test_damaged_artifacts_are_noticed(app: Pool, owner: Pool) -> None:
    artifacts = ArtifactRepository(app)
    key = await artifacts.put("acme", ALICE, b"good")
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('app.tenant', 'acme', true)")
        assert await connection.execute("UPDATE artifacts SET bytes = 'bad'") == "UPDATE 1"
    with pytest.raises(TerminalError, match="is damaged") as refused:
        await artifacts.get("acme", ALICE, key)
    assert refused.value.code is Code.INTERNAL


async def test_text_that_postgres_cannot_hold_is_refused_before_the_transaction_breaks(app: Pool) -> None:
    async with transaction(app) as connection:
        with pytest.raises(TerminalError, match="request_id without U"):
            await store_result(connection, result_of("acme", ALICE, "r\x00"))
        assert await store_result(connection, result_of("acme", ALICE, "r", data={"text": "a\x00b"}))
    [kept] = await ExecutionRepository(app).list("acme", ALICE)
    result = await ExecutionRepository(app).show("acme", ALICE, kept.execution_id)
    assert result is not None and result.data == {"text": "a\x00b"}


def letter(offset: int, **changes: object) -> DeadLetter:
    fields: dict = {
        "topic": "dead-letters",
        "partition": 0,
        "offset": offset,
        "key": b"k\xff",
        "value": b"\x00\xff not JSON",
        "headers": (("a", b"\x00\xff"), ("b", None), ("a", b"")),
        "reason": "expected a message, got\x00 this",
        "stage": "decode",
        "origin_topic": "execution-requests",
        "origin_partition": 2,
        "origin_offset": 5,
        "arrived_at": at(AT_MS),
    }
    return DeadLetter(**{**fields, **changes})


async def test_dead_letters_keep_every_byte(app: Pool) -> None:
    async with transaction(app) as connection:
        assert await store_dead_letter(connection, letter(1))
        assert not await store_dead_letter(connection, letter(1, reason="again"))
        assert await store_dead_letter(connection, letter(2, key=None, value=None, origin_partition=None))
    letters = DeadLetterRepository(app)
    second, first = await letters.list()
    assert first.id is not None and await letters.read([first.id, 10**9, 2**70, -1]) == (first,)
    assert (first.key, first.value, first.headers) == (letter(1).key, letter(1).value, letter(1).headers)
    assert first.reason == "expected a message, got\ufffd this"
    assert (second.key, second.value, second.origin_partition) == (None, None, None)


async def test_a_dead_letter_made_again_after_a_crash_is_kept_once(app: Pool) -> None:
    async with transaction(app) as connection:
        assert await store_dead_letter(connection, letter(1))
        assert not await store_dead_letter(connection, letter(2)), "the same record, buried again elsewhere"
        assert await store_dead_letter(connection, letter(3, origin_offset=6)), "redriven, and buried again"
        assert await store_dead_letter(connection, letter(4, value=b"another undoing of the same event"))
        assert await store_dead_letter(connection, letter(5, stage="compensate"))
        # Of records whose origin is not known nothing says that they are one.
        assert await store_dead_letter(connection, letter(6, origin_offset=None))
        assert await store_dead_letter(connection, letter(7, origin_offset=None))
    assert [one.offset for one in await DeadLetterRepository(app).list()] == [7, 6, 5, 4, 3, 1]


async def test_dead_letters_are_found_by_every_filter(app: Pool) -> None:
    async with transaction(app) as connection:
        for offset in range(4):
            changes = {
                "stage": "decode" if offset % 2 else "process",
                "origin_topic": f"t{offset}",
                "reason": f"50% of _{offset}_ is WRONG",
                "tenant": "acme" if offset < 3 else None,
                "arrived_at": at(AT_MS + offset),
                "value": bytes([0, offset]),
            }
            await store_dead_letter(connection, letter(offset, **changes))
    letters = DeadLetterRepository(app)
    newest = await letters.list(limit=2)
    assert [one.offset for one in newest] == [3, 2]
    assert [one.offset for one in await letters.list(before_id=newest[-1].id)] == [1, 0]
    for wanted, offsets in (
        (LetterFilter(stage="decode"), [3, 1]),
        (LetterFilter(origin_topics=("t2", "t9")), [2]),
        (LetterFilter(reason="_2_ IS wrong"), [2]),
        (LetterFilter(reason="50%"), [3, 2, 1, 0]),
        (LetterFilter(reason="_x_"), []),
        (LetterFilter(tenant="acme"), [2, 1, 0]),
        (LetterFilter(since=at(AT_MS + 1), before=at(AT_MS + 3)), [2, 1]),
        (LetterFilter(stage="decode", tenant="acme"), [1]),
        (LetterFilter(value=b"\x00\x02"), [2]),
    ):
        assert [one.offset for one in await letters.list(wanted)] == offsets, wanted


async def test_dead_letters_are_redriven_once_and_purged(app: Pool) -> None:
    async with transaction(app) as connection:
        for offset in range(3):
            await store_dead_letter(connection, letter(offset, origin_topic=f"t{offset}"))
    letters = DeadLetterRepository(app)
    ids = sorted(await letters.find(LetterFilter()))
    sent: list[str] = []

    async def send(one: DeadLetter) -> str | None:
        await asyncio.sleep(0.05)
        if one.origin_topic == "t2":
            return "no such topic"
        sent.append(one.origin_topic)
        return None

    both = await asyncio.gather(*(letters.redrive([*ids, 10**9], send, at(AT_MS + 5)) for _ in range(2)))
    assert sent == ["t0", "t1"], "two operators at once"
    first, second = sorted(both, key=lambda done: len(done.handled))
    assert first == Redriven(tuple(ids[:2]), (), ((ids[2], "no such topic"),), (10**9,))
    assert second.handled == tuple((one, at(AT_MS + 5)) for one in ids[:2])
    assert [one.id for one in await letters.list(LetterFilter(waiting=True))] == [ids[2]]
    assert (await letters.redrive(ids[:1], send, at(AT_MS + 9), again=True)).sent == (ids[0],)
    assert await letters.purge([*ids[:2], 10**9]) == 2
    assert await letters.find(LetterFilter()) == (ids[2],)


async def test_a_redrive_that_breaks_off_marks_nothing(app: Pool) -> None:
    async with transaction(app) as connection:
        await store_dead_letter(connection, letter(0))
    letters = DeadLetterRepository(app)
    ids = await letters.find(LetterFilter())

    async def send(one: DeadLetter) -> str | None:
        raise RuntimeError("Kafka is gone")

    with pytest.raises(RuntimeError):
        await letters.redrive(ids, send, at(AT_MS))
    assert await letters.find(LetterFilter(waiting=True)) == ids
