"""Jumps of closes: which are told, and which split they look like."""

from datetime import date

import pytest

from analytics.jumps import unexplained_jumps
from tests.analytics.worlds import World, single

END = date(2020, 1, 31)
OPENED = """
2020-01-01 open Assets:Stock
2020-01-01 open Assets:Cash
2020-01-01 open Equity:In
2020-01-02 * "Deposit"
  Assets:Cash  1000 USD
  Equity:In
"""
BUY = """
2020-01-02 * "Buy"
  Assets:Stock  10 SYN-A {100 USD}
  Assets:Cash
"""
SELL = """
2020-01-03 * "Sell"
  Assets:Stock  -10 SYN-A {}
  Assets:Cash  1000 USD
  Equity:In
"""


def world(close: str, ledger: str = BUY) -> World:
    return single(OPENED + ledger, {"2020-01-02": "100", "2020-01-03": "100", "2020-01-06": close, "2020-01-07": close})


@pytest.mark.parametrize(
    ("close", "split"),
    [
        ("50", "2:1"),
        ("51", "2:1"),
        ("14.3", "7:1"),
        ("66.5", "3:2"),
        ("1000", "1:10"),
        ("204", "1:2"),
        ("58", None),
        ("130", None),
    ],
)
def test_a_jump_names_the_split_it_looks_like(close: str, split: str | None) -> None:
    found = world(close)
    (jump,) = unexplained_jumps(found.booked.rows, found.prices, END)
    assert (jump.symbol, jump.on, jump.before_on, jump.split) == ("SYN-A", date(2020, 1, 6), date(2020, 1, 3), split)
    assert jump.change == pytest.approx(float(close) / 100 - 1)
    assert ("looks forgotten" in jump.said()) == (split is not None)


@pytest.mark.parametrize("close", ["75", "125", "100"])
def test_a_quarter_is_no_jump(close: str) -> None:
    found = world(close)
    assert unexplained_jumps(found.booked.rows, found.prices, END) == ()


def test_nothing_is_told_of_what_was_not_held_overnight_or_comes_later() -> None:
    sold, never = world("50", BUY + SELL), world("50", "")
    assert unexplained_jumps(sold.booked.rows, sold.prices, END) == ()
    assert unexplained_jumps(never.booked.rows, never.prices, END) == ()
    held = world("50")
    assert unexplained_jumps(held.booked.rows, held.prices, date(2020, 1, 5)) == ()


@pytest.mark.parametrize("day", ["2020-01-04", "2020-01-06"])
def test_a_booked_split_explains_it_also_on_a_weekend(day: str) -> None:
    found = world("50", BUY + f'{day} custom "split" "SYN-A" 2\n')
    assert unexplained_jumps(found.booked.rows, found.prices, END) == ()


def test_another_currency_is_no_jump() -> None:
    found = world("50")
    prices = [*found.prices[:2], *((*row[:3], "EUR") for row in found.prices[2:])]
    assert unexplained_jumps(found.booked.rows, prices, END) == ()
