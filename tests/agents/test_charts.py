import json
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from agents.answers import CurrencyAttribution, PerformanceMetrics, ValuedRow
from agents.chart_forms import ChartForm, draw, strangers
from agents.charts import POINTS_MAX, overview
from tests.agents.desk import Desk, local_data
from tests.agents.test_financial_analyst import LEDGER, PRICES, RATES

Parts = tuple[list[ValuedRow], PerformanceMetrics, CurrencyAttribution]


@pytest.fixture
async def parts() -> Parts:
    desk = Desk(local_data(LEDGER, PRICES, RATES))
    pins = await desk.pins()
    return (
        [ValuedRow.model_validate_json(json.dumps(row)) for row in await desk.valued(pins)],
        PerformanceMetrics.model_validate_json(json.dumps(await desk.metrics(pins))),
        CurrencyAttribution.model_validate_json(json.dumps(await desk.attribution(pins))),
    )


def test_four_charts_with_their_data_inside(parts: Parts) -> None:
    charts = overview(*parts)
    assert [chart["name"] for chart in charts] == [
        "value_and_flows",
        "return_index",
        "allocation",
        "attribution_waterfall",
    ]
    for chart in charts:
        assert chart["$schema"].endswith("/vega-lite/v6.json")
        assert chart["title"]["text"] and chart["description"] and "url" not in json.dumps(chart["title"])
        assert '"url"' not in json.dumps(chart)


def test_allocation_shows_cash_and_adds_up(parts: Parts) -> None:
    bars = overview(*parts)[2]["data"]["values"]
    assert [bar["label"] for bar in bars] == ["Cash USD", "SYN-A", "Cash CAD"]
    assert sum(bar["weight"] for bar in bars) == pytest.approx(1, abs=1e-5)


def test_the_waterfall_ends_where_the_return_is(parts: Parts) -> None:
    *effects, whole = overview(*parts)[3]["data"]["values"]
    assert effects[0]["from"] == 0 and whole["kind"] == "total"
    for left, right in pairwise(effects):
        assert left["to"] == right["from"]
    assert effects[-1]["to"] == whole["to"] == pytest.approx(parts[1].twr, abs=1e-6)


def test_what_has_no_data_has_no_chart(parts: Parts) -> None:
    _, metrics, attribution = parts
    unknown = attribution.model_copy(update={"total": None})
    assert [chart["name"] for chart in overview([], metrics, unknown)] == ["value_and_flows", "return_index"]


def test_a_long_history_is_thinned_without_losing_flows_or_extremes(parts: Parts) -> None:
    positions, metrics, attribution = parts
    count = 5 * POINTS_MAX + 7
    dates = tuple(date(2000, 1, 1) + timedelta(days=at) for at in range(count))
    trough = dates[1234]
    series = metrics.series.model_copy(
        update={
            "dates": dates,
            "nav": tuple(str(1000 + at) for at in range(count)),
            "flow": tuple("1" for _ in range(count)),
            "index": tuple(1.0 for _ in range(count)),
            "drawdown": tuple(-0.5 if on == trough else 0.0 for on in dates),
        }
    )
    drawdown = metrics.drawdown.model_copy(update={"peak": dates[1000], "trough": trough})
    long = metrics.model_copy(update={"series": series, "drawdown": drawdown})
    value, index = overview(positions, long, attribution)[:2]
    line, bars = (layer["data"]["values"] for layer in value["layer"])
    assert len(line) <= POINTS_MAX + 4
    assert (line[0]["date"], line[-1]["date"]) == (dates[0].isoformat(), dates[-1].isoformat())
    assert sum(bar["flow"] for bar in bars) == count
    shown = {point["date"]: point["drawdown"] for point in index["data"]["values"]}
    assert shown[trough.isoformat()] == -0.5


@pytest.mark.parametrize(
    ("last", "shown"),
    [
        ("2004-01-05", ("%d %b", "day")),
        ("2004-01-13", ("%d %b", "day")),
        ("2004-03-31", ("%d %b", "week")),
        ("2004-12-31", ("%b %Y", "month")),
        ("2012-12-31", ("%b %Y", None)),
    ],
)
def test_labels_of_a_time_axis_are_as_fine_as_its_ticks(last: str, shown: tuple[str, str | None]) -> None:
    rows = [{"date": "2004-01-05", "nav": 1}, {"date": last, "nav": 2}]
    drawn = draw(ChartForm(kind="line", name="nav", title="Value", rows=rows, y=("nav",)))
    assert drawn is not None
    axis = drawn["encoding"]["x"]["axis"]
    assert (axis["format"], axis.get("tickCount", {}).get("interval")) == shown


