"""Securities that move without being traded: brought in, taken out, moved between accounts, exchanged."""

from datetime import date
from decimal import Decimal

import pytest

from ledger.booked import Booked
from ledger.booking import book, book_with_faults
from ledger.sources import from_text
from tests.ledger.docstring import ACCOUNTS, ledger

END = date(2005, 12, 31)
MORE = "2004-01-01 open Assets:Other\n2004-01-01 open Equity:Taken\n"


def booked(text: str, booking: str = '"FIFO"') -> Booked:
    return book(from_text(ACCOUNTS.format(booking=booking) + MORE + text))


def test_lots_moved_to_another_account_keep_cost_and_day() -> None:
    found = booked(
        """
2004-01-05 * "buy"
  Assets:Stock   100 SYN-A {10 USD}
  Assets:Cash
2004-01-06 * "buy"
  Assets:Stock   100 SYN-A {12 USD}
  Assets:Cash
2004-06-01 * "to the other broker"
  Assets:Stock  -150 SYN-A {}
  Assets:Other   150 SYN-A {}
"""
    )
    held = [(lot.account, lot.qty, lot.cost, lot.acquired) for lot in found.positions(END).lots]
    assert sorted(held) == [
        ("Assets:Other", 50, 600, date(2004, 1, 6)),
        ("Assets:Other", 100, 1000, date(2004, 1, 5)),
        ("Assets:Stock", 50, 600, date(2004, 1, 6)),
    ]
    moved = [row for row in found.rows if row.on == date(2004, 6, 1)]
    assert {row.kind for row in moved} == {"lot"}  # no flow, no gain, no price
    assert [(row.price, row.gain) for row in moved] == [(None, None)] * 4


def test_a_move_with_lots_written_out_is_no_trade_either() -> None:
    found = booked(
        """
2004-01-05 * "buy"
  Assets:Stock   100 SYN-A {10 USD}
  Assets:Cash
2004-06-01 * "to the other broker"
  Assets:Stock  -100 SYN-A {10 USD, 2004-01-05}
  Assets:Other   100 SYN-A {10 USD, 2004-01-05}
"""
    )
    moved = [row for row in found.rows if row.on == date(2004, 6, 1)]
    assert [(row.qty, row.price, row.gain) for row in moved] == [(-100, None, None), (100, None, None)]
    assert sum(row.amount for row in found.rows if row.kind == "external") == 1_000_000


def test_average_cost_moves_with_its_units() -> None:
    found = booked(
        """
2004-01-01 open Assets:Average "AVERAGE"
2004-01-05 * "buy"
  Assets:Average   3 SYN-A {10 USD}
  Assets:Cash
2004-01-06 * "buy"
  Assets:Average   4 SYN-A {11 USD}
  Assets:Cash
2004-06-01 * "part of them"
  Assets:Average  -2 SYN-A {}
  Assets:Other     2 SYN-A {}
""",
        booking="",
    )
    costs = {lot.account: lot.cost for lot in found.positions(END).lots}
    assert sum(costs.values()) == 74
    assert abs(costs["Assets:Other"] - Decimal(74) * 2 / 7) < Decimal("1e-20")


@ledger("FIFO")
def test_brought_in_without_a_price_names_its_units(booked: Booked) -> None:
    """
    2004-02-02 * "from another bank"
      Assets:Stock            10 SYN-A {20 USD, 2001-05-07}
      Assets:Stock             5 SYN-A {30 USD, 2002-05-07}
      Equity:Contributions
    """
    flows = [row for row in booked.rows if row.kind == "external" and row.symbol]
    assert [(row.symbol, row.qty, row.amount, row.price) for row in flows] == [
        ("SYN-A", 10, 200, None),
        ("SYN-A", 5, 150, None),
    ]


