"""What users of other tools complain about, in ledgers, exchange rates, pence and splits: each a test.

Each world is small enough to work out by hand; the comments do.
"""

from datetime import date
from decimal import Decimal

import pytest

from analytics.attribution import attribute
from analytics.history import build
from analytics.holdings import hold
from analytics.market import align
from analytics.returns import compute_twr
from ledger.booking import book
from ledger.sources import from_text
from tests.analytics.worlds import OPEN, D, single


def twr_of(ledger: str, closes: dict[str, str], fx: dict[str, str] | None = None, **world: str) -> float:
    made = single(OPEN + ledger, closes, fx, **world)
    history = build(made.booked.rows, made.market)
    measured = compute_twr(history)
    total = measured.twr
    assert total is not None
    attribute(history, measured)  # raises when effects do not sum to the return within 0.1 bp
    return total


def test_a_deposit_in_kind_is_no_profit() -> None:
    # Bought years ago for 1000, worth 2000 when it arrives, 2200 a day later: 10%, not 120%.
    ledger = """
2004-01-05 * "money"
  Assets:Cash  2000 USD
  Equity:In
2004-01-06 * "from another bank, cost 10"
  Assets:Stock  100 SYN-A {10 USD, 1999-03-01}
  Equity:In
"""
    closes = {"2004-01-05": "19", "2004-01-06": "20", "2004-01-07": "22"}
    # 2000 cash + 2000 stock, then 2000 + 2200.
    assert twr_of(ledger, closes) == pytest.approx(0.05, abs=1e-12)


def test_a_withdrawal_in_kind_is_no_loss() -> None:
    ledger = """
2004-01-05 * "money"
  Assets:Cash  1000 USD
  Equity:In
2004-01-05 * "buy"
  Assets:Stock  50 SYN-A {10 USD}
  Assets:Cash
2004-01-06 * "half of it given away at 20, bought at 10"
  Assets:Stock  -25 SYN-A {}
  Equity:In
"""
    closes = {"2004-01-05": "10", "2004-01-06": "20", "2004-01-07": "20"}
    # 500 cash + 500 stock → 500 + 1000 before the gift: 50%; nothing after it.
    assert twr_of(ledger, closes) == pytest.approx(0.5, abs=1e-12)


def test_moving_shares_between_ones_own_accounts_is_neither_flow_nor_gain() -> None:
    ledger = """
2004-01-05 * "money"
  Assets:Cash  1000 USD
  Equity:In
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 USD}
  Assets:Cash
2004-01-06 * "to the other broker"
  Assets:Stock  -100 SYN-A {}
  Assets:Other   100 SYN-A {}
"""
    closes = {"2004-01-05": "10", "2004-01-06": "11", "2004-01-07": "12"}
    assert twr_of(ledger, closes) == pytest.approx(0.2, abs=1e-12)
    made = single(OPEN + ledger, closes)
    history = build(made.booked.rows, made.market)
    assert history.flow[1:] == (0, 0)
    # What trades paid and what they are worth must cancel out, or attribution would invent an effect.
    assert abs(history.paid_base[1]).sum() == 0
    assert abs(history.trade_cash[1]).sum() == 0


@pytest.mark.parametrize("price_unit", ["GBX", "GBp"])
def test_pence_are_not_pounds(price_unit: str) -> None:
    ledger = """
2004-01-05 * "pounds"
  Assets:Cash  1000 GBP
  Equity:In
2004-01-05 * "250 pence each"
  Assets:Stock  400 SYN-A {2.50 GBP}
  Assets:Cash
"""
    booked = book(from_text(OPEN + ledger))
    days = [date(2004, 1, 5), date(2004, 1, 6)]
    market = align(
        "GBP", [(days[0], "SYN-A", D(250), price_unit), (days[1], "SYN-A", D(275), price_unit)], [], dates=days
    )
    history = build(booked.rows, market)
    assert history.nav == (1000, 1100)  # not 100,000 and 110,000


def test_an_old_purchase_keeps_the_rate_of_its_day() -> None:
    ledger = """
2004-01-05 * "euros"
  Assets:Cash  1000 EUR
  Equity:In
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 EUR}
  Assets:Cash
"""
    rates = {date(2004, 1, 5): D("1.25"), date(2005, 1, 5): D("1.50")}
    rows = book(from_text(OPEN + ledger)).rows
    [lot] = hold(rows, date(2005, 1, 5), "USD", lambda currency, on: rates[on]).lots
    assert lot.cost_base == 1250  # 1500 at today's rate


