"""Currency attribution: by hand, and that it always sums to the return made from NAV alone."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.attribution import COSTS, attribute
from analytics.causes import split_gain
from analytics.gains import gain_of
from analytics.history import build
from analytics.leftovers import UNPRICED
from analytics.market import align
from analytics.returns import compute_twr
from ledger.booking import book
from ledger.sources import from_text
from tests.analytics.worlds import OPEN, everything, single


def test_one_day_by_hand() -> None:
    # Base CAD; half in a euro share up 10%, half in euro cash; the euro up 5%.
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Cash  200 EUR\n  Equity:In\n'
        '2004-01-01 * "buy"\n  Assets:Stock  10 SYN-A {10 EUR}\n  Assets:Cash\n'
    )
    world = single(
        text,
        {"2004-01-01": "10", "2004-01-02": "11"},
        {"2004-01-01": "1.60", "2004-01-02": "1.68"},
        base="CAD",
        currency="EUR",
    )
    history = build(world.booked.rows, world.market)
    found = attribute(history, compute_twr(history))
    assert found.total is not None
    assert found.total.local == pytest.approx(0.5 * 0.10)
    assert found.total.fx == pytest.approx(0.05)
    assert found.total.interaction == pytest.approx(0.5 * 0.10 * 0.05)
    assert found.total.trading == pytest.approx(0)
    share, cash = found.by_position
    assert (share.name, share.fx, share.weight) == ("SYN-A", pytest.approx(0.025), 0.5)
    assert (cash.name, cash.local, cash.fx) == ("cash:EUR", 0.0, pytest.approx(0.025))
    assert [row.name for row in found.by_currency] == ["EUR"]
    assert set(found.as_json()) >= {
        "local_return",
        "fx_return",
        "interaction",
        "trading",
        "total",
        "residual_bp",
    }


def test_trading_is_trade_price_against_close_less_fees() -> None:
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Cash  1000 USD\n  Equity:In\n'
        '2004-01-02 * "buy at 9, close at 10"\n  Assets:Stock  50 SYN-A {9 USD}\n'
        "  Expenses:Fees  5 USD\n  Assets:Cash\n"
    )
    world = single(text, {"2004-01-01": "9", "2004-01-02": "10", "2004-01-05": "10"})
    history = build(world.booked.rows, world.market)
    found = attribute(history, compute_twr(history))
    by_name = {row.name: row for row in found.by_position}
    assert by_name["SYN-A"].trading == pytest.approx(0.05)
    assert by_name[COSTS].trading == pytest.approx(-0.005)
    assert found.total is not None
    assert found.total.total == pytest.approx(0.045)


def test_what_a_spin_off_brings_is_no_cost() -> None:
    # 10 SYN-A at 100 close at 82 beside 5 SYN-B at 38: 1,000 → 1,010, of which 5 went for a fee of the same day.
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Stock  10 SYN-A {100 USD}\n  Equity:In\n'
        '2004-01-02 * "spin-off"\n  Assets:Stock  -10 SYN-A {100 USD}\n'
        "  Assets:Stock  10 SYN-A {80 USD, 2004-01-01}\n  Assets:Other  5 SYN-B {40 USD, 2004-01-01}\n"
        '2004-01-02 * "buy at the close"\n  Assets:Stock  1 SYN-A {82 USD}\n  Expenses:Fees  5 USD\n  Assets:Cash\n'
    )
    booked = book(from_text(text))
    days = [date(2004, 1, 1), date(2004, 1, 2), date(2004, 1, 5)]
    closes = [("SYN-A", days[0], 100), *(("SYN-A", on, 82) for on in days[1:]), *(("SYN-B", on, 38) for on in days[1:])]
    history = build(booked.rows, align("USD", [(on, name, Decimal(at), "USD") for name, on, at in closes], []))
    found = attribute(history, compute_twr(history))
    effects = {row.name: (row.local, row.trading) for row in found.by_position if row.total}
    assert effects == {
        "SYN-A": (pytest.approx(-0.18), pytest.approx(0)),
        UNPRICED: (0.0, pytest.approx(0.19)),
        COSTS: (0.0, pytest.approx(-0.005)),
    }
    assert found.twr == pytest.approx(0.005) and found.total is not None
    assert found.total.total == pytest.approx(0.005, abs=1e-12)
    # The gain in money calls it the same.
    assert {row.name: row.realised for row in split_gain(history, booked.rows).rows}[UNPRICED] == 190


def test_what_several_lots_of_one_security_brought_together_is_its_own() -> None:
    # 5 at 10 and 5 at 12, worth 110, go for 150 less a fee of 1; the close of 14 counts them 140.
    text = OPEN + (
        '2004-01-05 * "two lots"\n  Assets:Stock  5 SYN-A {10 USD}\n  Assets:Stock  5 SYN-A {12 USD}\n  Equity:In\n'
        '2004-01-06 * "both"\n  Assets:Stock  -5 SYN-A {10 USD}\n  Assets:Stock  -5 SYN-A {12 USD}\n'
        "  Expenses:Fees  1 USD\n  Assets:Cash  149 USD\n  Income:Gains\n"
    )
    world = single(text, {"2004-01-05": "11", "2004-01-06": "14"})
    history = build(world.booked.rows, world.market)
    share, costs = attribute(history, compute_twr(history)).by_position
    assert (share.name, share.local, share.trading) == ("SYN-A", pytest.approx(30 / 110), pytest.approx(10 / 110))
    assert (costs.name, costs.trading) == (COSTS, pytest.approx(-1 / 110))
    gain = gain_of(history, "SYN-A")
    assert gain is not None and (gain.price, gain.trading, gain.total) == (30, 10, 40)
    assert gain.invested == 110 - 150


def test_a_dividend_is_local_return_on_its_ex_date_and_a_split_is_nothing() -> None:
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Stock  10 SYN-A {10 USD}\n  Equity:In\n'
        '2004-01-02 custom "split" "SYN-A" 2\n'
        '2004-01-09 * "dividend"\n  ex_date: 2004-01-05\n  Assets:Cash  4 USD\n'
        "  Income:Dividends:SYN-A\n"
    )
    closes = {"2004-01-01": "10", "2004-01-02": "5", "2004-01-05": "4.8", "2004-01-09": "4.8"}
    world = single(text, closes)
    history = build(world.booked.rows, world.market)
    result = compute_twr(history)
    assert list(result.returns[1:]) == [pytest.approx(0)] * 3
    found = attribute(history, result)
    share, owed = found.by_position
    assert (share.name, share.local, share.trading) == ("SYN-A", pytest.approx(0), pytest.approx(0))
    assert (owed.name, owed.weight > 0, owed.total) == ("cash:USD", True, 0.0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), flows=st.booleans())
def test_effects_sum_to_the_return(seed: int, flows: bool) -> None:
    world = everything(seed, 40, flows=flows)
    history = build(world.booked.rows, world.market)
    for timing in ("end_of_day", "start_of_day"):
        result = compute_twr(history, timing)
        if result.twr is None or result.restarts:
            continue
        found = attribute(history, result)
        assert found.residual_bp is not None
        assert found.residual_bp < 1e-6
        assert found.total is not None
        assert found.total.total == pytest.approx(result.twr, abs=1e-10)
        for rows in (found.by_position, found.by_currency):
            assert sum(row.total for row in rows) == pytest.approx(result.twr, abs=1e-10)


def test_a_later_start_attributes_only_from_there() -> None:
    world = everything(7, 60)
    history = build(world.booked.rows, world.market)
    result = compute_twr(history)
    start = history.dates[30]
    found = attribute(history, result, start=start)
    assert found.start == start
    assert found.n_obs == len(history.dates) - 31
    assert found.twr == pytest.approx(float(result.index[-1] / result.index[30]) - 1)


def test_linking_agrees_with_the_definition() -> None:
    # Carino (1999): k_t = ln(1+R_t)/R_t, K = ln(1+R)/R, written out for the totals.
    world = everything(11, 50)
    history = build(world.booked.rows, world.market)
    result = compute_twr(history)
    whole = attribute(history, result).total
    assert whole is not None
    assert result.twr is not None
    daily = result.returns[1:]
    linked = np.log1p(daily) / daily
    big = np.log1p(result.twr) / result.twr
    fx = []
    for at in range(1, len(history.dates)):
        value = history.before[at] * history.price[at - 1]
        moved = history.fx[at] - history.fx[at - 1]
        own = history.symbol_currency
        effect = (value * moved[own]).sum() + (history.money[at - 1] * moved).sum()
        fx.append(effect / float(history.nav[at - 1]))
    assert whole.fx == pytest.approx(float((np.array(fx) * linked).sum() / big), rel=1e-9)


def test_without_a_rate_on_the_day_money_went_the_effects_are_unknown() -> None:
    # The last rate is fifteen days old when the euros are exchanged at 1.25: what is their rise, what the exchange?
    text = OPEN + (
        '2004-01-05 * "in"\n  Assets:Cash  1000 EUR\n  Equity:In\n'
        '2004-01-20 * "exchange"\n  Assets:Cash  -1000 EUR @ 1.25 USD\n  Assets:Cash  1250 USD\n'
    )
    world = single(text, {"2004-01-05": "1", "2004-01-20": "1"}, {"2004-01-05": "1.20"})
    history = build(world.booked.rows, world.market)
    twr = compute_twr(history)
    assert twr.twr == pytest.approx(0.05 / 1.20)
    found = attribute(history, twr)
    assert (found.total, found.by_position) == (None, ())
    assert found.reason == "no EUR/USD rate on 2004-01-20, when EUR were moved"


def test_decimal_money_is_untouched() -> None:
    world = everything(3, 30)
    history = build(world.booked.rows, world.market)
    assert all(isinstance(value, Decimal) for value in (*history.nav, *history.flow))
