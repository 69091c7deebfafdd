"""Charts: what is drawn, that it is complete, bounded, valid JSON and free of the network."""

import json
from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from analytics.attribution import attribute
from analytics.charts import POINTS_MAX, overview
from analytics.fx import FxHistory
from analytics.history import build
from analytics.holdings import hold
from analytics.returns import compute_twr
from analytics.thinning import thin
from analytics.valuation import Quote, value
from tests.analytics.worlds import World, everything


def drawn(world: World, asof: date | None = None) -> list[dict[str, Any]]:
    day = asof or world.market.dates[-1]
    rates = FxHistory(world.fx)
    found = build(world.booked.rows, world.market, asof=day)
    result = compute_twr(found)

    def rate_on(currency: str, on: date) -> Any:
        rate = rates.rate(currency, world.base, on)
        return rate.rate if rate else None

    quotes = {symbol: Quote(close, currency, on) for on, symbol, close, currency in sorted(world.prices) if on <= day}
    holdings = hold(world.booked.rows, day, world.base, rate_on)
    valuation = value(holdings, quotes, lambda name: rates.rate(name, world.base, day))
    return overview(valuation.as_json(), result.as_json(), attribute(found, result).as_json())


def data_of(spec: Any) -> list[list[dict[str, Any]]]:
    """Every inline data set of a specification."""
    if isinstance(spec, dict):
        mine = [spec["data"]["values"]] if "data" in spec else []
        return mine + [rows for value in spec.values() for rows in data_of(value)]
    if isinstance(spec, list):
        return [rows for item in spec for rows in data_of(item)]
    return []


def test_four_charts_with_bounded_data_and_no_network() -> None:
    charts = drawn(everything(5, 1500))
    assert [chart["id"] for chart in charts] == [
        "value_and_flows",
        "index_and_drawdown",
        "allocation",
        "attribution_waterfall",
    ]
    for chart in charts:
        spec = chart["spec"]
        assert spec["$schema"].endswith("/v6.json")
        assert spec["config"]["background"] == "transparent"
        assert spec["title"]["text"]
        assert sum(len(rows) for rows in data_of(spec)) <= POINTS_MAX
        text = json.dumps(spec, allow_nan=False)
        assert '"url"' not in text
        assert len(text) < 80_000


def test_the_same_results_give_the_same_bytes() -> None:
    assert json.dumps(drawn(everything(5, 200))) == json.dumps(drawn(everything(5, 200)))


def test_the_waterfall_ends_at_the_total() -> None:
    chart = drawn(everything(9, 120))[3]
    [rows] = data_of(chart["spec"])
    assert [row["name"] for row in rows][-1] == "Total return"
    assert rows[-2]["to"] == pytest.approx(rows[-1]["effect"], abs=1e-9)
    for before, after in pairwise(rows[:-1]):
        assert after["from"] == before["to"]


def short_at_the_end(world: World) -> bool:
    lots = world.booked.positions(world.market.dates[-1]).lots
    return any(lot.qty < 0 for lot in lots)


def test_shorts_point_the_other_way_and_shares_sum_to_one() -> None:
    worlds = (everything(seed, 60) for seed in range(50))
    world = next(found for found in worlds if short_at_the_end(found))
    [rows] = data_of(drawn(world)[2]["spec"])
    assert sum(row["weight"] for row in rows) == pytest.approx(1)
    assert {row["kind"] for row in rows if row["weight"] < 0} >= {"Short"}


def test_nothing_to_draw_is_said_not_raised() -> None:
    world = everything(1, 20)
    charts = drawn(world, date(2003, 1, 1))
    assert "no return" in charts[3]["description"] or "nothing" in charts[3]["description"]
    assert all(rows == [] for rows in data_of(charts[3]["spec"]))


def test_thinning_keeps_ends_and_extremes() -> None:
    series = [float((at * 7919) % 1009) for at in range(5000)]
    other: list[float | None] = [None if at % 3 else -float(at) for at in range(5000)]
    kept = thin([series, other], 400)
    assert len(kept) <= 400
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert kept[-1] == 4999
    assert max(series[at] for at in kept) == max(series)
    assert min(series[at] for at in kept) == min(series)
    assert thin([series[:50]], 400) == list(range(50))
