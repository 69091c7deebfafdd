"""Holdings and their value: trade-date cost, weights, missing and stale prices, shorts."""

import json
from datetime import date
from decimal import Decimal

import pytest

from analytics.fx import Rate
from analytics.holdings import Holdings, hold
from analytics.valuation import Quote, Valuation, value
from ledger.booking import book
from ledger.sources import from_text

D = Decimal
DAY = date(2004, 6, 30)
TEXT = """
2004-01-01 open Assets:Stock {method}
2004-01-01 open Assets:Cash
2004-01-01 open Equity:In
2004-01-01 open Income:Gains
2004-01-01 open Income:Dividends:SYN-A
2004-01-02 * "in"
  Assets:Cash  10000 USD
  Equity:In
2004-01-02 * "buy"
  Assets:Stock  100 SYN-A {{10 USD}}
  Assets:Cash
2004-02-02 * "buy"
  Assets:Stock  100 SYN-A {{20 USD}}
  Assets:Cash
2004-03-01 * "sell half"
  Assets:Stock  -100 SYN-A {{}} @ 25 USD
  Assets:Cash  2500 USD
  Income:Gains
2004-04-01 custom "split" "SYN-A" 2
2004-05-03 * "short"
  Assets:Stock  -10 SYN-B {{50 USD}}
  Assets:Cash
2004-07-05 * "dividend"
  ex_date: 2004-06-28
  Assets:Cash  30 USD
  Income:Dividends:SYN-A
"""
TRADE_DAY_FX = {date(2004, 1, 2): D("1.30"), date(2004, 2, 2): D("1.40"), date(2004, 5, 3): D("1.5")}


def held(method: str = "FIFO") -> Holdings:
    booked = book(from_text(TEXT.format(method=f'"{method}"')))
    return hold(booked.rows, DAY, "CAD", lambda _, on: TRADE_DAY_FX.get(on))


def valued(holdings: Holdings, **quotes: Quote | None) -> Valuation:
    given = {
        "SYN-A": Quote(D(12), "USD", DAY),
        "SYN-B": Quote(D(60), "USD", DAY),
    } | {name.replace("_", "-"): quote for name, quote in quotes.items()}
    known = {name: quote for name, quote in given.items() if quote is not None}
    return value(holdings, known, {"USD": Rate(D("1.35"), 0)}.get)


@pytest.mark.parametrize(
    ("method", "local", "base"),
    # FIFO leaves the second purchase: 2,000 at 1.40. The average leaves half of both:
    # 1,500, and (1,000 × 1.30 + 2,000 × 1.40) / 2 in base.
    [("FIFO", "2000", "2800"), ("LIFO", "1000", "1300"), ("AVERAGE", "1500", "2050")],
)
def test_base_cost_is_at_trade_date_rates(method: str, local: str, base: str) -> None:
    lot = held(method).lots[0]
    assert (lot.qty, lot.cost_local, lot.cost_base) == (200, D(local), D(base))


def test_values_weights_and_the_sum() -> None:
    found = valued(held())
    long, short = found.positions
    assert (long.value_local, long.value_base) == (2400, D("3240"))
    assert (short.value_base, short.cost_base, short.unrealized_pl) == (-810, -750, -60)
    assert short.gain_ratio == pytest.approx(-60 / 750)
    cash = D(10000) - 1000 - 2000 + 2500 + 500
    assert found.cash_value == (cash + 30) * D("1.35")
    assert found.total_value == 3240 - 810 + (cash + 30) * D("1.35")
    assert found.total_cost is not None
    assert found.total_value - found.total_cost == found.unrealized_pl == 440 - 60
    weights = [item.weight for item in (*found.positions, *found.cash, *found.receivables)]
    assert sum(weight for weight in weights if weight is not None) == pytest.approx(1)
    assert found.receivables[0].pay_date == date(2004, 7, 5)


def test_a_missing_price_is_null_with_its_reason_never_zero() -> None:
    found = valued(held(), SYN_A=None)
    long, short = found.positions
    assert (long.value_base, long.status, long.reason) == (None, "missing", "no price for SYN-A in the pack")
    assert found.total_value is found.unrealized_pl is found.securities_value is None
    assert found.reason == "SYN-A: no price for SYN-A in the pack"
    assert short.value_base == -810
    assert short.weight is None
    assert found.as_json()["positions"][0]["value_base"] is None


def test_an_old_price_is_stale_then_missing() -> None:
    stale = valued(held(), SYN_A=Quote(D(12), "USD", date(2004, 6, 25))).positions[0]
    assert (stale.status, stale.price_age_days, stale.value_base) == ("stale", 5, 3240)
    assert stale.reason == "the price is 5 days old, the rate of the same day"
    gone = valued(held(), SYN_A=Quote(D(12), "USD", date(2004, 6, 24))).positions[0]
    assert (gone.status, gone.value_base) == ("missing", None)
    assert "6 days old" in gone.reason


def test_an_old_rate_does_not_read_like_a_price_of_zero() -> None:
    quotes = {"SYN-A": Quote(D(12), "USD", DAY), "SYN-B": Quote(D(7), "CAD", date(2004, 6, 29))}
    found = value(held(), quotes, lambda currency: Rate(D(1), 0 if currency == "CAD" else 3))
    reasons = {item.symbol: item.reason for item in found.positions}
    assert reasons == {
        "SYN-A": "the price is of the same day, the rate 3 days old",
        "SYN-B": "the price is 1 day old",
    }


def test_a_missing_rate_is_never_one() -> None:
    found = valued(held(), SYN_A=Quote(D(12), "GBP", DAY)).positions[0]
    assert (found.value_local, found.value_base, found.fx) == (2400, None, None)
    assert found.reason == "no GBP/CAD rate in the pack"
    booked = book(from_text(TEXT.format(method="")))
    unknown = hold(booked.rows, DAY, "CAD", lambda _currency, _on: None)
    assert unknown.lots[0].cost_base is None
    assert unknown.warnings[0] == "no USD/CAD rate on 2004-01-02: base cost of SYN-A unknown"


def test_pence_are_divided() -> None:
    found = value(held(), {"SYN-A": Quote(D(1200), "GBX", DAY)}, lambda _: Rate(D(2), 0))
    assert (found.positions[0].price, found.positions[0].price_currency) == (12, "GBP")


def test_holdings_survive_json() -> None:
    holdings = held()
    again = Holdings.from_json(json.loads(json.dumps(holdings.as_json())))
    assert again == holdings
