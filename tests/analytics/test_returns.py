"""Time-weighted return: published examples, an exact twin, independent libraries, edge cases."""

from datetime import date
from decimal import Decimal, localcontext

import empyrical
import numpy as np
import pytest

from analytics.attribution import attribute
from analytics.drawdown import max_drawdown
from analytics.history import build
from analytics.months import monthly
from analytics.numbers import CONTEXT
from analytics.returns import NotReconciled, Period, compute_twr, reconcile
from tests.analytics.worlds import OPEN, World, everything, single

D = Decimal


def units(on: str, qty: int, price: str) -> str:
    """A deposit (or withdrawal) in kind at the close."""
    return f'{on} * "in kind"\n  Assets:Stock  {qty} SYN-A {{{price} USD}}\n  Equity:In\n'


@pytest.mark.parametrize(
    ("flow", "end", "expected"),
    [("100000", "1192328", 0.0979), ("-100000", "1003440", 0.0979)],
)
def test_investopedia_time_weighted_return(flow: str, end: str, expected: float) -> None:
    # Investopedia, "Time-Weighted Rate of Return": 1,000,000 grows to 1,162,484 by 15 August,
    # investor 1 adds and investor 2 takes out 100,000; both return 9.79% although they end with
    # 1,192,328 and 1,003,440.
    # One unit is worth the manager's index, cash flows buy and sell units.
    after = D("1162484") + D(flow)
    last = D(end) / (after / D("1162484"))
    text = OPEN + (
        '2003-12-31 * "in"\n  Assets:Stock  1 SYN-A {1000000 USD}\n  Equity:In\n'
        f'2004-08-15 * "flow"\n  Assets:Stock  {D(flow) / D("1162484")} SYN-A'
        " {1162484 USD}\n  Equity:In\n"
    )
    if flow.startswith("-"):
        text = text.replace(
            "{1162484 USD}\n  Equity:In", f"{{}} @ 1162484 USD\n  Equity:In  {-D(flow)} USD\n  Income:Gains"
        )
    world = single(text, {"2003-12-31": "1000000", "2004-08-15": "1162484", "2004-12-31": str(last)})
    result = compute_twr(build(world.booked.rows, world.market))
    assert result.twr == pytest.approx(expected, abs=5e-5)
    assert result.nav[-1] == pytest.approx(D(end), abs=D("0.01"))


def test_flow_timing_changes_the_return() -> None:
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Cash  100 USD\n  Equity:In\n'
        '2004-01-02 * "buy"\n  Assets:Stock  10 SYN-A {10 USD}\n  Assets:Cash\n'
        '2004-01-05 * "in"\n  Assets:Cash  50 USD\n  Equity:In\n'
    )
    world = single(text, {"2004-01-02": "10", "2004-01-05": "11", "2004-01-06": "11"})
    history = build(world.booked.rows, world.market)
    assert compute_twr(history).twr == pytest.approx((160 - 50) / 100 - 1)
    started = compute_twr(history, "start_of_day")
    assert started.twr == pytest.approx(160 / 150 - 1)
    assert attribute(history, started).residual_bp == pytest.approx(0, abs=1e-6)


def twin(world: World) -> tuple[list[Decimal], list[Decimal]]:
    """Return NAV and index computed day by day in Decimal, straight from positions."""
    nav: list[Decimal] = []
    index = [D(1)]
    rate = {name: dict(zip(world.market.dates, row, strict=True)) for name, row in world.market.fx.items()}
    with localcontext(CONTEXT):
        previous = None
        for at, on in enumerate(world.market.dates):
            held = world.booked.positions(on)
            total = D(0)
            for symbol, qty in held.quantities().items():
                series = world.market.prices[symbol]
                close = series.closes[at]
                assert close is not None
                seen = world.market.dates[series.observed[at]]
                for row in world.booked.rows:
                    if row.kind == "split" and row.symbol == symbol and seen < row.on <= on:
                        close = close / D(2)
                        break
                fx = rate[series.currency][on]
                assert fx is not None
                total += qty * close * fx
            for currency, amount in held.cash.items():
                fx = rate[currency][on]
                assert fx is not None
                total += amount * fx
            for owed in held.receivables:
                fx = rate[owed.currency][on]
                assert fx is not None
                total += owed.amount * fx
            if previous is not None:
                last = world.market.dates[at - 1]
                flow = D(0)
                for row in world.booked.rows:
                    if row.kind == "external" and last < row.on <= on:
                        fx = rate[row.currency][on]
                        assert fx is not None
                        flow += row.amount * fx
                index.append(index[-1] * (total - flow) / previous)
            nav.append(total)
            previous = total
    return nav, index


