from datetime import date
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from agents.ports import PriceRow, RateRow
from services.local_packs import LocalPacks
from topics.errors import Code, TerminalError

DAYS = [date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 6)]
PRICES: list[PriceRow] = [(on, symbol, Decimal(at + 1), "USD") for at, on in enumerate(DAYS) for symbol in ("A", "B")]
RATES: list[RateRow] = [(date(2019, 12, 31), "USD", "CAD", Decimal("1.3")), (DAYS[1], "EUR", "SEK", Decimal("10"))]


async def newest(packs: LocalPacks, asof: date | None = None) -> UUID:
    return (await packs.resolve("files", asof, None)).pack.pack_id


@pytest.mark.parametrize(
    ("asof", "expected", "warned"),
    [
        (None, DAYS[2], False),
        (DAYS[0], DAYS[0], False),
        (date(2020, 1, 5), DAYS[1], False),
        (date(2020, 2, 1), DAYS[2], True),
    ],
)
async def test_which_day_answers(asof: date | None, expected: date, warned: bool) -> None:
    found = await LocalPacks(PRICES, RATES).resolve("files", asof, None)
    assert (found.asof, found.pack.asof_date, bool(found.warnings)) == (expected, expected, warned)


HOLED: list[PriceRow] = [
    (date.fromisoformat(on), "A", Decimal(100), "EUR")
    # Thursday and Friday, Monday and Tuesday, then nothing for six weeks.
    for on in ("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-02-20")
]


@pytest.mark.parametrize(
    ("asof", "expected", "warnings"),
    [
        ("2020-01-04", "2020-01-03", ()),  # Saturday
        ("2020-01-05", "2020-01-03", ()),  # Sunday
        ("2020-01-08", "2020-01-07", ("asked for 2020-01-08; the prices have none between 2020-01-07 and 2020-02-20",)),
        # The Sunday after, five days on: a weekend, but not only one.
        ("2020-01-12", "2020-01-07", ("asked for 2020-01-12; the prices have none between 2020-01-07 and 2020-02-20",)),
        ("2020-02-20", "2020-02-20", ()),
        ("2020-04-01", "2020-02-20", ("asked for 2020-04-01; the prices end on 2020-02-20",)),
    ],
)
async def test_an_older_day_that_answers_is_named_unless_only_a_weekend_lies_between(
    asof: str, expected: str, warnings: tuple[str, ...]
) -> None:
    found = await LocalPacks(HOLED, RATES).resolve("files", date.fromisoformat(asof), None)
    assert (found.asof.isoformat(), found.pack.asof_date, found.warnings) == (expected, found.asof, warnings)


@pytest.mark.parametrize("asof", ["2020-01-13", "2020-02-10", "2020-02-19"])
async def test_no_pack_in_a_hole_longer_than_a_price_may_be_carried(asof: str) -> None:
    with pytest.raises(TerminalError, match="none between 2020-01-07 and 2020-02-20") as caught:
        await LocalPacks(HOLED, RATES).resolve("files", date.fromisoformat(asof), None)
    assert caught.value.code is Code.NO_PACK and asof in str(caught.value)


async def test_no_day_no_pack() -> None:
    with pytest.raises(TerminalError, match="the prices begin on 2020-01-02") as caught:
        await LocalPacks(PRICES, RATES).resolve("files", date(2020, 1, 1), None)
    assert caught.value.code is Code.NO_PACK


async def test_a_pack_asked_for_by_id() -> None:
    packs = LocalPacks(PRICES, RATES)
    pack_id = await newest(packs, DAYS[1])
    assert (await packs.resolve("files", None, pack_id)).asof == DAYS[1]
    with pytest.raises(TerminalError, match="is of 2020-01-03") as caught:
        await packs.resolve("files", DAYS[2], pack_id)
    assert caught.value.code is Code.INVALID_REQUEST
    with pytest.raises(TerminalError) as caught:
        await packs.resolve("files", None, uuid4())
    assert caught.value.code is Code.UNKNOWN_PACK


async def test_a_pack_sees_its_past_and_only_what_was_asked_for() -> None:
    packs = LocalPacks(PRICES, RATES)
    found = await packs.series(await newest(packs, DAYS[1]), ["A"], ["CAD"], None)
    assert found.dates == tuple(DAYS[:2])
    assert [row[:2] for row in found.prices] == [(DAYS[0], "A"), (DAYS[1], "A")]
    assert found.rates == (RATES[0],)
    later = await packs.series(await newest(packs), ["B"], [], DAYS[2])
    assert later.dates == (DAYS[2],) and len(later.prices) == 1


async def test_a_packs_id_stands_for_everything_it_sees() -> None:
    before = [await newest(LocalPacks(PRICES, RATES), on) for on in DAYS]
    assert before == [await newest(LocalPacks(list(PRICES), tuple(RATES)), on) for on in DAYS]
    changed = [(on, symbol, close + (on == DAYS[1]), currency) for on, symbol, close, currency in PRICES]
    after = [await newest(LocalPacks(changed, RATES), on) for on in DAYS]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False]
    rates = [(on, base, quote, rate + 1) for on, base, quote, rate in RATES[:1]]
    assert await newest(LocalPacks(PRICES, rates), DAYS[0]) != before[0]
    assert await newest(LocalPacks(PRICES, RATES, start=DAYS[1])) != before[2]


async def test_the_start_cuts_days_but_not_the_rates_before_it() -> None:
    packs = LocalPacks(PRICES, RATES, start=DAYS[1])
    found = await packs.series(await newest(packs), ["A"], ["CAD"], date(2019, 12, 1))
    assert found.dates == tuple(DAYS[1:]) and found.rates == (RATES[0],)
    decision = await packs.resolve("files", DAYS[1], None)
    assert decision.previous_fresh is None
