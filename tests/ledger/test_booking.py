"""Booking: what each kind of transaction does to lots, cash and flows."""

from datetime import date
from decimal import Decimal

import pytest

from ledger.booked import Booked, Booking, content_hash
from ledger.booking import book
from ledger.directives import LedgerRejected
from ledger.sources import from_text
from tests.ledger.docstring import ACCOUNTS, ledger

END = date(2005, 12, 31)


def gains(booked: Booked) -> Decimal:
    return sum((row.gain for row in booked.rows if row.gain is not None), Decimal(0))


# The worked example of the Beancount manual's "How Inventories Work": 100 at 150 and 100 at 180,
# 150 of them sold at 200.
EXAMPLE = """
2004-01-05 * "buy"
  Assets:Stock   100 SYN-A {150 USD}
  Assets:Cash
2004-01-06 * "buy"
  Assets:Stock   100 SYN-A {180 USD}
  Assets:Cash
2004-02-02 * "sell"
  Assets:Stock  -150 SYN-A {} @ 200 USD
  Assets:Cash    30,000 USD
  Income:Gains
"""


@pytest.mark.parametrize(
    ("method", "gain", "left_cost"),
    [
        ("FIFO", "6000", "9000"),
        ("LIFO", "4500", "7500"),
        ("HIFO", "4500", "7500"),
        ("AVERAGE", "5250", "8250"),
    ],
)
def test_gain_depends_on_the_booking_method(method: str, gain: str, left_cost: str) -> None:
    booked = book(from_text(ACCOUNTS.format(booking=f'"{method}"') + EXAMPLE))
    [lot] = booked.positions(END).lots
    assert gains(booked) == Decimal(gain)
    assert (lot.qty, lot.cost) == (Decimal(50), Decimal(left_cost))


def test_the_portfolio_method_decides_where_the_account_has_none() -> None:
    text = ACCOUNTS.format(booking="") + EXAMPLE
    assert gains(book(from_text(text), "LIFO")) == 4500
    assert gains(book(from_text(text), "AVERAGE")) == 5250
    assert gains(book(from_text(text))) == 6000
    with pytest.raises(LedgerRejected, match="several lots match and booking is STRICT"):
        book(from_text(text), "STRICT")