@pytest.mark.parametrize("seed", range(6))
def test_floats_agree_with_a_decimal_twin(seed: int) -> None:
    world = everything(seed)
    result = compute_twr(build(world.booked.rows, world.market))
    nav, index = twin(world)
    assert [round(float(value), 6) for value in result.nav] == [round(float(value), 6) for value in nav]
    assert np.allclose(result.index, [float(value) for value in index], rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_index_and_drawdown_agree_with_empyrical(seed: int) -> None:
    world = everything(seed, 120)
    result = compute_twr(build(world.booked.rows, world.market))
    returns = result.returns[1:]
    assert result.twr == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-12)
    assert result.drawdown.depth == pytest.approx(empyrical.max_drawdown(returns), rel=1e-12)


def test_periods_start_at_the_last_close_before_them() -> None:
    closes = {
        "2003-11-28": "100",
        "2003-12-31": "110",
        "2004-03-31": "121",
        "2004-04-30": "110",
        "2004-05-14": "132",
    }
    world = single(OPEN + units("2003-11-28", 1, "100"), closes)
    result = compute_twr(build(world.booked.rows, world.market))
    found = {period.name: period for period in result.periods}
    assert found["MTD"].value == pytest.approx(0.2)
    assert found["QTD"].value == pytest.approx(132 / 121 - 1)
    assert found["YTD"].value == pytest.approx(0.2)
    assert found["ITD"].value == pytest.approx(0.32)
    assert found["1Y"].value is None
    assert found["1Y"].reason == "history starts on 2003-11-28, after 2003-05-14"
    assert result.annualised is None
    assert "less than one year: not annualised" in result.warnings


def test_a_period_is_not_measured_from_a_close_more_than_six_days_before_it() -> None:
    def periods(closes: dict[str, str]) -> dict[str, Period]:
        world = single(OPEN + units("2018-12-31", 10, "100"), closes)
        return {each.name: each for each in compute_twr(build(world.booked.rows, world.market)).periods}

    # Yearly closes know the year, 110 → 132, and nothing of its last quarter and month.
    found = periods({"2018-12-31": "100", "2019-12-31": "110", "2020-12-31": "132"})
    for name in ("YTD", "1Y"):
        assert found[name].value == pytest.approx(0.2) and found[name].start == date(2019, 12, 31)
    assert (found["MTD"].value, found["MTD"].start) == (None, None)
    assert found["MTD"].reason == "no value near 2020-11-30: the last before it is of 2019-12-31"
    assert found["QTD"].reason == "no value near 2020-09-30: the last before it is of 2019-12-31"
    assert found["ITD"].value == pytest.approx(0.32)
    # 2 January is two months before March began; the year before 16 March 2020 would have 441 days.
    found = periods({"2018-12-31": "100", "2020-01-02": "110", "2020-03-16": "132"})
    assert [found[name].value for name in ("MTD", "QTD", "YTD", "1Y")] == [None] * 4
    assert found["1Y"].reason == "no value near 2019-03-16: the last before it is of 2018-12-31"
    # Six days before 29 February is near enough, a week is not.
    for day, value in ((23, 0.2), (22, None)):
        month = periods({"2018-12-31": "100", f"2020-02-{day}": "110", "2020-03-16": "132"})["MTD"]
        assert month.value == (value and pytest.approx(value))


def test_a_full_year_is_annualised() -> None:
    world = single(OPEN + units("2003-01-01", 1, "100"), {"2003-01-01": "100", "2004-12-31": "121"})
    result = compute_twr(build(world.booked.rows, world.market))
    assert result.annualised == pytest.approx(1.21 ** (365 / 730) - 1)
    assert dict((p.name, p.value) for p in result.periods)["ITD"] == pytest.approx(0.21)


def test_a_day_without_a_price_has_no_value_and_nothing_is_invented() -> None:
    closes = {"2004-01-01": "100", "2004-02-02": "110", "2004-02-03": "121"}
    world = single(OPEN + units("2004-01-01", 1, "100"), closes)
    gap = date(2004, 1, 20)
    from analytics.market import align

    market = align("USD", world.prices, [], dates=sorted([*world.market.dates, gap]))
    history = build(world.booked.rows, market)
    assert [(item.on, item.reason) for item in history.gaps] == [(gap, "no price for SYN-A")]
    assert gap not in history.dates
    result = compute_twr(history)
    assert result.twr == pytest.approx(0.21)
    assert any("1 day(s) without a value, first 2004-01-20" in text for text in result.warnings)
    assert result.as_json()["gaps"] == [{"date": "2004-01-20", "reason": "no price for SYN-A"}]


