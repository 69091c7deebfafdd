"""Jumps of holdings: which are told, and which split they look like."""

from datetime import date

import pytest

from analytics.history import build
from analytics.jumps import Jump, unexplained_jumps
from tests.analytics.worlds import OPEN, single

OPENED = f"""{OPEN}
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


def jumps(close: str, ledger: str = BUY, after: str | None = None) -> tuple[Jump, ...]:
    closes = {"2020-01-02": "100", "2020-01-03": "100", "2020-01-06": close, "2020-01-07": after or close}
    found = single(OPENED + ledger, closes)
    return unexplained_jumps(build(found.booked.rows, found.market))


@pytest.mark.parametrize(
    ("close", "split"),
    [
        ("50", "2:1"),
        ("51", "2:1"),
        ("14.3", "7:1"),
        ("66.5", "3:2"),
        ("1000", "1:10"),
        ("204", "1:2"),
        ("75", "4:3"),
        ("76", "4:3"),
        ("8.4", "12:1"),
        ("1", "100:1"),
        ("9900", "1:100"),
        ("5.05", "20:1"),
        ("4.3", None),
        ("7.4", None),
        ("0.6", None),
        ("0.0002", None),
        ("0.00000025", None),
        ("2300", None),
        ("11", None),
        ("58", None),
        ("130", None),
        ("0", None),
    ],
)
def test_a_jump_names_the_split_it_looks_like(close: str, split: str | None) -> None:
    (jump,) = jumps(close)
    assert (jump.symbol, jump.on, jump.before_on, jump.split) == ("SYN-A", date(2020, 1, 6), date(2020, 1, 3), split)
    assert jump.change == pytest.approx(float(close) / 100 - 1)
    assert ("looks forgotten" in jump.said()) == (split is not None)


@pytest.mark.parametrize("close", ["77", "80", "125", "100"])
def test_a_quarter_is_no_jump(close: str) -> None:
    assert jumps(close) == ()


@pytest.mark.parametrize("reverse", [False, True])
def test_few_jumps_of_any_size_look_like_a_split(reverse: bool) -> None:
    ratios = [1.05**-at for at in range(36, 236)]
    named = [split for ratio in ratios if (split := jumps(f"{100 * (1 / ratio if reverse else ratio):.12f}")[0].split)]
    assert 0 < len(named) < 0.1 * len(ratios)


def test_prices_that_were_adjusted_for_a_booked_split_are_told() -> None:
    (adjusted,) = jumps("100", BUY + '2020-01-06 custom "split" "SYN-A" 2\n')
    assert (adjusted.change, adjusted.split) == (1.0, "1:2")
    assert "another unit" in jumps("1")[0].said()


def test_nothing_is_told_of_what_was_not_held_overnight() -> None:
    assert jumps("50", BUY + SELL) == ()
    assert jumps("50", "") == ()


def test_shorts_jump_too() -> None:
    short = BUY.replace("10 SYN-A {100 USD}", "-10 SYN-A {100 USD}")
    (jump,) = jumps("50", short)
    assert (jump.change, jump.split) == (-0.5, "2:1")


@pytest.mark.parametrize("day", ["2020-01-04", "2020-01-06"])
def test_a_booked_split_explains_it_also_on_a_weekend(day: str) -> None:
    assert jumps("50", BUY + f'{day} custom "split" "SYN-A" 2\n') == ()


def test_a_split_booked_with_another_ratio_or_on_another_day_is_told() -> None:
    (wrong,) = jumps("25", BUY + '2020-01-06 custom "split" "SYN-A" 2\n')
    assert (wrong.change, wrong.split) == (-0.5, "2:1")
    early, late = jumps("100", BUY + '2020-01-06 custom "split" "SYN-A" 2\n', after="50")
    assert (early.on.day, early.split, late.on.day, late.split) == (6, "1:2", 7, "2:1")
