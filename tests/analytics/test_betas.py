"""Market betas of single holdings: by hand, against numpy, splits, and the refusals."""

import random
from datetime import date
from decimal import Decimal as D

import numpy as np
import pytest

from analytics.betas import market_betas, monthly_price_returns
from analytics.factors import MONTHS_MIN
from analytics.regression import Singular, fit, row_weights
from tests.analytics.worlds import weekdays

MONTHS = [(2005 + at // 12, at % 12 + 1) for at in range(60)]


def _factors(seed: int) -> tuple[dict[tuple[int, int], tuple[float, ...]], dict[tuple[int, int], float]]:
    dice = random.Random(seed)
    factors = {key: tuple(dice.gauss(0.005, 0.04) for _ in range(3)) for key in MONTHS}
    return factors, {key: 0.002 for key in MONTHS}


def test_a_holding_that_moves_by_rule_has_the_rule_s_beta() -> None:
    # r = rf + 1.5·market − 0.5·size: the slope on the market is 1.5, whatever else is held.
    factors, free = _factors(1)
    own = {key: 0.002 + 1.5 * row[0] - 0.5 * row[1] for key, row in factors.items()}
    other = {key: 0.002 - 0.3 * row[0] for key, row in factors.items()}
    found = market_betas({"SYN-A": own, "SYN-B": other}, factors, free)
    assert found["SYN-A"].value == pytest.approx(1.5) and found["SYN-B"].value == pytest.approx(-0.3)
    assert found["SYN-A"].months == tuple(MONTHS)


@pytest.mark.parametrize("seed", range(3))
def test_numpy_and_the_full_regression_find_the_same(seed: int) -> None:
    factors, free = _factors(seed)
    dice = random.Random(seed + 10)
    own = {key: row[0] + dice.gauss(0, 0.03) for key, row in factors.items() if dice.random() > 0.2}
    found = market_betas({"SYN-A": own}, factors, free)["SYN-A"]
    x = [[1.0, *factors[key]] for key in own]
    y = [value - 0.002 for value in own.values()]
    assert found.value == pytest.approx(np.linalg.lstsq(np.array(x), np.array(y), rcond=None)[0][1], rel=1e-9)
    assert found.value == pytest.approx(fit(y, x).coefficients[1], rel=1e-12)


def test_too_few_months_and_factors_that_say_nothing_give_no_beta() -> None:
    factors, free = _factors(2)
    few = {key: 0.01 for key in MONTHS[: MONTHS_MIN - 1]}
    found = market_betas({"SYN-A": few}, factors, free)["SYN-A"]
    assert found.value is None and found.reason == f"{MONTHS_MIN - 1} whole months at hand, {MONTHS_MIN} needed"
    flat = {key: (0.01, 0.0, 0.0) for key in MONTHS}
    found = market_betas({"SYN-A": {key: 0.01 for key in MONTHS}}, flat, free)["SYN-A"]
    assert found.value is None and "linearly dependent" in found.reason
    with pytest.raises(Singular):
        row_weights([[1.0, 1.0]] * 3, 1)


def test_splits_are_no_returns() -> None:
    # 100 until 10 February, then 50 after a split 2:1 and 55 at the end of March.
    days = weekdays(date(2020, 1, 1), 65)
    rows = [(on, "SYN-A", D(100 if on < date(2020, 2, 10) else 50 if on.month == 2 else 55), "USD") for on in days]
    booked = monthly_price_returns(rows, {"SYN-A": [(date(2020, 2, 10), D(2))]})["SYN-A"]
    assert booked == {(2020, 2): 0.0, (2020, 3): pytest.approx(0.1)}
    # Nobody booked it, because nothing was held then: the month is left out, not taken for a loss of half.
    assert monthly_price_returns(rows, {})["SYN-A"] == {(2020, 3): pytest.approx(0.1)}
    # January has no close before it, and a month that ends early is not whole.
    assert (2020, 1) not in booked
    assert (2020, 3) not in monthly_price_returns(rows[:-5], {})["SYN-A"]
    other = [(on, name, close, "GBX" if on.month == 2 else unit) for on, name, close, unit in rows]
    assert monthly_price_returns(other, {"SYN-A": [(date(2020, 2, 10), D(2))]})["SYN-A"] == {}