def test_a_missing_rate_is_not_one() -> None:
    ledger = """
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 EUR}
  Equity:In
"""
    made = single(OPEN + ledger, {"2004-01-05": "10", "2004-01-06": "11"}, {}, base="CAD", currency="EUR")
    history = build(made.booked.rows, made.market)
    assert history.nav == ()
    assert "EUR/CAD" in history.gaps[0].reason
    [lot] = hold(made.booked.rows, date(2004, 1, 6), "CAD", lambda currency, on: None).lots
    assert lot.cost_base is None


def test_a_dividend_is_converted_on_its_pay_date() -> None:
    # 100 EUR owed from the 6th at 1.20, paid on the 8th at 1.50 and at once exchanged at that rate.
    ledger = """
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 EUR}
  Equity:In
2004-01-08 * "dividend"
  ex_date: 2004-01-06
  Assets:Cash              100 EUR
  Income:Dividends:SYN-A  -100 EUR
2004-01-08 * "exchange"
  Assets:Cash  -100 EUR @ 1.50 USD
  Assets:Cash   150 USD
"""
    closes = {"2004-01-05": "10", "2004-01-06": "9", "2004-01-07": "9", "2004-01-08": "9"}
    fx = {"2004-01-05": "1.20", "2004-01-06": "1.20", "2004-01-07": "1.40", "2004-01-08": "1.50"}
    made = single(OPEN + ledger, closes, fx, base="USD", currency="EUR")
    history = build(made.booked.rows, made.market)
    # Share 1000 EUR; ex-date 900 + 100 owed; then only the rate moves.
    assert history.nav == (D("1200"), D("1200"), D("1400"), D("1500"))


@pytest.mark.parametrize("ratio", ["2", "3/2", "1/10", "1.05"])
def test_a_split_changes_neither_value_nor_history(ratio: str) -> None:
    top, _, bottom = ratio.partition("/")
    factor = Decimal(top) / Decimal(bottom or 1)
    ledger = f"""
2004-01-05 * "money"
  Assets:Cash  1000 USD
  Equity:In
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {{10 USD}}
  Assets:Cash
2004-01-07 custom "split" "SYN-A" {ratio}
"""
    after = {"2004-01-07": str(D("11") / factor), "2004-01-08": str(D("12") / factor)}
    closes = {"2004-01-05": "10", "2004-01-06": "11", **after}
    assert twr_of(ledger, closes) == pytest.approx(0.2, abs=1e-9)
    made = single(OPEN + ledger, closes)
    [lot] = made.booked.positions(date(2004, 1, 8)).lots
    assert (lot.qty, lot.cost, lot.acquired) == (100 * factor, 1000, date(2004, 1, 5))


def test_a_missing_price_is_a_gap_and_no_total_loss() -> None:
    ledger = """
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 USD}
  Equity:In
"""
    booked = book(from_text(OPEN + ledger))
    days = [date(2004, 1, 5), date(2004, 1, 20), date(2004, 1, 21)]
    prices = [(days[0], "SYN-A", D(10), "USD"), (days[2], "SYN-A", D(11), "USD")]
    history = build(booked.rows, align("USD", prices, [], dates=days))
    assert history.dates == (days[0], days[2])
    assert [(gap.on, gap.reason) for gap in history.gaps] == [(days[1], "no price for SYN-A")]
    assert compute_twr(history).twr == pytest.approx(0.1, abs=1e-12)  # −100% and +∞ are nowhere


def test_every_realised_gain_names_its_lot() -> None:
    ledger = """
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 USD}
  Equity:In
2004-01-06 * "buy"
  Assets:Stock  100 SYN-A {12 USD}
  Equity:In
2004-02-02 * "sell"
  Assets:Stock  -150 SYN-A {} @ 20 USD
  Assets:Cash   3000 USD
  Income:Gains
"""
    rows = book(from_text(OPEN + ledger)).rows
    sold = [(row.acquired, row.qty, row.amount, row.gain) for row in rows if row.gain is not None]
    assert sold == [(date(2004, 1, 5), -100, -1000, 1000), (date(2004, 1, 6), -50, -600, 400)]
    opened = {row.lot for row in rows if row.kind == "lot" and row.gain is None}
    assert {row.lot for row in rows if row.gain is not None} <= opened