@ledger("FIFO")
def test_taken_out_at_a_price_counts_at_the_price_and_realises_nothing(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   10 SYN-A {20 USD}
      Assets:Cash
    2004-02-02 * "given away"
      Assets:Stock           -10 SYN-A {} @ 25 USD
      Equity:Contributions   200 USD
    """
    [flow] = [row for row in booked.rows if row.kind == "external" and row.symbol]
    assert (flow.qty, flow.amount, flow.price) == (-10, -250, 25)
    assert all(row.gain is None for row in booked.rows)
    assert booked.positions(END).lots == ()


def test_a_price_written_beside_a_move_is_no_trade_price() -> None:
    for price in ("@ 115 USD", "@@ 460 USD"):
        found = booked(
            f"""
2004-01-05 * "buy"
  Assets:Stock   10 SYN-A {{60 USD}}
  Assets:Cash
2004-06-01 * "to the other broker"
  Assets:Stock   -4 SYN-A {{60 USD}} {price}
  Assets:Other    4 SYN-A {{60 USD}}
"""
        )
        moved = [row for row in found.rows if row.on == date(2004, 6, 1)]
        assert [(row.kind, row.qty, row.price, row.gain) for row in moved] == [
            ("lot", -4, None, None),
            ("lot", 4, None, None),
        ]


@pytest.mark.parametrize(
    ("out", "into", "moved"),
    [
        ("{}", "{33.33 USD}", True),
        ("{} @ 50 USD", "{33.33 USD}", True),
        ("{}", "{33.3 USD}", True),
        ("{}", "{{99.996 USD}}", False),  # a total has no units to round
        ("{}", "{{100.00 USD}}", True),
        ("{}", "{33.32 USD}", False),
        ("{}", "{33 USD}", False),  # whole numbers are exact
    ],
)
def test_a_move_with_rounded_costs_and_a_fee_is_no_trade(out: str, into: str, moved: bool) -> None:
    # Three units of 100 USD in all; the fee takes what rounding leaves.
    found = booked(
        f"""
2004-01-01 open Expenses:Moving
2004-01-05 * "buy"
  Assets:Stock   3 SYN-A {{{{100 USD}}}}
  Assets:Cash
2004-06-01 * "to the other broker, for a fee"
  Assets:Stock  -3 SYN-A {out}
  Assets:Other   3 SYN-A {into}
  Assets:Cash   -5.00 USD
  Expenses:Moving
"""
    )
    lots = [row for row in found.rows if row.on == date(2004, 6, 1) and row.kind == "lot"]
    assert len(lots) == 2 and (all((row.price, row.gain) == (None, None) for row in lots)) == moved
    [fee] = [row.amount for row in found.rows if row.kind == "commission"]
    assert abs(fee + 5) <= Decimal("3.1")


@ledger("FIFO")
def test_a_merger_without_cash_has_no_trade_price(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {10 USD}
      Assets:Cash
    2004-06-01 * "two for five"
      Assets:Stock  -100 SYN-A {}
      Assets:Stock    40 SYN-B {25 USD, 2004-01-05}
    """
    assert {row.price for row in booked.rows if row.on == date(2004, 6, 1)} == {None}
    [lot] = booked.positions(END).lots
    assert (lot.symbol, lot.qty, lot.cost, lot.acquired) == ("SYN-B", 40, 1000, date(2004, 1, 5))


@ledger("FIFO")
def test_what_became_worthless_was_sold_for_nothing(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {10 USD}
      Assets:Cash
    2004-06-01 * "struck off"
      Assets:Stock  -100 SYN-A {}
      Income:Gains
    """
    [row] = [row for row in booked.rows if row.on == date(2004, 6, 1)]
    assert (row.kind, row.price, row.gain) == ("lot", 0, -1000)


@ledger("FIFO")
def test_a_dividend_in_shares_is_bought_with_its_income(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {10 USD}
      Assets:Cash
    2004-06-01 * "reinvested"
      Assets:Stock              2 SYN-A {11 USD}
      Income:Dividends:SYN-A  -22 USD
    """
    found = [(row.kind, row.qty, row.amount, row.price) for row in booked.rows if row.on == date(2004, 6, 1)]
    assert found == [("lot", 2, 22, 11), ("dividend", 0, 22, None)]


@ledger("FIFO")
def test_pence_are_hundredths_of_a_pound(booked: Booked) -> None:
    """
    2004-01-05 * "pounds"
      Assets:Cash   1,000.00 GBP
      Equity:Contributions
    2004-01-05 * "buy at 250p"
      Assets:Stock   100 SYN-V {250 GBX}
      Assets:Cash   -250.00 GBP
    2004-02-02 * "sell at 300p"
      Assets:Stock  -100 SYN-V {} @ 300 GBX
      Assets:Cash    300.00 GBP
      Income:Gains
    """
    assert booked.positions(END).cash["GBP"] == 1050
    [sale] = [row for row in booked.rows if row.gain is not None]
    assert (sale.price, sale.gain, sale.currency) == (3, 50, "GBP")


def test_no_account_is_kept_in_pence() -> None:
    text = "2004-01-01 open Assets:Cash\n2004-01-01 open Equity:In\n"
    text += '2004-01-02 * "x"\n  Assets:Cash  1250 GBX\n  Equity:In\n'
    [fault] = book_with_faults(from_text(text))[1]
    assert str(fault) == ("main.beancount:4: GBX is a unit of prices, no account is kept in it: write 12.5 GBP")
