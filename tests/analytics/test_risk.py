"""Risk figures against empyrical, an independent library, and their refusals."""

import random

import empyrical
import numpy as np
import pytest

from analytics.risk import CONVENTIONS, OBSERVATIONS_MIN, measure
from analytics.statistics import quantile


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
    assert set(found.reasons) == set(CONVENTIONS)
    assert all(getattr(found, name) is None for name in CONVENTIONS)


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
