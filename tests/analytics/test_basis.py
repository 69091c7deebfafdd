"""Paperwork is no purchase: splits, moves and mergers keep the base cost, however they are written.

100 units bought at 10 EUR when a euro was 1.20, 50 at 12 EUR when it was 1.30: 1000·1.20 + 600·1.30 = 1980 USD. The
paperwork is done when it is 1.50; a cost converted again that day would be 1600·1.50 = 2400.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from analytics.holdings import Holdings, hold
from analytics.realised import disposals
from ledger.booked import Booking
from ledger.booking import book
from ledger.sources import from_text

RATES = {"2004-01-05": "1.20", "2004-01-06": "1.30", "2004-06-01": "1.50", "2004-07-01": "1.60"}
END = date(2004, 12, 31)
BOUGHT = """
2004-01-01 open Assets:Cash
2004-01-01 open Assets:A {booking}
2004-01-01 open Assets:B {booking}
2004-01-01 open Equity:In
2004-01-01 open Income:Gains
2004-01-05 * "money"
  Assets:Cash  1600 EUR
  Equity:In
2004-01-05 * "buy"
  Assets:A  100 SYN-A {{10 EUR}}
  Assets:Cash
2004-01-06 * "buy"
  Assets:{second}  50 SYN-A {{12 EUR}}
  Assets:Cash
"""


def rate_on(_: str, on: date) -> Decimal | None:
    rate = RATES.get(on.isoformat())
    return None if rate is None else Decimal(rate)


def booked(text: str, second: str = "A", booking: str = "FIFO") -> Sequence[Booking]:
    return book(from_text(BOUGHT.format(second=second, booking=f'"{booking}"') + text)).rows


def held(rows: Sequence[Booking]) -> Holdings:
    found = hold(rows, END, "USD", rate_on)
    assert found.warnings == ()
    return found


def base_costs(rows: Sequence[Booking]) -> dict[tuple[str, date], Decimal]:
    """Return base cost by account and day of acquisition, to the cent."""
    found: dict[tuple[str, date], Decimal] = {}
    for lot in held(rows).lots:
        assert lot.cost_base is not None
        key = (lot.account, lot.acquired)
        found[key] = found.get(key, Decimal(0)) + round(lot.cost_base, 2)
    return found


FIRST, SECOND = date(2004, 1, 5), date(2004, 1, 6)
SPLITS = {
    "custom": '2004-06-01 custom "split" "SYN-A" 2\n',
    "lots out and in": """
2004-06-01 * "split"
  Assets:A  -100 SYN-A {10 EUR, 2004-01-05}
  Assets:A   -50 SYN-A {12 EUR, 2004-01-06}
  Assets:A   200 SYN-A {5 EUR, 2004-01-05}
  Assets:A   100 SYN-A {6 EUR, 2004-01-06}
""",
    "in before out": """
2004-06-01 * "split, one lot in each transaction"
  Assets:A   200 SYN-A {5 EUR, 2004-01-05}
  Assets:A  -100 SYN-A {10 EUR, 2004-01-05}
2004-06-01 * "split"
  Assets:A   100 SYN-A {6 EUR, 2004-01-06}
  Assets:A   -50 SYN-A {12 EUR, 2004-01-06}
""",
    "lot by lot": """
2004-06-01 * "split"
  Assets:A  -100 SYN-A {10 EUR, 2004-01-05}
  Assets:A   200 SYN-A {5 EUR, 2004-01-05}
2004-06-01 * "split"
  Assets:A   -50 SYN-A {12 EUR, 2004-01-06}
  Assets:A   100 SYN-A {6 EUR, 2004-01-06}
""",
}


@pytest.mark.parametrize("how", SPLITS)
def test_a_split_changes_no_currency_effect(how: str) -> None:
    rows = booked(SPLITS[how])
    assert base_costs(rows) == {("Assets:A", FIRST): 1200, ("Assets:A", SECOND): 780}
    sold = booked(
        SPLITS[how]
        + """
2004-07-01 * "all of it at 8"
  Assets:A  -300 SYN-A {} @ 8 EUR
  Assets:Cash  2400 EUR
  Income:Gains
"""
    )
    # Proceeds 2400·1.60 = 3840. Price: (2400 − 1600)·1.60 = 1280; currency: 1000·(1.60 − 1.20) + 600·(1.60 − 1.30).
    found = disposals(sold, END, "USD", rate_on)
    assert sum(each.gain_base or 0 for each in found) == 3840 - 1980
    assert sum(each.gain_price_base or 0 for each in found) == 1280
    assert sum(each.gain_currency_base or 0 for each in found) == 580
    assert [each.acquired for each in found] == [FIRST, SECOND]


def test_a_split_over_two_accounts_in_one_transaction_is_a_split() -> None:
    rows = booked(
        """
