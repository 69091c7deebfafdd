"""Macro rules on real data against the NBER's recessions; scenarios against the bundled prices; bootstrap."""

import csv
import gzip
import sys
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import yaml

from analytics.bootstrap import drawdown_at_risk
from analytics.macro import Observation, known_on, percentile_rank, quarterly, transformed
from analytics.recessions import Score, score
from analytics.regime import NAMES, Signals, persisted, signals
from analytics.scenario import Bond, InvalidScenario, Scenario, fx_change, load_scenarios, local_change, unnamed
from services.macro import SCENARIOS, RecordedMacro, nber_recessions, quarter_start

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
async def prices() -> Sequence[Observation]:
    return (await RecordedMacro().series(("CPILFESL",), date.max, UUID(int=0)))["CPILFESL"].observations


@pytest.fixture(scope="module")
def rows(prices: Sequence[Observation]) -> list[Signals]:
    table = list(csv.DictReader((DATA / "us_macro_quarterly_1959_2009.csv").read_text().splitlines()))
    gdp, unemployment = ([float(row[name]) for row in table] for name in ("realgdp", "unemp"))
    quarters = [quarter_start(row["quarter"]) for row in table]
    core = {each.on: each.value for each in quarterly(prices)}
    return signals(quarters, gdp, unemployment, [core[on] for on in quarters])


def shown(name: str, found: Score) -> str:
    assert found.precision is not None and found.recall is not None
    return f"{name}: {found.hits}/{found.recessions}, precision {found.precision:.2f}, recall {found.recall:.2f}"


def test_hit_rates_against_the_nber_are_printed(rows: list[Signals], capsys: pytest.CaptureFixture[str]) -> None:
    quarters = [row.quarter for row in rows]
    rules = {
        "unemployment": [
            None if row.unemployment_rise is None else row.unemployment_rise >= 0.5 - 1e-9 for row in rows
        ],
        "gdp": [None if row.gdp_two_quarters is None else row.gdp_two_quarters < 0 for row in rows],
        "regime": [
            None if each.regime is None else each.regime in (NAMES["contraction", "low"], NAMES["contraction", "high"])
            for each in persisted(rows)
        ],
    }
    found = {name: score(quarters, signal, nber_recessions()) for name, signal in rules.items()}
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(shown(name, each) for name, each in found.items()) + "\n")
    # Measured, not tuned: docs/methods.md gives these figures.
    assert (found["unemployment"].hits, found["gdp"].hits) == (8, 7)
    assert all(each.recessions >= 6 for each in found.values())


def test_a_regime_needs_two_releases(rows: list[Signals]) -> None:
    folded = persisted(rows)
    for before, now in pairwise(folded):
        if before.regime is not None and now.regime != before.regime:
            assert now.signals.raw == before.signals.raw == now.regime and now.since == before.signals.quarter
    assert folded[10].regime is None  # no five-year median yet


def test_what_was_not_released_is_not_known() -> None:
    def at(released: date, vintage: date, value: float) -> Observation:
        return Observation(date(2020, 1, 1), date(2020, 3, 31), value, released, vintage)

    first = at(date(2020, 4, 30), date(2020, 4, 30), 1.0)
    revised = at(date(2020, 5, 28), date(2020, 5, 28), 1.5)
    assert known_on([first, revised], date(2020, 4, 29)) == []
    assert known_on([revised, first], date(2020, 5, 1)) == [first]
    assert known_on([first, revised], date(2020, 6, 1)) == [revised]


def test_a_quarter_is_the_mean_of_its_months_and_public_with_the_last(prices: Sequence[Observation]) -> None:
    found = {each.on: each for each in quarterly(prices)}
    # October to December 2003: 194, 194 and 194.2; December's figure came out twenty days after its end.
    last = found[date(2003, 10, 1)]
    assert last.value == pytest.approx((194 + 194 + 194.2) / 3) and last.released == date(2004, 1, 20)
    assert date(2018, 10, 1) not in found  # two months are no quarter
    assert quarterly(quarterly(prices)) == quarterly(prices)


def test_transforms() -> None:
    values = [100.0, 101.0, 102.0, 103.0, 110.0]
    assert transformed(values, "yoy", 4) == pytest.approx(0.10)
    assert transformed(values, "annualised", 4) == pytest.approx((110 / 103) ** 4 - 1)
    assert transformed(values, "diff", 4) == pytest.approx(10) and transformed(values, "level", 4) == 110
    assert transformed(values[:4], "yoy", 4) is None and transformed([], "level", 4) is None
    assert percentile_rank([1.0, 2.0, 2.0, 3.0], 2.0) == 0.5