def test_flows_keep_their_own_day_rate_and_close() -> None:
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Cash  100 EUR\n  Equity:In\n'
        '2004-01-01 * "in kind"\n  Assets:Stock  10 SYN-A {10 USD}\n  Equity:In\n'
        # Saturday: Friday's rate 1.2 holds, not Monday's; the split of Saturday makes Friday's 12 a 6.
        '2004-01-03 * "in"\n  Assets:Cash  50 EUR\n  Equity:In\n'
        '2004-01-03 custom "split" "SYN-A" 2\n'
        '2004-01-03 * "out in kind"\n  Assets:Stock  -4 SYN-A {}\n  Equity:In\n'
    )
    closes = {"2004-01-01": "10", "2004-01-02": "12", "2004-01-05": "7"}
    world = single(text, closes, {"2004-01-01": "1.1", "2004-01-02": "1.2", "2004-01-05": "1.3"})
    history = build(world.booked.rows, world.market)
    assert [(flow.on.day, flow.amount) for flow in history.flows[2:]] == [(3, D(60)), (3, D(-24))]
    assert history.flow[2] == 50 * D("1.3") - 4 * 7 and history.flow_between == (date(2004, 1, 3),)
    # Ten days after the last close there is no price to count what goes in kind at.
    late = text + '2004-01-15 * "out in kind"\n  Assets:Stock  -4 SYN-A {}\n  Equity:In\n'
    world = single(late, {**closes, "2004-01-20": "7"}, {"2004-01-15": "1.3", "2004-01-20": "1.3"})
    [*_, last] = build(world.booked.rows, world.market).flows
    assert last.amount is None and "no price on 2004-01-15 for SYN-A" in last.reason


def test_missing_fx_is_never_one() -> None:
    text = OPEN + '2004-01-01 * "in"\n  Assets:Cash  100 EUR\n  Equity:In\n'
    world = single(text, {"2004-01-01": "1", "2004-01-02": "1"}, base="USD")
    history = build(world.booked.rows, world.market)
    assert history.dates == ()
    assert "no EUR/USD rate" in history.gaps[0].reason
    result = compute_twr(history)
    assert result.twr is None and "no EUR/USD rate" in result.reason
    assert attribute(history, result).total is None


def test_a_worthless_portfolio_stops_the_index_and_money_restarts_it() -> None:
    text = OPEN + (
        '2004-01-01 * "in"\n  Assets:Cash  100 USD\n  Equity:In\n'
        '2004-01-02 * "out"\n  Assets:Cash  -100 USD\n  Equity:In\n'
        + '2004-01-06 * "in"\n  Assets:Stock  10 SYN-A {10 USD}\n  Equity:In\n'
    )
    closes = {f"2004-01-0{day}": price for day, price in zip("1234567", "9999", strict=False)}
    closes |= {"2004-01-05": "9", "2004-01-06": "10", "2004-01-07": "11"}
    world = single(text, closes)
    result = compute_twr(build(world.booked.rows, world.market))
    assert result.restarts == (date(2004, 1, 6),)
    assert result.twr == pytest.approx(0.1)
    assert list(result.index[-2:]) == [1.0, pytest.approx(1.1)]
    assert "the value was not above zero on 2004-01-05: the return index restarts on 2004-01-06" in result.warnings
    assert len(result.as_json()["series"]["drawdown"]) == len(result.dates)


def test_no_period_is_measured_from_a_day_without_a_value_above_zero() -> None:
    text = OPEN + units("2003-11-03", -10, "10")
    text += '2003-11-03 * "in"\n  Assets:Cash  150 USD\n  Equity:In\n'
    closes = {"2003-11-03": "10", "2003-11-28": "12", "2003-12-31": "16", "2004-01-05": "16", "2004-01-06": "15"}
    result = compute_twr(build((world := single(text, closes)).booked.rows, world.market))
    periods = {period.name: period for period in result.periods}
    # 50 in November fell to 30 and in December to −10: nothing is measured from there.
    assert result.twr == -1.0 and result.annualised is None and result.drawdown.depth == -1.0
    assert "more than everything was lost on 2003-12-31 (133.33% of the value): the return is -100%" in " ".join(
        result.warnings
    )
    for name in ("MTD", "QTD", "YTD"):
        assert periods[name].value is None and periods[name].reason == "everything was lost by 2003-12-31"
    assert attribute(build(world.booked.rows, world.market), result).reason.startswith(
        "everything was lost on 2003-12-31"
    )


