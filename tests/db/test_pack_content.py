from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256

import pytest

from db.pack_content import PackContent, PackRejected, PriceRow, RateRow, assemble, pack_id_of, plain, require_valid

DAY = date(2024, 1, 5)


def test_digest_is_over_sorted_lines() -> None:
    content = PackContent(
        (PriceRow("SYN-B", Decimal("2.50"), "USD", DAY, "s"), PriceRow("SYN-A", Decimal("100"), "CAD", DAY, "s")),
        (RateRow("EUR", "USD", Decimal("1.10"), DAY, "ecb"),),
    )
    text = (
        "fx\x1fEUR\x1fUSD\x1f1.1\x1fecb\x1f2024-01-05\n"
        "price\x1fSYN-A\x1f100\x1fCAD\x1fraw\x1fs\x1f2024-01-05\n"
        "price\x1fSYN-B\x1f2.5\x1fUSD\x1fraw\x1fs\x1f2024-01-05\n"
    )
    assert content.sha256() == sha256(text.encode()).hexdigest()


def test_order_and_trailing_zeros_do_not_change_the_digest() -> None:
    rows = [PriceRow(f"SYN-{name}", Decimal("1.0"), "USD", DAY, "s") for name in "BCA"]
    other = [PriceRow(f"SYN-{name}", Decimal("1"), "USD", DAY, "s") for name in "ABC"]
    assert PackContent(tuple(rows), ()).sha256() == PackContent(tuple(other), ()).sha256()


@pytest.mark.parametrize(
    ("number", "text"), [("1E+2", "100"), ("0.10", "0.1"), ("-0.0", "0"), ("100", "100"), ("1E-8", "0.00000001")]
)
def test_plain_numbers(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PriceRow("SYN\n", Decimal(1), "USD", DAY, "s"), "without control characters"),
        (PriceRow("SYN-A", Decimal(1), "usd", DAY, "s"), "ISO currency"),
        (PriceRow("SYN-A", Decimal(-1), "USD", DAY, "s"), "0 or more"),
        (PriceRow("SYN-A", Decimal("NaN"), "USD", DAY, "s"), "0 or more"),
        (PriceRow("SYN-A", Decimal("0.123456789"), "USD", DAY, "s"), "at most 8 decimals"),
        (RateRow("EUR", "EUR", Decimal(1), DAY, "s"), "two currencies"),
        (RateRow("EUR", "USD", Decimal(0), DAY, "s"), "more than 0"),
        (RateRow("EUR", "USD", Decimal("1E+10"), DAY, "s"), "below"),
        (RateRow("EUR", "USD", Decimal(1), DAY, ""), "expected a source"),
    ],
)
def test_rows_no_pack_can_hold(row: PriceRow | RateRow, message: str) -> None:
    content = PackContent((row,), ()) if isinstance(row, PriceRow) else PackContent((), (row,))
    with pytest.raises(PackRejected, match=message):
        require_valid(content)


def test_every_fault_is_named() -> None:
    price = PriceRow("SYN-A", Decimal(1), "USD", DAY, "s")
    rate = RateRow("EUR", "USD", Decimal(0), DAY, "s")
    with pytest.raises(PackRejected) as rejected:
        require_valid(PackContent((price, price), (rate,)))
    assert rejected.value.faults == (
        "price of 'SYN-A': stands there twice",
        "rate EUR/USD: expected a number of more than 0 and below 1e+10, got 0",
    )


def test_rates_are_carried_five_days_with_the_day_they_were_observed_on() -> None:
    sessions = [DAY + timedelta(days=days) for days in range(0, 8)]
    closes = [PriceRow("SYN-A", Decimal(1), "USD", sessions[2], "s")]
    rates = [
        RateRow("EUR", "USD", Decimal("1.2"), DAY + timedelta(days=1), "ecb"),
        RateRow("EUR", "USD", Decimal("1.1"), DAY, "ecb"),
        RateRow("EUR", "GBP", Decimal("0.9"), DAY + timedelta(days=100), "ecb"),
    ]
    packs = dict(assemble(sessions, closes, rates))
    assert list(packs) == sessions
    assert [len(packs[day].rates) for day in sessions] == [1, 1, 1, 1, 1, 1, 1, 0]
    assert packs[sessions[0]].rates[0].rate == Decimal("1.1")
    assert packs[sessions[6]].rates[0].observed_on == sessions[1]
    assert [len(packs[day].prices) for day in sessions] == [0, 0, 1, 0, 0, 0, 0, 0]


def test_pack_ids_are_the_same_everywhere() -> None:
    assert str(pack_id_of("close", DAY, 1)) == str(pack_id_of("close", date(2024, 1, 5), 1))
    assert len({pack_id_of("close", DAY, 1), pack_id_of("close", DAY, 2), pack_id_of("open", DAY, 1)}) == 3