def test_bundled_scenarios_are_computed_again() -> None:
    with gzip.open(DATA / "sp500_price_index_1999_2013.csv.gz", "rt") as file:
        level = {row["date"]: float(row["close"]) for row in csv.DictReader(file)}
    rate: dict[str, dict[str, float]] = {}
    with gzip.open(DATA / "ecb_fx_1999_2013.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            rate.setdefault(row["date"], {"EUR": 1.0})[row["quote"]] = float(row["rate"])
    checked = 0
    for each in yaml.safe_load(SCENARIOS.read_text())["scenarios"]:
        if "days" not in each:
            continue
        start, end = (on.isoformat() for on in each["days"])
        assert each["equity"] == round(level[end] / level[start] - 1, 4)
        assert each["currencies"].keys() == (rate[start].keys() & rate[end].keys()) - {"USD"}, each["id"]
        for code, move in each["currencies"].items():
            then, now = (rate[on]["USD"] / rate[on][code] for on in (start, end))
            assert move == pytest.approx(now / then - 1, abs=6e-5), (each["id"], code)
            checked += 1
    assert checked == 6 * 12


def test_the_fall_of_the_australian_dollar_by_hand() -> None:
    crisis = load_scenarios(yaml.safe_load(SCENARIOS.read_text()))["financial_crisis_2007_2009"]
    # ECB: 1 EUR was 1.4037 USD or 1.5690 AUD on 9 October 2007, 1.2565 USD or 1.9883 AUD on 9 March 2009.
    assert fx_change(crisis, "AUD", "USD") == pytest.approx((1.2565 / 1.9883) / (1.4037 / 1.5690) - 1, abs=6e-5)


def test_currencies_a_scenario_does_not_name() -> None:
    crash = Scenario("x", "X", -0.5, {"CAD": -0.2}, 0.0, "made up")
    assert unnamed(crash, "CAD", "USD") == unnamed(crash, "USD", "CAD") == unnamed(crash, "PLN", "PLN") == ()
    assert unnamed(crash, "PLN", "CAD") == unnamed(crash, "USD", "PLN") == ("PLN",)
    assert unnamed(crash, "PLN", "CZK") == ("PLN", "CZK")


def test_shocks_by_hand() -> None:
    crash = Scenario("x", "X", -0.5, {"CAD": -0.2, "EUR": 0.1}, 0.02, "made up")
    assert fx_change(crash, "CAD", "CAD") == 0.0
    assert fx_change(crash, "USD", "CAD") == pytest.approx(1 / 0.8 - 1)
    assert fx_change(crash, "EUR", "CAD") == pytest.approx(1.1 / 0.8 - 1)
    assert local_change(crash, 1.2) == pytest.approx(-0.6) and local_change(crash, 3.0) == -1.0
    # Duration 7, convexity 60, yields up two points: −14% + 1.2% (Fabozzi's approximation by hand).
    assert local_change(crash, 1.0, Bond(7.0, 60.0)) == pytest.approx(-0.128)


@pytest.mark.parametrize(
    "change", [{"equity": -1.5}, {"equity": "half"}, {"citation": ""}, {"currencies": {"EUR": -1}}]
)
def test_bad_scenarios_are_refused(change: dict[str, object]) -> None:
    row = {"id": "x", "name": "X", "equity": -0.5, "citation": "made up", **change}
    with pytest.raises(InvalidScenario, match="scenario x"):
        load_scenarios({"scenarios": [row]})


def test_bootstrap_is_repeatable_and_knows_a_certain_fall() -> None:
    returns = np.random.default_rng(1).normal(0.0003, 0.01, 500).tolist()
    chosen = {"horizon": 252, "paths": 500, "block": 21, "confidence": 0.95}
    first = drawdown_at_risk(returns, seed=1, **chosen)
    assert first == drawdown_at_risk(returns, seed=1, **chosen)
    assert first != drawdown_at_risk(returns, seed=2, **chosen)
    assert first.expected_beyond <= first.at_risk <= first.median <= 0.0
    # Every path of a constant loss is the same path.
    falling = drawdown_at_risk([-0.001] * 200, seed=1, **chosen)
    assert falling.at_risk == pytest.approx(0.999**252 - 1) == falling.median
    assert drawdown_at_risk([0.001] * 200, seed=1, **chosen).at_risk == 0.0


def test_bootstrap_agrees_with_a_plain_loop() -> None:
    returns = np.random.default_rng(3).normal(0.0, 0.02, 150).tolist()
    found = drawdown_at_risk(returns, horizon=30, paths=100, block=7, seed=5, confidence=0.9)
    dice = np.random.Generator(np.random.PCG64(5))
    depths = []
    for starts in dice.integers(0, 150, size=(100, 5)).tolist():
        level = high = 1.0
        depth = 0.0
        for day in [start + step for start in starts for step in range(7)][:30]:
            level *= 1 + returns[day % 150]
            high = max(high, level)
            depth = min(depth, level / high - 1)
        depths.append(depth)
    assert found.depths == pytest.approx(sorted(depths))
