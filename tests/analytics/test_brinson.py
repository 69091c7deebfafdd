"""Brinson–Fachler against Bacon's example and perfattr, an independent library."""

from math import fsum
from random import Random

import pandas as pd
import pytest
from perfattr import AttributionMethod, calculate_attribution

from analytics.brinson import InvalidBenchmark, attribute

# Bacon, Practical Portfolio Performance Measurement and Attribution, 2nd ed., ch. 5, tables 5.2 to 5.5.
PORTFOLIO = {"UK": (0.4, 0.4 * 0.20), "Japan": (0.3, 0.3 * -0.05), "US": (0.3, 0.3 * 0.06)}
BENCHMARK = {"UK": (0.4, 0.10), "Japan": (0.2, -0.04), "US": (0.4, 0.08)}


def test_bacon() -> None:
    found = attribute(PORTFOLIO, BENCHMARK)
    assert (found.portfolio_return, found.benchmark_return) == (pytest.approx(0.083), pytest.approx(0.064))
    effects = {row.name: (row.allocation, row.selection, row.interaction) for row in found.sectors}
    assert effects["UK"] == pytest.approx((0.0, 0.04, 0.0))
    assert effects["Japan"] == pytest.approx((-0.0104, -0.002, -0.001))
    assert effects["US"] == pytest.approx((-0.0016, -0.008, 0.002))
    assert (found.allocation, found.selection, found.interaction) == (
        pytest.approx(-0.012), pytest.approx(0.03), pytest.approx(0.001),
    )  # fmt: skip
    assert found.active == pytest.approx(0.019) and found.other == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_perfattr_finds_the_same(seed: int) -> None:
    dice = Random(seed)
    names = ["A", "B", "C", "D"]

    def weights() -> list[float]:
        raw = [dice.random() for _ in names]
        return [each / fsum(raw) for each in raw]

    own = {name: (weight, dice.gauss(0.05, 0.1)) for name, weight in zip(names, weights(), strict=True)}
    other = {name: (weight, dice.gauss(0.05, 0.1)) for name, weight in zip(names, weights(), strict=True)}

    def frame(side: dict[str, tuple[float, float]]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "from_date": pd.Timestamp("2020-01-01"),
                "thru_date": pd.Timestamp("2020-01-31"),
                "quantity_of_days": 31,
                "identifier": list(side),
                "weight": [weight for weight, _ in side.values()],
                "return": [value for _, value in side.values()],
            }
        )

    found = attribute({name: (w, w * r) for name, (w, r) in own.items()}, other)
    oracle = calculate_attribution(
        frame(own), frame(other), method=AttributionMethod.BRINSON_FACHLER_THREE_EFFECT, reconciliation_tolerance=1e-9
    )
    rows = oracle.period_detail.set_index("identifier")
    for sector in found.sectors:
        theirs = rows.loc[sector.name]
        assert sector.allocation == pytest.approx(theirs["allocation_effect"], abs=1e-12)
        assert sector.selection == pytest.approx(theirs["selection_effect"], abs=1e-12)
        assert sector.interaction == pytest.approx(theirs["interaction_effect"], abs=1e-12)


def test_a_sector_only_one_side_has() -> None:
    found = attribute({"A": (0.7, 0.07), "New": (0.3, 0.06)}, {"A": (0.5, 0.10), "Old": (0.5, 0.02)})
    rows = {row.name: row for row in found.sectors}
    assert rows["Old"].own_return is None and rows["Old"].selection == 0.0
    assert rows["Old"].allocation == pytest.approx(-0.5 * (0.02 - 0.06))
    # 30% in what the benchmark lacks returned 20%, the benchmark 6%: 0.3·(0.20 − 0.06), the decision to hold it.
    assert rows["New"].benchmark_return is None and rows["New"].allocation == pytest.approx(0.042)
    assert rows["New"].selection == rows["New"].interaction == 0.0
    assert found.allocation + found.selection + found.interaction == pytest.approx(found.active)


def test_a_sector_of_no_weight_whose_return_the_benchmark_gives_is_split_as_any_other() -> None:
    # w = 0.2, r = 5%, W = 0, b = 3%, B = 4%: allocation 0.2·(3% − 4%), interaction 0.2·(5% − 3%).
    found = attribute({"A": (0.8, 0.032), "Cash": (0.2, 0.01)}, {"A": (1.0, 0.04), "Cash": (0.0, 0.03)})
    cash = next(row for row in found.sectors if row.name == "Cash")
    assert (cash.allocation, cash.selection, cash.interaction) == (
        pytest.approx(-0.002), 0.0, pytest.approx(0.004),
    )  # fmt: skip


def test_costs_outside_every_sector_are_other() -> None:
    found = attribute({"A": (1.0, 0.05)}, {"A": (1.0, 0.04)}, portfolio_return=0.048)
    assert found.active == pytest.approx(0.008) and found.other == pytest.approx(-0.002)


def test_weights_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(InvalidBenchmark, match=r"0\.9"):
        attribute(PORTFOLIO, {"UK": (0.9, 0.1)})
