"""Risk figures against empyrical, an independent library, and their refusals."""

import random

import empyrical
import numpy as np
import pytest

from analytics.frequency import FREQUENCIES, observed
from analytics.history import build
from analytics.holding_returns import holding_returns
from analytics.risk import FIGURES, OBSERVATIONS_MIN, conventions, measure
from analytics.statistics import quantile
from tests.analytics.worlds import OPEN, single


def _series(seed: int, count: int = 500) -> tuple[list[float], list[float], list[float]]:
    dice = random.Random(seed)
    market = [dice.gauss(0.0004, 0.01) for _ in range(count)]
    own = [0.8 * each + dice.gauss(0.0001, 0.006) for each in market]
    return own, market, [0.0001] * count


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_agrees_with_empyrical(seed: int) -> None:
    own, market, free = _series(seed)
    found = measure(own, risk_free=free, benchmark=market)
    r, b = np.array(own), np.array(market)
    active = r - b
    assert found.volatility == pytest.approx(empyrical.annual_volatility(r))
    assert found.downside_deviation == pytest.approx(empyrical.downside_risk(r))
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(r, risk_free=0.0001))
    assert found.sortino == pytest.approx(empyrical.sortino_ratio(r))
    assert found.beta == pytest.approx(empyrical.beta(r, b))
    assert found.tracking_error == pytest.approx(empyrical.annual_volatility(active))
    assert found.information_ratio == pytest.approx(empyrical.excess_sharpe(r, b) * np.sqrt(252))
    assert found.value_at_risk == pytest.approx(empyrical.value_at_risk(r, 0.05))
    assert found.expected_shortfall == pytest.approx(empyrical.conditional_value_at_risk(r, 0.05))
    assert not found.reasons


def test_too_few_days_give_nothing() -> None:
    found = measure([0.01] * (OBSERVATIONS_MIN - 1))
    assert set(found.reasons) == set(FIGURES)
    assert all(getattr(found, name) is None for name in FIGURES)


def test_what_is_not_known_is_null_with_its_reason() -> None:
    own, market, free = _series(1, 100)
    found = measure(own, risk_free=[*free[:-1], None], benchmark=None, benchmark_reason="none given")
    assert found.sharpe is None and "on 1 of 100 days" in found.reasons["sharpe"]
    assert found.beta is None and found.reasons["beta"] == "none given"
    flat = measure([0.001] * 100, risk_free=free, benchmark=[0.0] * 100)
    assert flat.volatility == pytest.approx(0) and flat.sharpe is None and flat.sortino is None
    assert flat.beta is None and "does not vary" in flat.reasons["beta"]
    few = measure(own, benchmark=[None] * 95 + market[:5])
    assert few.beta is None and few.n_benchmark == 5


def test_quantile_interpolates_like_numpy() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0]
    for share in (0.0, 0.05, 0.3, 0.5, 1.0):
        assert quantile(values, share) == pytest.approx(np.percentile(values, share * 100))


DAILY, WEEKLY, MONTHLY, QUARTERLY = FREQUENCIES


@pytest.mark.parametrize(
    ("spans", "frequency"),
    [
        ([1, 1, 1, 1, 3] * 20, DAILY),
        ([1, 1, 1, 4, 1, 1, 1, 3] * 10 + [30], DAILY),  # Easter, and one long gap
        ([7] * 50 + [6, 8], WEEKLY),
        ([31, 28, 31, 30, 31, 30] * 4, MONTHLY),
        ([28, 28, 35, 28, 35, 28] * 4, MONTHLY),  # last Fridays
        ([90, 91, 92, 92] * 5, QUARTERLY),
    ],
)
def test_the_frequency_is_read_off_the_spans(spans: list[int], frequency: object) -> None:
    assert observed(spans) == (frequency, "")


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        ([14] * 30, "14 days apart in the middle"),
        ([2] * 30, "2 days apart in the middle"),
        ([365] * 30, "neither daily, weekly, monthly nor quarterly"),
        ([7] * 20 + [1] * 10, "weekly in the middle, but only 67% of the spans fit"),
        ([], "no returns"),
    ],
)
def test_what_is_irregular_has_no_frequency(spans: list[int], why: str) -> None:
    found, reason = observed(spans)
    assert found is None and why in reason


def test_weekly_returns_are_annualised_with_52_weeks() -> None:
    # 2% and −1% in turn: sd² = 20/19 · 1.5%², mean 0.5%, downside √(1%²/2); per year √52 and 52.
    found = measure([0.02, -0.01] * 10, risk_free=[0.001] * 20, frequency=WEEKLY)
    assert found.volatility == pytest.approx(0.015 * (20 / 19) ** 0.5 * 52**0.5)
    assert found.sharpe == pytest.approx(0.004 / (0.015 * (20 / 19) ** 0.5) * 52**0.5)
    assert found.sortino == pytest.approx(0.005 * 52 / (0.01 / 2**0.5 * 52**0.5))
    said = conventions(WEEKLY)
    assert said["volatility"] == "sd(r), n − 1, × √52" and "one week" in said["value_at_risk"]
    assert conventions()["volatility"] == "sd(r), n − 1, × √N"


def test_a_short_gains_what_its_security_loses() -> None:
    # 10 sold short at 100: owed 1,000, then 1,100, 990, and 500 after 2 a share were paid to who had lent them.
    text = OPEN + (
        '2004-01-02 * "in"\n  Assets:Cash  5000 USD\n  Equity:In\n'
        '2004-01-02 * "short"\n  Assets:Stock  -10 SYN-A {100 USD}\n  Assets:Cash  1000 USD\n'
        '2004-01-07 * "dividend"\n  Income:Dividends:SYN-A  20 USD\n  Assets:Cash  -20 USD\n'
    )
    closes = {"2004-01-02": "100", "2004-01-05": "110", "2004-01-06": "99", "2004-01-07": "50"}
    world = single(text, closes)
    found = holding_returns(build(world.booked.rows, world.market), "SYN-A")
    assert found is not None
    assert found.returns == pytest.approx((-100 / 1000, 110 / 1100, (990 - 500 - 20) / 990))