def test_days_are_days_in_every_time_zone_and_moments_stay_moments(parts: Parts) -> None:
    value, index = overview(*parts)[:2]
    for data in (*(layer["data"] for layer in value["layer"]), index["data"]):
        assert data["format"] == {"parse": {"date": "date:'%Y-%m-%d'"}}
    moments = [{"date": "2004-01-05T12:00:00Z", "nav": 1}]
    drawn = draw(ChartForm(kind="line", name="nav", title="Value", rows=moments, y=("nav",)))
    assert drawn is not None and "format" not in drawn["data"]


def test_scores_are_drawn_on_their_own_scale() -> None:
    form = ChartForm(kind="bars", name="moat", title="Moat", rows=[{"name": "SYN-A", "value": 4.7}], domain=(0, 10))
    drawn = draw(form)
    assert drawn is not None and drawn["encoding"]["x"]["scale"] == {"domain": [0.0, 10.0]}
    free = draw(form.model_copy(update={"domain": None}))
    assert free is not None and "scale" not in free["encoding"]["x"]


def test_bars_are_named_by_several_fields_and_may_keep_the_order_of_rows() -> None:
    lots = [
        {"symbol": "SYN-A", "acquired": "2004-01-05", "gain": "1"},
        {"symbol": "SYN-A", "acquired": "2004-02-06", "gain": "5"},
        {"symbol": "SYN-A", "acquired": "2004-01-05", "gain": "3"},
    ]
    form = ChartForm(kind="bars", name="lots", title="Lots", rows=lots, label=("symbol", "acquired"), value="gain")
    drawn = draw(form)
    assert drawn is not None
    # Two lots of one day stay two bars.
    named = ["SYN-A, 2004-02-06", "SYN-A, 2004-01-05 (2)", "SYN-A, 2004-01-05 (1)"]
    assert [bar["label"] for bar in drawn["data"]["values"]] == named
    accounts = [lot | {"account": account} for lot, account in zip(lots, "AAB", strict=True)]
    drawn = draw(form.model_copy(update={"rows": accounts, "apart": "account"}))
    assert drawn is not None
    named = ["SYN-A, 2004-02-06", "SYN-A, 2004-01-05, B", "SYN-A, 2004-01-05, A"]
    assert [bar["label"] for bar in drawn["data"]["values"]] == named
    years = [{"year": 2005, "gain": 2}, {"year": 2006, "gain": -7}, {"year": 2007, "gain": 4}]
    form = ChartForm(kind="bars", name="y", title="Y", rows=years, label="year", value="gain", order="rows", limit=2)
    drawn = draw(form)
    assert drawn is not None
    assert [bar["label"] for bar in drawn["data"]["values"]] == ["2006", "2007"]


def test_what_is_no_gain_has_one_colour_and_shares_are_percentages() -> None:
    form = ChartForm(kind="bars", name="s", title="S", rows=[{"name": "credit", "value": 0.7}])
    signed, plain = draw(form), draw(form.model_copy(update={"signed": False}))
    assert signed is not None and signed["encoding"]["color"]["field"] == "sign"
    assert plain is not None and plain["encoding"]["color"] == {"value": "#2563eb"}
    drawn = draw(ChartForm(kind="histogram", name="h", title="H", rows=[{"low": -0.2, "high": -0.1, "value": 0.2}]))
    assert drawn is not None and drawn["encoding"]["y"]["axis"] == {"format": ".0%"}


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"kind": "bars", "label": "nam", "value": "gain"}, "nam"),
        ({"kind": "bars", "label": ["name", "lot"], "value": "gain"}, "lot"),
        ({"kind": "waterfall", "label": "name", "value": "gian"}, "gian"),
        ({"kind": "line", "x": "on", "y": ["gain"]}, "on"),
        ({"kind": "area", "x": "name", "y": ["gain", "loss"]}, "loss"),
    ],
)
def test_a_field_no_row_has_is_named(form: dict[str, Any], field: str) -> None:
    rows = [{"name": "SYN-A", "gain": 1}, {"name": "SYN-B", "gain": None}]
    said = strangers(ChartForm.model_validate({"name": "one", "title": "One", "rows": rows, **form}))
    assert said == [f"chart one: no row has {field!r}; there are name, gain"]
    assert strangers(ChartForm.model_validate({"name": "one", "title": "One", "rows": [], **form})) == []