2004-06-01 * "split 3:2"
  Assets:A  -100 SYN-A {10 EUR, 2004-01-05}
  Assets:B   -50 SYN-A {12 EUR, 2004-01-06}
  Assets:A   150 SYN-A {6.6667 EUR, 2004-01-05}
  Assets:B    75 SYN-A {8 EUR, 2004-01-06}
""",
        second="B",
    )
    assert [row.kind for row in rows if row.on == date(2004, 6, 1)] == ["split", "split"]
    assert base_costs(rows) == {("Assets:A", FIRST): 1200, ("Assets:B", SECOND): 780}


def test_a_split_with_cash_for_the_fraction_keeps_what_is_kept() -> None:
    # 150 units become 100.5; half a unit is paid out: 4 EUR, of a cost of 8 (the older lot's 1000 EUR over 67 is kept).
    rows = booked(
        """
2004-06-01 * "split 2:3"
  Assets:A  -100 SYN-A {10 EUR, 2004-01-05}
  Assets:A   -50 SYN-A {12 EUR, 2004-01-06}
  Assets:A    67 SYN-A {{1000 EUR, 2004-01-05}}
  Assets:A    33 SYN-A {{592 EUR, 2004-01-06}}
  Assets:Cash  4 EUR
  Income:Gains  4 EUR
"""
    )
    assert base_costs(rows) == {("Assets:A", FIRST): 1200, ("Assets:A", SECOND): round(Decimal(592) * 780 / 600, 2)}


@pytest.mark.parametrize(
    "move",
    [
        "  Assets:A  -120 SYN-A {}\n  Assets:B  120 SYN-A {}\n",
        "  Assets:B  120 SYN-A {}\n  Assets:A  -120 SYN-A {}\n",
        "  Assets:B  100 SYN-A {10 EUR, 2004-01-05}\n  Assets:B  20 SYN-A {12 EUR, 2004-01-06}\n"
        "  Assets:A  -100 SYN-A {10 EUR}\n  Assets:A  -20 SYN-A {12 EUR}\n",
        "  Assets:A  -120 SYN-A {} @ 15 EUR\n  Assets:B  120 SYN-A {}\n",
        "  Assets:A  -100 SYN-A {10 EUR} @ 15 EUR\n  Assets:A  -20 SYN-A {12 EUR} @ 15 EUR\n"
        "  Assets:B  100 SYN-A {10 EUR, 2004-01-05} @ 15 EUR\n  Assets:B  20 SYN-A {12 EUR, 2004-01-06} @ 15 EUR\n",
    ],
)
def test_a_move_between_own_accounts_keeps_the_rates_of_the_purchases(move: str) -> None:
    rows = booked('2004-06-01 * "to the other broker"\n' + move)
    # 20 of the second lot's 50 go: 240 EUR at 1.30.
    assert base_costs(rows) == {
        ("Assets:A", SECOND): 780 - 312,
        ("Assets:B", FIRST): 1200,
        ("Assets:B", SECOND): 312,
    }
    assert disposals(rows, END, "USD", rate_on) == ()


def test_rows_booked_before_moves_lost_their_price_are_read_alike() -> None:
    rows = booked('2004-06-01 * "moved"\n  Assets:A  -100 SYN-A {10 EUR} @ 15 EUR\n  Assets:B  100 SYN-A {10 EUR}\n')
    stored = [row._replace(price=Decimal(15)) if row.on.month == 6 and row.qty < 0 else row for row in rows]
    for each in (rows, stored):
        assert base_costs(each)["Assets:B", date(2004, 6, 1)] == 1200
        assert disposals(each, END, "USD", rate_on) == ()


def test_average_cost_moves_at_its_average_rate() -> None:
    rows = booked(
        '2004-06-01 * "half to the other broker"\n  Assets:A  -75 SYN-A {}\n  Assets:B  75 SYN-A {}\n'
        '2004-07-01 * "and the rest"\n  Assets:A  -75 SYN-A {}\n  Assets:B  75 SYN-A {}\n',
        booking="AVERAGE",
    )
    assert sum(base_costs(rows).values()) == 1980


def test_a_merger_keeps_the_base_cost_of_what_was_given_up() -> None:
    rows = booked('2004-06-01 * "merger"\n  Assets:A  -100 SYN-A {10 EUR}\n  Assets:A  40 SYN-B {25 EUR, 2004-01-05}\n')
    assert [(lot.symbol, lot.cost_base) for lot in held(rows).lots] == [("SYN-A", 780), ("SYN-B", 1200)]


def test_what_is_bought_with_the_move_counts_at_its_own_day() -> None:
    rows = booked(
        '2004-06-01 * "moved and topped up"\n  Assets:A  -100 SYN-A {10 EUR}\n'
        "  Assets:B  110 SYN-A {10 EUR, 2004-01-05}\n  Equity:In  -100 EUR\n"
    )
    # The ten from outside cost 100 EUR on the first of June: 150 USD.
    assert base_costs(rows)["Assets:B", FIRST] == 1200 + 150
