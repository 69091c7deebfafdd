"""Packs on Postgres and in memory answer alike."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from db.memory_packs import MemoryPacks
from db.pack_content import PackContent, PackRejected, PriceRow, RateRow, pack_id_of
from db.pack_series import PackSeries, Security
from db.pack_writer import PackWriter
from db.postgres import open_pool
from tests.db.market import (
    FRIDAY,
    MONDAY,
    NOW,
    POLICY,
    SESSIONS,
    SUNDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    content,
    open_market,
)
from tests.services import Database
from topics.errors import Code, TerminalError
from topics.messages import PackStatus

Packs = PackWriter | MemoryPacks
EMPTY = PackContent((), ())


@pytest.fixture
async def packs(database_or_memory: Database | None) -> AsyncIterator[Packs]:
    if database_or_memory is None:
        memory = MemoryPacks()
        await open_market(memory)
        yield memory
        return
    pool = await open_pool(database_or_memory.admin_url, size_max=2)
    store = PackWriter(pool)
    await open_market(store)
    yield store
    await pool.close()


async def fresh(packs: Packs, day: date, rows: PackContent | None = None) -> UUID:
    pack = await packs.create(POLICY, day, NOW)
    await packs.load_rows(pack.pack_id, rows or content(day))
    await packs.freeze(pack.pack_id, None, NOW)
    return pack.pack_id


async def refusal(code: Code, operation) -> str:
    with pytest.raises(TerminalError) as refused:
        await operation
    assert refused.value.code is code
    return refused.value.message


async def test_life_of_a_pack(packs: Packs) -> None:
    warming = await packs.create(POLICY, FRIDAY, NOW)
    assert (warming.status, warming.revision, warming.content_sha256) == (PackStatus.WARMING, 1, None)
    assert warming.pack_id == pack_id_of(POLICY, FRIDAY, 1)
    rows = content(FRIDAY)
    await packs.load_rows(warming.pack_id, PackContent(rows.prices, ()))
    await packs.load_rows(warming.pack_id, PackContent((), rows.rates))
    frozen = await packs.freeze(warming.pack_id, rows.sha256(), NOW)
    assert (frozen.status, frozen.content_sha256) == (PackStatus.FRESH, rows.sha256())
    assert await packs.verify(warming.pack_id) == rows.sha256()
    stored = await packs.content(warming.pack_id)
    assert set(stored.prices) == set(rows.prices) and set(stored.rates) == set(rows.rates)

    info = await packs.show(warming.pack_id)
    assert (info.ref, info.prices, info.rates) == (frozen, 2, 3)
    assert (info.created_at, info.known_at, info.failure, info.findings) == (NOW, NOW, None, ())


async def test_creating_a_revision_again_returns_it(packs: Packs) -> None:
    first = await packs.create(POLICY, FRIDAY, NOW, revision=1)
    assert await packs.create(POLICY, FRIDAY, NOW, revision=1) == first
    assert (await packs.create(POLICY, FRIDAY, NOW)).revision == 2


async def test_only_sessions_of_known_policies_have_packs(packs: Packs) -> None:
    closed = await refusal(Code.INVALID_INPUT, packs.create(POLICY, SUNDAY, NOW))
    assert closed == f"2024-01-07 is no session of the calendar of policy {POLICY!r}"
    ended = await refusal(Code.INVALID_INPUT, packs.create(POLICY, date(2034, 1, 2), NOW))
    assert f"policy {POLICY!r}, which ends on " in ended and f"--policy {POLICY} --calendar XNYS" in ended
    unknown = await refusal(Code.INVALID_INPUT, packs.create("nope", FRIDAY, NOW))
    assert unknown.startswith(f"there is no pricing policy 'nope'; there are: {POLICY}; on an instance `dawsos ")
    with pytest.raises(PackRejected, match="there is no pricing policy 'nope'; there are: "):
        await packs.build("nope", [(FRIDAY, content(FRIDAY)), (MONDAY, content(MONDAY))], NOW)
    await refusal(Code.INVALID_INPUT, packs.create("no-such", FRIDAY, NOW))


async def test_freezing_twice_changes_nothing(packs: Packs) -> None:
    pack_id = await fresh(packs, FRIDAY)
    before = await packs.show(pack_id)
    await packs.freeze(pack_id, None, NOW)
    await packs.freeze(pack_id, content(FRIDAY).sha256(), NOW)
    assert await packs.show(pack_id) == before


async def test_another_digest_is_refused_and_the_pack_stays_warming(packs: Packs) -> None:
    pack = await packs.create(POLICY, FRIDAY, NOW)
    await packs.load_rows(pack.pack_id, content(FRIDAY))
    message = await refusal(Code.INVALID_REQUEST, packs.freeze(pack.pack_id, "0" * 64, NOW))
    assert "0" * 64 in message and content(FRIDAY).sha256() in message
    assert (await packs.show(pack.pack_id)).ref.status is PackStatus.WARMING
    await packs.freeze(pack.pack_id, None, NOW)
    await refusal(Code.INVALID_REQUEST, packs.freeze(pack.pack_id, "0" * 64, NOW))


async def test_faults_keep_a_pack_from_being_frozen(packs: Packs) -> None:
    empty = await packs.create(POLICY, FRIDAY, NOW)
    with pytest.raises(PackRejected, match="no rows"):
        await packs.freeze(empty.pack_id, None, NOW)
    crooked = (
        RateRow("EUR", "USD", Decimal("1.25"), FRIDAY, "syn"),
        RateRow("USD", "EUR", Decimal("0.9"), FRIDAY, "syn"),
    )
    await packs.load_rows(empty.pack_id, PackContent((), crooked))
    with pytest.raises(PackRejected, match="triangulation EUR/USD × USD/EUR"):
        await packs.freeze(empty.pack_id, None, NOW)
    await packs.fail(empty.pack_id, "crooked rates", await packs.check(empty.pack_id))
    info = await packs.show(empty.pack_id)
    assert (info.ref.status, info.failure) == (PackStatus.FAILED, "crooked rates")
    assert [finding["kind"] for finding in info.findings] == ["triangulation"]


async def test_jumps_are_kept_with_the_pack(packs: Packs) -> None:
    await fresh(packs, THURSDAY)
    pack_id = await fresh(packs, FRIDAY, content(FRIDAY, close="5"))
    [finding] = (await packs.show(pack_id)).findings
    assert (finding["kind"], finding["subject"], finding["fault"]) == ("jump", "SYN-A", False)


async def test_rows_only_while_warming(packs: Packs) -> None:
    pack_id = await fresh(packs, FRIDAY)
    more = PackContent((), (RateRow("EUR", "CHF", Decimal(1), FRIDAY, "ecb"),))
    assert "warming" in await refusal(Code.INVALID_REQUEST, packs.load_rows(pack_id, more))
    await refusal(Code.UNKNOWN_PACK, packs.load_rows(UUID(int=5), more))
    failed = await packs.create(POLICY, FRIDAY, NOW)
    await packs.fail(failed.pack_id, "no data")
    await refusal(Code.INVALID_REQUEST, packs.load_rows(failed.pack_id, more))


async def test_a_row_twice_is_refused_and_nothing_of_that_load_stays(packs: Packs) -> None:
    pack = await packs.create(POLICY, FRIDAY, NOW)
    await packs.load_rows(pack.pack_id, PackContent((), content(FRIDAY).rates))
    await refusal(Code.INVALID_REQUEST, packs.load_rows(pack.pack_id, content(FRIDAY)))
    assert (await packs.show(pack.pack_id)).prices == 0


async def test_unknown_securities_and_wrong_currencies_are_all_named(packs: Packs) -> None:
    pack = await packs.create(POLICY, FRIDAY, NOW)
    rows = (
        PriceRow("SYN-A", Decimal(1), "EUR", FRIDAY, "syn"),
        PriceRow("SYN-X", Decimal(1), "USD", FRIDAY, "syn"),
    )
    with pytest.raises(PackRejected) as rejected:
        await packs.load_rows(pack.pack_id, PackContent(rows, ()))
    assert sorted(rejected.value.faults) == [
        "price of SYN-A: expected USD, its trading currency, got EUR",
        "there is no security SYN-X",
    ]


@pytest.mark.parametrize("ends", ["fresh", "failed"])
async def test_no_way_back(packs: Packs, ends: str) -> None:
    if ends == "fresh":
        pack_id = await fresh(packs, FRIDAY)
        await refusal(Code.INVALID_REQUEST, packs.fail(pack_id, "too late"))
        await packs.supersede(pack_id)
        await packs.supersede(pack_id)
        await refusal(Code.INVALID_REQUEST, packs.fail(pack_id, "too late"))
    else:
        pack_id = (await packs.create(POLICY, FRIDAY, NOW)).pack_id
        await packs.fail(pack_id, "first reason")
        await packs.fail(pack_id, "second reason")
        assert (await packs.show(pack_id)).failure == "first reason"
        await refusal(Code.INVALID_REQUEST, packs.supersede(pack_id))
        with pytest.raises((TerminalError, PackRejected)):
            await packs.freeze(pack_id, None, NOW)
        assert (await packs.show(pack_id)).ref.status is PackStatus.FAILED


async def test_unknown_packs(packs: Packs) -> None:
    nobody = UUID(int=7)
    await refusal(Code.UNKNOWN_PACK, packs.show(nobody))
    await refusal(Code.UNKNOWN_PACK, packs.freeze(nobody, None, NOW))
    await refusal(Code.UNKNOWN_PACK, packs.fail(nobody, "why"))
    await refusal(Code.UNKNOWN_PACK, packs.supersede(nobody))
    await refusal(Code.UNKNOWN_PACK, packs.verify(nobody))
    await refusal(Code.UNKNOWN_PACK, packs.series(nobody, ["SYN-A"], ["USD"], None))
    await refusal(Code.UNKNOWN_PACK, packs.resolve(POLICY, None, nobody))


async def test_a_restatement_supersedes(packs: Packs) -> None:
    first = await fresh(packs, FRIDAY)
    second = await fresh(packs, FRIDAY, content(FRIDAY, close="10.6"))
    assert (await packs.show(first)).ref.status is PackStatus.SUPERSEDED
    info = await packs.show(second)
    assert (info.ref.status, info.ref.revision, info.supersedes) == (PackStatus.FRESH, 2, first)
    assert await packs.verify(first) == content(FRIDAY).sha256()


async def test_an_older_revision_cannot_overtake(packs: Packs) -> None:
    slow = await packs.create(POLICY, FRIDAY, NOW)
    await packs.load_rows(slow.pack_id, content(FRIDAY))
    await fresh(packs, FRIDAY, content(FRIDAY, close="10.6"))
    await refusal(Code.INVALID_REQUEST, packs.freeze(slow.pack_id, None, NOW))


async def test_list(packs: Packs) -> None:
    thursday, friday = await fresh(packs, THURSDAY), await fresh(packs, FRIDAY)
    restated = await fresh(packs, THURSDAY, content(THURSDAY, close="11"))
    warming = (await packs.create(POLICY, MONDAY, NOW)).pack_id

    async def ids(**filters) -> list[UUID]:
        return [info.ref.pack_id for info in await packs.list(**filters)]

    assert await ids() == [warming, friday, restated, thursday]
    assert await ids(limit=2) == [warming, friday]
    assert await ids(status=PackStatus.FRESH, end=THURSDAY) == [restated]
    assert await ids(start=FRIDAY) == [warming, friday]
    assert await ids(policy="noon") == []


async def test_resolve(packs: Packs) -> None:
    await refusal(Code.NO_PACK, packs.resolve(POLICY, None, None))
    thursday, friday = await fresh(packs, THURSDAY), await fresh(packs, FRIDAY)
    weekend = await packs.resolve(POLICY, SUNDAY, None)
    assert (weekend.asof, weekend.pack.pack_id) == (FRIDAY, friday)
    assert weekend.previous_fresh is not None and weekend.previous_fresh.pack_id == thursday
    assert (await packs.resolve(POLICY, THURSDAY, None)).previous_fresh is None
    await refusal(Code.NO_PACK, packs.resolve(POLICY, WEDNESDAY, None))
    await refusal(Code.NO_PACK, packs.resolve(POLICY, date(2030, 1, 1), None))
    await refusal(Code.NO_PACK, packs.resolve("noon", FRIDAY, None))

    warming = await packs.create(POLICY, MONDAY, NOW)
    assert (await packs.resolve(POLICY, None, None)).pack == warming
    await packs.fail(warming.pack_id, "no data")
    newest = await packs.resolve(POLICY, None, None)
    assert (newest.asof, len(newest.warnings)) == (FRIDAY, 1)
    await refusal(Code.PACK_FAILED, packs.resolve(POLICY, MONDAY, None))
    await refusal(Code.PACK_FAILED, packs.resolve(POLICY, None, warming.pack_id))

    restated = await fresh(packs, FRIDAY, content(FRIDAY, close="10.6"))
    assert (await packs.resolve(POLICY, FRIDAY, None)).pack.pack_id == restated
    old = await packs.resolve(POLICY, None, friday)
    assert (old.pack.pack_id, old.asof, len(old.warnings)) == (friday, FRIDAY, 1)
    assert old.previous_fresh is not None and old.previous_fresh.pack_id == thursday
    await refusal(Code.INVALID_REQUEST, packs.resolve(POLICY, THURSDAY, friday))
    await packs.supersede(restated)
    await refusal(Code.PACK_FAILED, packs.resolve(POLICY, FRIDAY, None))


async def test_series(packs: Packs) -> None:
    await fresh(packs, TUESDAY)
    await fresh(packs, WEDNESDAY, content(WEDNESDAY, close="10.75", usd="1.2", pence=None))
    last = await fresh(packs, THURSDAY, content(THURSDAY, close="11"))
    series = await packs.series(last, ["SYN-A", "SYN-P", "SYN-X"], ["USD", "EUR"], None)
    assert series.dates == (TUESDAY, WEDNESDAY, THURSDAY)
    assert series.closes == {
        "SYN-A": (Decimal("10.5"), Decimal("10.75"), Decimal("11")),
        "SYN-P": (Decimal("2.5"), None, Decimal("2.5")),
    }
    assert str(series.closes["SYN-A"][2]) == "11"
    assert series.currencies == {"SYN-A": "USD", "SYN-P": "GBP"}
    assert series.observed["SYN-P"] == (TUESDAY, None, THURSDAY)
    assert series.rates == {("EUR", "USD"): (Decimal("1.1"), Decimal("1.2"), Decimal("1.1"))}
    assert series.sources == ("prices:syn", "rates:ecb")

    assert await packs.series(last, ["SYN-A"], ["USD"], FRIDAY) == PackSeries((), {}, {}, {}, {}, ())
    short = await packs.series(last, ["SYN-A"], ["USD", "GBP"], THURSDAY)
    assert short.dates == (THURSDAY,)
    # The euro is the pivot between the two, though nobody asked for it.
    assert set(short.rates) == {("EUR", "USD"), ("EUR", "GBP")}
    assert (await packs.series(last, [], [], None)).closes == {}
    assert (await packs.series(last, [], ["JPY"], None)).rates == {("EUR", "JPY"): (Decimal("157.25"),) * 3}


async def test_a_carried_rate_and_an_old_close_keep_their_day(packs: Packs) -> None:
    await fresh(packs, TUESDAY)
    carried = PackContent((PriceRow("SYN-A", Decimal(9), "USD", TUESDAY, "old"),), content(TUESDAY).rates)
    last = await fresh(packs, WEDNESDAY, carried)
    series = await packs.series(last, ["SYN-A"], ["USD"], None)
    assert series.observed["SYN-A"] == (TUESDAY, TUESDAY)
    assert series.sources == ("prices:old", "prices:syn", "rates:ecb")
    assert {rate.observed_on for rate in (await packs.content(last)).rates} == {TUESDAY}


async def test_what_a_pack_sees_never_changes(packs: Packs) -> None:
    await fresh(packs, TUESDAY)
    before = await fresh(packs, THURSDAY)
    as_seen = await packs.series(before, ["SYN-A"], ["USD"], None)
    # A restatement of an earlier day, a day in between and a later day: none of them is in the past of `before`.
    await fresh(packs, TUESDAY, content(TUESDAY, close="99"))
    await fresh(packs, WEDNESDAY, content(WEDNESDAY, close="98"))
    await fresh(packs, FRIDAY)
    if isinstance(packs, PackWriter):
        packs = PackWriter(packs._pool)  # without what the first one remembers
    assert await packs.series(before, ["SYN-A"], ["USD"], None) == as_seen
    after = await fresh(packs, THURSDAY, content(THURSDAY, close="10.6"))
    series = await packs.series(after, ["SYN-A"], ["USD"], None)
    assert series.dates == (TUESDAY, WEDNESDAY, THURSDAY)
    assert series.closes["SYN-A"] == (Decimal(99), Decimal(98), Decimal("10.6"))


async def test_what_was_read_before_changes_no_series(packs: Packs) -> None:
    pivot = RateRow("USD", "CAD", Decimal("1.35"), FRIDAY, "boc")
    days = [
        (TUESDAY, content(TUESDAY, pence=None)),
        (WEDNESDAY, content(WEDNESDAY, close="10.75")),
        # A restatement, a rate to cross through that was not there before, a day that comes late, days without news.
        (TUESDAY, content(TUESDAY, close="99")),
        (FRIDAY, PackContent(content(FRIDAY).prices, (*content(FRIDAY).rates, pivot))),
        (THURSDAY, content(THURSDAY, usd="1.3")),
        (MONDAY, content(MONDAY, close="12")),
        (MONDAY, content(MONDAY, close="13")),
    ]
    frozen: list[UUID] = []
    for day, rows in days:
        frozen.append(await fresh(packs, day, rows))
        for pack in (frozen[-1], frozen[len(frozen) // 2]):
            for start in (None, WEDNESDAY):
                if start is not None and (await packs.show(pack)).ref.asof_date < start:
                    continue
                anew = PackWriter(packs._pool) if isinstance(packs, PackWriter) else packs
                question = (pack, ["SYN-A", "SYN-P"], ["USD", "GBP"], start)
                assert await packs.series(*question) == await anew.series(*question)


NARROWER = [
    (symbols, currencies, start)
    for symbols in ([], ["SYN-P"], ["SYN-A", "SYN-P"])
    for currencies in ([], ["USD"], ["CAD", "GBP"])
    for start in (None, WEDNESDAY, THURSDAY, MONDAY)
]


@pytest.mark.parametrize("other_source", [False, True])
async def test_a_part_of_what_was_read_is_as_read_alone(packs: Packs, other_source: bool) -> None:
    pivot = RateRow("USD", "CAD", Decimal("1.35"), FRIDAY, "other" if other_source else "ecb")
    late = PriceRow("SYN-P", Decimal(250), "GBP", TUESDAY, "syn")
    for day, rows in (
        (TUESDAY, content(TUESDAY, pence=None)),
        (WEDNESDAY, PackContent((*content(WEDNESDAY, pence=None).prices, late), ())),
        (THURSDAY, content(THURSDAY, pence=None)),
        (FRIDAY, PackContent(content(FRIDAY, pence=None).prices, (*content(FRIDAY).rates, pivot))),
    ):
        last = await fresh(packs, day, rows)
    await packs.series(last, ["SYN-A", "SYN-P"], ["USD", "GBP", "CAD"], TUESDAY)
    await packs.series(last, ["SYN-A", "SYN-P"], ["USD", "GBP", "CAD"], None)
    for question in NARROWER:
        anew = PackWriter(packs._pool) if isinstance(packs, PackWriter) else packs
        assert await packs.series(last, *question) == await anew.series(last, *question), question


async def test_only_frozen_packs_have_a_past(packs: Packs) -> None:
    warming = await packs.create(POLICY, FRIDAY, NOW)
    await refusal(Code.PACK_WARMING, packs.series(warming.pack_id, [], [], None))
    await packs.fail(warming.pack_id, "no data")
    await refusal(Code.PACK_FAILED, packs.series(warming.pack_id, [], [], None))


async def test_building_again_does_nothing_and_changed_days_are_restated(packs: Packs) -> None:
    days = [(day, content(day)) for day in SESSIONS]
    seen: list[int] = []
    report = await packs.build(POLICY, days, NOW, seen.append)
    assert (report.created, report.restated, report.unchanged, report.faulty, report.warnings) == (5, 0, 0, [], [])
    assert seen[-1] == 5
    last = (await packs.resolve(POLICY, MONDAY, None)).pack
    # In bulk and one by one give the same digest.
    assert last.content_sha256 == content(MONDAY).sha256() == await packs.verify(last.pack_id)
    assert (await packs.series(last.pack_id, ["SYN-A"], [], None)).dates == SESSIONS

    again = await packs.build(POLICY, days, NOW)
    assert (again.created, again.restated, again.unchanged) == (0, 0, 5)
    assert len(await packs.list()) == 5

    days[2] = (THURSDAY, content(THURSDAY, close="10.6"))
    days[3] = (FRIDAY, EMPTY)
    changed = await packs.build(POLICY, days, NOW)
    assert (changed.created, changed.restated, changed.unchanged, changed.days) == (0, 1, 3, 5)
    assert [(day, finding.kind) for day, finding in changed.faulty] == [(FRIDAY, "empty")]
    restated = (await packs.resolve(POLICY, THURSDAY, None)).pack
    assert (restated.revision, restated.status) == (2, PackStatus.FRESH)
    assert (await packs.resolve(POLICY, FRIDAY, None)).pack.revision == 1


async def test_a_build_of_closed_days_is_refused(packs: Packs) -> None:
    with pytest.raises(PackRejected, match="2024-01-07 is no session"):
        await packs.build(POLICY, [(SUNDAY, content(SUNDAY))], NOW)
    assert await packs.list() == ()


async def test_securities_keep_what_frozen_packs_rest_on(packs: Packs) -> None:
    await packs.add_securities([Security("SYN-A", "New name", "USD", "XSYN")])
    known = await packs.known_securities(["SYN-A", "SYN-P", "SYN-X"])
    assert known["SYN-A"] == Security("SYN-A", "New name", "USD", "XSYN", 1)
    assert known["SYN-P"].price_unit == 100 and "SYN-X" not in known
    await refusal(Code.INVALID_INPUT, packs.add_securities([Security("SYN-A", "x", "EUR")]))
    await refusal(Code.INVALID_INPUT, packs.add_securities([Security("SYN-P", "x", "GBP", price_unit=1)]))


async def test_a_pack_sees_names_as_they_were_when_it_was_frozen(packs: Packs) -> None:
    named = (await packs.known_securities(["SYN-A"]))["SYN-A"]
    before = await fresh(packs, TUESDAY)
    await packs.add_securities([Security("SYN-A", "Renamed", "USD", "XSYN"), Security("SYN-N", "Of tomorrow", "USD")])
    await packs.add_securities([Security("SYN-A", "Renamed again", "USD", "XSYN")])
    between = await fresh(packs, WEDNESDAY)
    # The pack of an earlier day, but frozen later: it says what was known then.
    await packs.add_securities([Security("SYN-A", "Renamed at last", "USD")])
    after = await fresh(packs, TUESDAY, content(TUESDAY, close="99"))
    asked = ["SYN-A", "SYN-N", "SYN-X"]
    assert await packs.securities(before, asked) == {"SYN-A": named}
    of_tomorrow = Security("SYN-N", "Of tomorrow", "USD")
    assert await packs.securities(between, asked) == {
        "SYN-A": Security("SYN-A", "Renamed again", "USD", "XSYN"),
        "SYN-N": of_tomorrow,
    }
    assert await packs.securities(after, asked) == {
        "SYN-A": Security("SYN-A", "Renamed at last", "USD"),
        "SYN-N": of_tomorrow,
    }
    warming = await packs.create(POLICY, THURSDAY, NOW)
    assert await packs.securities(warming.pack_id, asked) == {}