@ledger("FIFO")
def test_selling_more_than_held_goes_short_and_covering_closes_it(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {10 USD}
      Assets:Cash
    2004-02-02 * "sell 150: 50 more than there are"
      Assets:Stock  -150 SYN-A {} @ 12 USD
      Assets:Cash   1,800 USD
      Income:Gains
    2004-03-01 * "cover"
      Assets:Stock    50 SYN-A {} @ 9 USD
      Assets:Cash    -450 USD
      Income:Gains
    """
    short = booked.positions(date(2004, 2, 15)).lots
    assert [(lot.qty, lot.cost) for lot in short] == [(Decimal(-50), Decimal(-600))]
    assert booked.positions(END).lots == ()
    # 100 × (12 − 10) on the long, 50 × (12 − 9) on the short.
    assert gains(booked) == 350
    assert booked.positions(END).cash == {"USD": Decimal("1000350.00")}


@ledger("FIFO")
def test_a_split_keeps_cost_and_acquisition_day(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {30 USD}
      Assets:Cash
    2005-02-28 custom "split" "SYN-A" 3/2
    2005-02-28 * "sold on the day of the split: new shares"
      Assets:Stock   -60 SYN-A {} @ 21 USD
      Assets:Cash   1,260 USD
      Income:Gains
    """
    before = booked.positions(date(2005, 2, 27)).lots[0]
    after = booked.positions(END).lots[0]
    assert (before.qty, before.cost) == (100, 3000)
    assert (after.qty, after.cost, after.acquired) == (90, 1800, date(2004, 1, 5))
    assert gains(booked) == 60


@ledger("FIFO")
def test_beancounts_own_split_is_a_split_and_no_trade(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {30 USD}
      Assets:Cash
    2004-01-06 * "buy"
      Assets:Stock    10 SYN-A {36 USD}
      Assets:Cash
    2005-02-28 * "split 2:1"
      Assets:Stock  -100 SYN-A {30 USD}
      Assets:Stock   -10 SYN-A {36 USD}
      Assets:Stock   200 SYN-A {15 USD, 2004-01-05}
      Assets:Stock    20 SYN-A {18 USD, 2004-01-06}
    """
    assert [row.kind for row in booked.rows if row.on == date(2005, 2, 28)] == ["split", "split"]
    lots = booked.positions(END).lots
    assert [(lot.qty, lot.cost, lot.acquired) for lot in lots] == [
        (200, 3000, date(2004, 1, 5)),
        (20, 360, date(2004, 1, 6)),
    ]


@ledger("AVERAGE")
def test_average_cost_merges_lots_and_empties_exactly(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   3 SYN-A {10 USD}
      Assets:Cash
    2004-01-06 * "buy"
      Assets:Stock   4 SYN-A {11 USD}
      Assets:Cash
    2004-01-07 * "sell a third's worth: 74/7 each does not end"
      Assets:Stock  -2 SYN-A {} @ 12 USD
      Assets:Cash    24 USD
      Income:Gains
    2004-01-08 * "sell the rest"
      Assets:Stock  -5 SYN-A {} @ 12 USD
      Assets:Cash    60 USD
      Income:Gains
    """
    assert len({row.lot for row in booked.rows if row.kind == "lot"}) == 1
    assert booked.positions(END).lots == ()
    assert gains(booked) == 10  # 84 received for what cost 74, to the last digit


@ledger("FIFO")
def test_a_dividend_is_a_receivable_from_its_ex_date(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   100 SYN-A {30 USD}
      Assets:Cash
    2004-12-02 * "dividend"
      ex_date: 2004-11-15
      Assets:Cash                 85.00 USD
      Expenses:Tax                15.00 USD
      Income:Dividends:SYN-A    -100.00 USD
    """
    before, between = (booked.positions(date(2004, 11, day)) for day in (14, 15))
    after = booked.positions(date(2004, 12, 2))
    assert before.receivables == ()
    [owed] = between.receivables
    assert (owed.symbol, owed.amount, owed.pay_date) == ("SYN-A", 85, date(2004, 12, 2))
    assert between.cash == before.cash
    assert after.receivables == ()
    assert after.cash["USD"] - between.cash["USD"] == 85
    earned = {row.kind: row for row in booked.rows if row.kind in ("dividend", "tax")}
    assert (earned["dividend"].amount, earned["tax"].amount) == (100, -15)
    assert earned["dividend"].on == earned["tax"].on == date(2004, 11, 15)


@ledger()
def test_flows_fees_and_interest_have_their_own_rows(booked: Booked) -> None:
    """
    2004-02-02 * "interest less a fee"
      Assets:Cash       90 USD
      Expenses:Fees     10 USD
      Income:Interest -100 USD
    2004-03-01 * "exchange"
      Assets:Cash    1,000.00 CAD @@ 752.00 USD
      Expenses:Fees      2.00 USD
      Assets:Cash     -754.00 USD
    2004-04-01 * "withdrawal"
      Assets:Cash           -500 USD
      Equity:Contributions   500 USD
    """
    found = [(row.kind, row.amount, row.currency) for row in booked.rows if row.kind != "cash"]
    assert found == [
        ("external", 1000000, "USD"),
        ("expense", -10, "USD"),
        ("income", 100, "USD"),
        ("commission", -2, "USD"),
        ("external", -500, "USD"),
    ]
    assert booked.positions(END).cash == {"CAD": 1000, "USD": Decimal("998836.00")}


@ledger("FIFO")
def test_securities_brought_in_are_an_external_flow(booked: Booked) -> None:
    """
    2004-02-02 * "in kind"
      Assets:Stock            10 SYN-A {20 USD, 2001-05-07}
      Equity:Contributions  -200 USD
    """
    flow = [row for row in booked.rows if row.kind == "external"][-1]
    assert flow.amount == 200
    assert booked.positions(END).lots[0].acquired == date(2001, 5, 7)


@ledger("FIFO")
def test_an_unpriced_sale_gets_its_price_from_the_money(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   10 SYN-A {{305 USD}}
      Assets:Cash
    2004-02-02 * "sell"
      Assets:Stock  -10 SYN-A {}
      Expenses:Fees   5 USD
      Assets:Cash   395 USD
      Income:Gains
    """
    sale = [row for row in booked.rows if row.gain is not None]
    assert [(row.price, row.gain) for row in sale] == [(Decimal(40), Decimal(95))]


@ledger("FIFO")
def test_a_left_out_cost_is_what_balances(booked: Booked) -> None:
    """
    2004-01-05 * "buy"
      Assets:Stock   8 SYN-A {}
      Expenses:Fees  3 USD
      Assets:Cash  -99 USD
    """
    assert booked.positions(END).lots[0].cost == 96


def test_rows_survive_storage_and_give_the_same_hash() -> None:
    text = ACCOUNTS.format(booking='"FIFO"') + EXAMPLE + '2004-03-01 custom "split" "SYN-A" 2\n'
    booked = book(from_text(text))
    stored = tuple(Booking.from_row(row.as_row()) for row in booked.rows)
    assert stored == booked.rows
    assert content_hash(stored) == booked.content_hash == book(from_text(text)).content_hash
    changed = text.replace("30,000 USD", "30,000.00 USD")
    assert book(from_text(changed)).content_hash == booked.content_hash
    assert book(from_text(text.replace("@ 200", "@ 201"))).content_hash != booked.content_hash


@ledger()
def test_a_sale_in_another_currency_than_its_cost_keeps_its_price(booked: Booked) -> None:
    """
    2004-02-02 * "buy"
      Assets:Stock  10 SYN-A {100 USD}
      Assets:Cash
    2004-02-03 * "at a price"
      Assets:Stock  -4 SYN-A {} @ 143 CAD
      Assets:Cash  572 CAD
      Income:Gains
    2004-02-04 * "at the price that the money says"
      Assets:Stock  -6 SYN-A {}
      Assets:Cash  840 CAD
      Income:Gains
    """
    rows = [row for row in booked.rows if row.kind == "lot"]
    assert [(row.price, row.price_currency, row.currency, row.gain) for row in rows] == [
        (100, "USD", "USD", None),
        (143, "CAD", "USD", None),
        (140, "CAD", "USD", None),
    ]
    assert not [row for row in booked.rows if row.kind == "income"]


@ledger()
def test_units_come_in_at_their_cost_whatever_price_in_another_currency_stands_beside(booked: Booked) -> None:
    """
    2004-02-02 * "buy"
      Assets:Stock  10 SYN-A {100 USD} @ 130 CAD
      Assets:Cash
    """
    [lot] = [row for row in booked.rows if row.kind == "lot"]
    assert (lot.price, lot.price_currency) == (100, "USD")


# Ten units that cost 100 USD each; at 110 the gain is 100.
BESIDE = """
2004-01-01 open Income:Gains:Long
2004-01-01 open Income:Rebate
2004-02-02 * "buy"
  Assets:Stock  10 SYN-A {100 USD}
  Assets:Cash
2004-02-03 * "sell"
  Assets:Stock  -10 SYN-A {} @ """


@pytest.mark.parametrize(
    ("sale", "income"),
    [
        # Accrued interest; the gain is whatever is left out.
        ("110 USD\n  Income:Interest -50 USD\n  Assets:Cash 1150 USD\n  Income:Gains", {"Income:Interest": 50}),
        # The gain is written, the interest is left out.
        ("110 USD\n  Income:Gains -100 USD\n  Assets:Cash 1150 USD\n  Income:Interest", {"Income:Interest": 50}),
        # A fee of 3 taken off the gain, which nobody booked: it stays a cost.
        ("110 USD\n  Income:Interest -50 USD\n  Assets:Cash 1147 USD\n  Income:Gains", {"Income:Interest": 50}),
        ("110 USD\n  Income:Gains -97 USD\n  Income:Interest -50 USD\n  Assets:Cash", {"Income:Interest": 50}),
        ("110 USD\n  Assets:Cash 1097 USD\n  Income:Gains", {}),
        ("101 USD\n  Assets:Cash 990 USD\n  Income:Gains 10 USD", {}),
        # A booked fee changes nothing.
        (
            "110 USD\n  Income:Interest -50 USD\n  Expenses:Fees 3 USD\n  Assets:Cash 1147 USD\n  Income:Gains",
            {"Income:Interest": 50},
        ),
        # Two accounts of gains, two of other income.
        (
            "110 USD\n  Income:Gains -60 USD\n  Income:Gains:Long -40 USD\n  Income:Interest -50 USD\n"
            "  Income:Rebate -2 USD\n  Assets:Cash",
            {"Income:Interest": 50, "Income:Rebate": 2},
        ),
        ("110 USD\n  Income:Gains -60 USD\n  Income:Gains:Long -40 USD\n  Assets:Cash", {}),
        ("110 USD\n  Income:Gains -60 USD\n  Assets:Cash 1097 USD\n  Income:Gains:Long", {}),
        # A loss; no gain at all, with interest and without a posting.
        ("90 USD\n  Income:Gains 100 USD\n  Income:Interest -50 USD\n  Assets:Cash", {"Income:Interest": 50}),
        ("100 USD\n  Income:Interest -50 USD\n  Assets:Cash", {"Income:Interest": 50}),
        ("100 USD\n  Assets:Cash 997 USD\n  Income:Gains", {}),
        ("100 USD\n  Assets:Cash 1000 USD", {}),
        # The price is rounded: 1,100.04 came.
        ("110 USD\n  Assets:Cash 1100.04 USD\n  Income:Gains", {}),
        # 1,050 EUR for the 1,100 USD; interest in EUR.
        ("110 USD\n  Assets:Cash 1050 EUR\n  Income:Gains", {}),
        ("110 USD\n  Assets:Cash 1100 EUR\n  Income:Interest -50 EUR\n  Income:Gains", {"Income:Interest": 50}),
        # Sold for 1,430 CAD: left out, the gain is −1,000 USD and 1,430 CAD; converted, it is 100 USD.
        (
            "143 CAD\n  Assets:Cash 1430 CAD\n  Income:Interest -50 USD\n  Assets:Cash 50 USD\n  Income:Gains",
            {"Income:Interest": 50},
        ),
        (
            "143 CAD\n  Assets:Cash 1430 CAD @@ 1100 USD\n  Income:Gains -100 USD\n  Income:Interest -50 USD\n"
            "  Assets:Cash 50 USD",
            {"Income:Interest": 50},
        ),
    ],
)
def test_income_beside_a_sale_is_its_gain_or_its_own(sale: str, income: dict[str, int]) -> None:
    booked = book(from_text(ACCOUNTS.format(booking="") + BESIDE + sale + "\n"))
    assert {row.account: row.amount for row in booked.rows if row.kind == "income"} == income


def test_income_beside_a_sale_without_a_price_is_its_gain() -> None:
    sale = BESIDE.replace(" @ ", "\n") + "  Income:Interest -50 USD\n  Assets:Cash 1150 USD\n  Income:Gains\n"
    booked = book(from_text(ACCOUNTS.format(booking="") + sale))
    assert gains(booked) == 150 and not [row for row in booked.rows if row.kind == "income"]


def test_only_a_price_in_another_currency_changes_the_hash() -> None:
    rows = book(from_text(ACCOUNTS.format(booking="") + EXAMPLE)).rows
    assert content_hash(rows) == content_hash([row._replace(price_currency=None) for row in rows])
    assert content_hash(rows) != content_hash([row._replace(price_currency="CAD") for row in rows])