def test_money_that_came_in_on_the_day_all_was_lost_starts_the_next_return() -> None:
    text = OPEN + units("2004-01-01", -10, "10")
    text += '2004-01-01 * "in"\n  Assets:Cash  150 USD\n  Equity:In\n'
    text += '2004-01-02 * "in"\n  Assets:Cash  110 USD\n  Equity:In\n'
    world = single(text, {"2004-01-01": "10", "2004-01-02": "16", "2004-01-05": "15", "2004-01-06": "14"})
    history = build(world.booked.rows, world.market)
    result = compute_twr(history)
    # 100 after the deposit, then 110 and 120: the first day after the restart has a return of its own.
    assert result.twr == -1.0 and result.since_restart == pytest.approx(0.2)
    assert attribute(history, result).reason.startswith("everything was lost on 2004-01-02")
    total = attribute(history, result, start=date(2004, 1, 2)).total
    assert total is not None and total.total == pytest.approx(0.2)


def test_a_day_that_loses_more_than_everything_ends_the_measuring() -> None:
    # 1,000 in cash and 1,000 for a short of 100: 1,000, then 500; 5,000 are put in while the short costs 2,500.
    text = OPEN + units("2004-01-02", -100, "10")
    text += '2004-01-02 * "in"\n  Assets:Cash  2000 USD\n  Equity:In\n'
    text += '2004-01-06 * "margin call met"\n  Assets:Cash  5000 USD\n  Equity:In\n'
    closes = {"2004-01-02": "10", "2004-01-05": "15", "2004-01-06": "25", "2004-01-07": "25", "2004-01-08": "20"}
    world = single(text, closes)
    history = build(world.booked.rows, world.market)
    result = compute_twr(history)
    assert [int(value) for value in result.nav] == [1000, 500, 4500, 4500, 5000]
    assert result.index.tolist() == [1.0, 0.5, 0.0, 1.0, pytest.approx(5000 / 4500)]
    assert result.restarts == (date(2004, 1, 7),)
    lost = "more than everything was lost on 2004-01-06 (200.00% of the value)"
    assert result.restart_reasons == (lost,)
    assert f"{lost}: the return is -100% and measuring ends there" in result.warnings
    assert f"{lost}: the return index restarts on 2004-01-07" in result.warnings
    assert not any("not above zero" in text for text in result.warnings)
    # Since inception stays a total loss: 0.5 · 0 · anything.
    assert result.twr == result.drawdown.depth == result.drawdown.current == -1.0 and result.annualised is None
    assert (result.drawdown.peak, result.drawdown.trough) == (date(2004, 1, 2), date(2004, 1, 6))
    assert result.drawdown.recovery is None and result.origin == 0
    assert result.since_restart == pytest.approx(500 / 4500)
    assert (
        "figures since inception stay at -100%: since the restart on 2004-01-07 the return is 11.11%" in result.warnings
    )
    assert result.as_json()["series"]["drawdown"] == [0.0, -0.5, -1.0, 0.0, 0.0]
    (month,) = monthly(result.dates, result.returns.tolist(), result.restarts)
    assert (month.value, month.whole) == (None, False)
    assert month.reason == "the return index restarts on 2004-01-07: nothing links the days before and after"
    # Up to the loss it is the whole of what was there.
    early = single(text, dict(list(closes.items())[:3]))
    fallen = compute_twr(build(early.booked.rows, early.market))
    assert fallen.twr == fallen.drawdown.depth == -1.0 and fallen.annualised is None
    assert [row.value for row in monthly(fallen.dates, fallen.returns.tolist(), fallen.restarts)] == [-1.0]


def test_a_loss_is_in_every_period_that_spans_it_and_in_none_that_begins_after() -> None:
    # 1,000 − 100·10 of a short, lost on 15 January; 100 put in on 2 February become 110 by 1 March, 121 by 2 March.
    text = OPEN + units("2003-12-01", -100, "10")
    text += '2003-12-01 * "in"\n  Assets:Cash  2000 USD\n  Equity:In\n'
    text += '2004-02-02 * "in"\n  Assets:Cash  600 USD\n  Equity:In\n'
    closes = {"2003-12-01": "10", "2003-12-31": "10", "2004-01-15": "25", "2004-02-02": "25"}
    closes |= {"2004-02-27": "25", "2004-03-01": "24.9", "2004-03-02": "24.79"}
    world = single(text, closes)
    result = compute_twr(build(world.booked.rows, world.market))
    assert [int(value) for value in result.nav] == [1000, 1000, -500, 100, 100, 110, 121]
    found = {period.name: period.value for period in result.periods}
    assert found["MTD"] == pytest.approx(0.21)
    assert found["QTD"] == found["YTD"] == found["ITD"] == -1.0 and found["1Y"] is None


def test_money_taken_out_and_put_in_again_starts_anew_but_hides_no_loss() -> None:
    # 100 → 110, all taken out; 200 come in later and become 180: −10% since then, and the answer says since when.
    text = OPEN + units("2004-01-01", 10, "10")
    text += '2004-01-02 * "out"\n  Assets:Stock  -10 SYN-A {}\n  Equity:In\n' + units("2004-01-06", 20, "10")
    closes = {"2004-01-01": "10", "2004-01-02": "11", "2004-01-05": "11", "2004-01-06": "10", "2004-01-07": "9"}
    world = single(text, closes)
    result = compute_twr(build(world.booked.rows, world.market))
    assert result.twr == result.since_restart == pytest.approx(-0.1) and result.drawdown.depth == pytest.approx(-0.1)
    assert result.dates[result.origin] == date(2004, 1, 6)
    assert "figures since inception count from 2004-01-06, when money came in again" in result.warnings
    # The same after a total loss: since inception it was lost.
    lost = OPEN + units("2004-01-01", -100, "10") + '2004-01-01 * "in"\n  Assets:Cash  1500 USD\n  Equity:In\n'
    lost += '2004-01-05 * "in"\n  Assets:Cash  2000 USD\n  Equity:In\n'
    lost += '2004-01-06 * "cover"\n  Assets:Stock  100 SYN-A {} @ 16 USD\n  Assets:Cash  -1600 USD\n  Income:Gains\n'
    lost += '2004-01-06 * "out"\n  Assets:Cash  -1900 USD\n  Equity:In\n'
    lost += units("2004-01-08", 1, "16")
    closes = dict.fromkeys(("2004-01-02", "2004-01-05", "2004-01-06", "2004-01-07", "2004-01-08", "2004-01-09"), "16")
    world = single(lost, {"2004-01-01": "10", **closes})
    result = compute_twr(build(world.booked.rows, world.market))
    assert len(result.restarts) == 2 and result.origin == 0
    assert result.twr == -1.0 and result.since_restart == 0.0


def test_two_days_in_a_row_that_lose_everything() -> None:
    text = OPEN + units("2004-01-02", -100, "10")
    text += '2004-01-02 * "in"\n  Assets:Cash  2000 USD\n  Equity:In\n'
    text += '2004-01-05 * "in"\n  Assets:Cash  1000 USD\n  Equity:In\n'
    text += '2004-01-06 * "in"\n  Assets:Cash  1000 USD\n  Equity:In\n'
    world = single(text, {"2004-01-02": "10", "2004-01-05": "25", "2004-01-06": "35", "2004-01-07": "34"})
    result = compute_twr(build(world.booked.rows, world.market))
    assert result.index.tolist() == [1.0, 0.0, 0.0, pytest.approx(600 / 500)]
    assert result.as_json()["series"]["drawdown"] == [0.0, -1.0, -1.0, 0.0]


def test_the_series_must_end_where_the_positions_are() -> None:
    world = single(OPEN + units("2004-01-01", 1, "100"), {"2004-01-01": "100", "2004-01-02": "101"})
    result = compute_twr(build(world.booked.rows, world.market))
    assert reconcile(result, D("101.01")) <= 1
    with pytest.raises(NotReconciled, match="the series ends at 101 USD on 2004-01-02"):
        reconcile(result, D("101.02"))


def test_drawdown_counts_a_loss_on_the_first_day() -> None:
    days = [date(2004, 1, day) for day in range(1, 6)]
    fallen = max_drawdown(days, np.array([1.0, 0.9, 0.8, 1.0, 1.1]))
    assert (fallen.depth, fallen.peak, fallen.trough, fallen.recovery) == (
        pytest.approx(-0.2),
        days[0],
        days[2],
        days[3],
    )
    open_still = max_drawdown(days, np.array([1.0, 1.2, 0.6, 0.9, 0.9]))
    assert open_still.recovery is None
    assert open_still.current == pytest.approx(-0.25)
    assert max_drawdown(days, np.array([1.0, 1.0, 1.1, 1.2, 1.2])).as_json()["depth"] == 0.0
