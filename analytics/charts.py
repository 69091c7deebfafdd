"""Charts of a portfolio as Vega-Lite 6 specifications with their data inside.

Each chart is `{"id", "title", "description", "kind": "vega-lite", "spec"}`. Specs have a
transparent background, mid-grey text that reads on light and dark, colours after the Okabe–Ito
set (told apart with any colour vision; the blue is lighter, for dark pages), at most about 600
points, and no reference to the network. They are made from the JSON results of valuation,
time-weighted return and attribution, so a chart can be drawn wherever those results went.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from analytics.thinning import thin

Json = dict[str, Any]

POINTS_MAX = 600
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

BLUE, ORANGE, GREEN, RED = "#2E86C8", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY = "#8CCBF2", "#CC79A7", "#7D8590"

_KIND_COLOURS = {"Security": BLUE, "Short": RED, "Cash": SKY, "Receivable": PURPLE}

_CONFIG: Json = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "fontSize": 15,
        "fontWeight": 600,
        "color": GREY,
        "subtitleColor": GREY,
        "subtitleFontSize": 12,
        "subtitlePadding": 4,
        "offset": 12,
    },
    "axis": {
        "labelColor": GREY,
        "titleColor": GREY,
        "titleFontWeight": "normal",
        "domain": False,
        "ticks": False,
        "gridColor": GREY,
        "gridOpacity": 0.18,
        "labelPadding": 6,
    },
    "legend": {"labelColor": GREY, "titleColor": GREY, "orient": "top", "title": None},
    "text": {"color": GREY},
}


def overview(valuation: Mapping[str, Any], metrics: Mapping[str, Any], attribution: Mapping[str, Any]) -> list[Json]:
    """Return the four charts of a portfolio overview, in reading order.

    Args:
        valuation: `Valuation.as_json()`.
        metrics: `Twr.as_json()`.
        attribution: `Attribution.as_json()`.
    """
    return [
        value_and_flows(metrics),
        index_and_drawdown(metrics),
        allocation(valuation),
        attribution_waterfall(attribution),
    ]


def value_and_flows(metrics: Mapping[str, Any]) -> Json:
    """Return portfolio value over time with deposits and withdrawals marked on it."""
    series = metrics["series"]
    base = str(metrics["base_currency"])
    dates: Sequence[str] = series["dates"]
    nav = [_number(amount) for amount in series["nav"]]
    flow = [_number(amount) or 0.0 for amount in series["flow"]]
    kept = thin([nav], POINTS_MAX * 2 // 3)
    values: list[Json] = [{"date": dates[at], "nav": nav[at]} for at in kept]
    values += [{"date": gap["date"], "nav": None} for gap in metrics["gaps"][: POINTS_MAX // 6]]
    values.sort(key=lambda point: point["date"])
    # The largest flows if there are too many to draw; the opening value is a flow too.
    largest = sorted((at for at in range(len(flow)) if flow[at]), key=lambda at: -abs(flow[at]))
    flows = [
        {
            "date": dates[at],
            "nav": nav[at],
            "flow": flow[at],
            "size": abs(flow[at]),
            "kind": "Deposit" if flow[at] > 0 else "Withdrawal",
        }
        for at in sorted(largest[: POINTS_MAX // 6])
    ]
    last = _short_money(nav[-1]) if nav else "unknown"
    title = f"Portfolio value: {last} {base}"
    asof = metrics["asof"]
    subtitle = f"at the close of {asof}; triangles are deposits and withdrawals" if asof else ""
    spec = _spec(title, subtitle)
    spec |= {
        "height": 260,
        "encoding": {"x": _time_axis()},
        "layer": [
            {
                "data": {"values": values},
                "mark": {
                    "type": "area",
                    "line": {"color": BLUE, "strokeWidth": 1.8},
                    "color": BLUE,
                    "fillOpacity": 0.12,
                    "interpolate": "monotone",
                },
                "encoding": {
                    "y": {
                        "field": "nav",
                        "type": "quantitative",
                        "title": f"Value ({base})",
                        "axis": {"format": "~s"},
                    },
                    "tooltip": [_day(), _money_tip("nav", f"Value ({base})")],
                },
            },
            {
                "data": {"values": flows},
                "mark": {"type": "point", "filled": True, "opacity": 0.95},
                "encoding": {
                    "y": {"field": "nav", "type": "quantitative"},
                    "shape": {
                        "field": "kind",
                        "scale": {
                            "domain": ["Deposit", "Withdrawal"],
                            "range": ["triangle-up", "triangle-down"],
                        },
                    },
                    "color": {
                        "field": "kind",
                        "scale": {"domain": ["Deposit", "Withdrawal"], "range": [GREEN, RED]},
                    },
                    "size": {
                        "field": "size",
                        "type": "quantitative",
                        "scale": {"range": [70, 260]},
                        "legend": None,
                    },
                    "tooltip": [
                        _day(),
                        {"field": "kind", "title": "Flow"},
                        _money_tip("flow", f"Amount ({base})"),
                    ],
                },
            },
        ],
    }
    return _chart("value_and_flows", "Portfolio value and external flows", subtitle, spec)


def index_and_drawdown(metrics: Mapping[str, Any]) -> Json:
    """Return growth of 1 with the drawdown from its high below, on one time axis."""
    series = metrics["series"]
    dates: Sequence[str] = series["dates"]
    index: Sequence[float | None] = series["index"]
    below: Sequence[float | None] = series["drawdown"]
    kept = thin([index, below], POINTS_MAX - POINTS_MAX // 6)
    values: list[Json] = [{"date": dates[at], "index": index[at], "drawdown": below[at]} for at in kept]
    values += [{"date": gap["date"], "index": None, "drawdown": None} for gap in metrics["gaps"][: POINTS_MAX // 6]]
    values.sort(key=lambda point: point["date"])
    worst = metrics["drawdown"]
    title = f"Time-weighted return: {_percent(metrics['twr'])}"
    if metrics["annualised"] is not None:
        title += f" ({_percent(metrics['annualised'])} a year)"
    subtitle = "no fall below an earlier high"
    if worst["depth"]:
        recovery = worst["recovery"] or "not yet"
        subtitle = (
            f"deepest fall {_percent(worst['depth'])}: {worst['peak']} to {worst['trough']}, recovered {recovery}"
        )
    height, gap = 340, 28
    upper = int(height * 0.68)
    marks: list[Json] = []
    if worst["trough"]:
        marks = [
            {
                "data": {"values": [{"date": worst["trough"], "drawdown": worst["depth"]}]},
                "mark": {"type": "point", "filled": True, "size": 60, "color": RED},
                "encoding": {
                    "y": _band("drawdown", "Below the high", [height, upper + gap], ".0%"),
                    "tooltip": [_day(), _ratio_tip("drawdown", "Deepest fall")],
                },
            }
        ]
    spec = _spec(title, subtitle)
    tips = [
        _day(),
        {"field": "index", "title": "Growth of 1", "format": ".4f"},
        _ratio_tip("drawdown", "Below the high"),
    ]
    spec |= {
        "height": height,
        "data": {"values": values},
        "encoding": {"x": _time_axis()},
        "resolve": {"scale": {"y": "independent"}},
        "layer": [
            {
                "mark": {"type": "line", "color": BLUE, "strokeWidth": 1.8},
                "encoding": {
                    "y": _band("index", "Growth of 1", [upper, 0], ".2f", zero=False),
                    "tooltip": tips,
                },
            },
            {
                "layer": [
                    {
                        "mark": {
                            "type": "area",
                            "color": ORANGE,
                            "fillOpacity": 0.35,
                            "line": {"color": ORANGE, "strokeWidth": 1},
                        },
                        "encoding": {
                            "y": _band("drawdown", "Below the high", [height, upper + gap], ".0%"),
                            "tooltip": tips,
                        },
                    },
                    *marks,
                ],
            },
        ],
    }
    return _chart("index_and_drawdown", "Return index and drawdown", subtitle, spec)


def allocation(valuation: Mapping[str, Any]) -> Json:
    """Return what the portfolio holds: securities, cash per currency and receivables."""
    base = str(valuation["base_currency"])
    rows: list[Json] = []
    unknown: list[str] = []
    for position in valuation["positions"]:
        weight = position["weight"]
        kind = "Short" if str(position["qty"]).startswith("-") else "Security"
        _place(rows, unknown, position["symbol"], kind, weight, position["value_base"])
    for item in valuation["cash"]:
        _place(rows, unknown, f"{item['currency']} cash", "Cash", item["weight"], item["value_base"])
    owed: dict[str, list[Mapping[str, Any]]] = {}
    for item in valuation["receivables"]:
        owed.setdefault(str(item["currency"]), []).append(item)
    for currency, items in owed.items():
        known = [item for item in items if item["weight"] is not None]
        weight = sum(item["weight"] for item in known) if len(known) == len(items) else None
        amount = str(sum(_number(item["value_base"]) or 0.0 for item in known))
        _place(rows, unknown, f"{currency} receivable", "Receivable", weight, amount)
    rows.sort(key=lambda row: (-abs(row["weight"]), row["name"]))
    shown = rows[:40]
    subtitle = f"share of the portfolio's value in {base}, shorts below zero"
    if unknown:
        subtitle += f"; without a value: {', '.join(unknown[:8])}"
    if len(rows) > len(shown):
        subtitle += f"; {len(rows) - len(shown)} smaller ones left out"
    kinds = [kind for kind in _KIND_COLOURS if any(row["kind"] == kind for row in shown)]
    y: Json = {"field": "name", "type": "nominal", "title": None, "sort": None}
    spec = _spec("Allocation", subtitle)
    spec |= {
        "height": {"step": 26},
        "data": {"values": shown},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 3, "height": {"band": 0.7}},
                "encoding": {
                    "x": {
                        "field": "weight",
                        "type": "quantitative",
                        "title": None,
                        "axis": {"format": ".0%", "tickCount": 6},
                    },
                    "color": {
                        "field": "kind",
                        "scale": {
                            "domain": kinds,
                            "range": [_KIND_COLOURS[kind] for kind in kinds],
                        },
                    },
                    "tooltip": [
                        {"field": "name", "title": "Holding"},
                        {"field": "kind", "title": "Kind"},
                        _ratio_tip("weight", "Share of value"),
                        _money_tip("value", f"Value ({base})"),
                    ],
                },
            },
            {
                "transform": [{"filter": "datum.weight >= 0"}],
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {
                    "x": {"field": "weight", "type": "quantitative"},
                    "text": {"field": "weight", "format": ".1%"},
                },
            },
            {
                "transform": [{"filter": "datum.weight < 0"}],
                "mark": {"type": "text", "align": "right", "dx": -5},
                "encoding": {
                    "x": {"field": "weight", "type": "quantitative"},
                    "text": {"field": "weight", "format": ".1%"},
                },
            },
        ],
    }
    return _chart("allocation", "Allocation", subtitle, spec)


def attribution_waterfall(attribution: Mapping[str, Any]) -> Json:
    """Return how local returns, currencies, their interaction and trading make the total."""
    steps = [
        ("Local returns", "local_return", "prices and dividends in their own currency"),
        ("Currencies", "fx_return", "exchange rates against the base currency"),
        ("Interaction", "interaction", "currency moves on the local gains"),
        ("Trading and costs", "trading", "trade prices against the close, fees, FX spreads"),
    ]
    rows: list[Json] = []
    running = 0.0
    known = attribution["total"] is not None
    for name, key, meaning in steps if known else ():
        effect = float(attribution[key])
        rows.append(
            {
                "name": name,
                "from": running,
                "to": running + effect,
                "effect": effect,
                "kind": "Adds" if effect >= 0 else "Takes away",
                "meaning": meaning,
            }
        )
        running += effect
    if known:
        total = float(attribution["total"])
        rows.append(
            {
                "name": "Total return",
                "from": 0.0,
                "to": total,
                "effect": total,
                "kind": "Total",
                "meaning": "equals the time-weighted return",
            }
        )
    for at, row in enumerate(rows):
        row["next"] = rows[min(at + 1, len(rows) - 1)]["name"]
        row["top"] = max(row["from"], row["to"])
    subtitle = str(attribution["reason"] or "no return to attribute")
    if known:
        subtitle = f"{attribution['start']} to {attribution['asof']}, linked over time"
    x: Json = {
        "field": "name",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"labelAngle": 0, "labelLimit": 140, "grid": False},
    }
    spec = _spec("Where the return came from", subtitle)
    spec |= {
        "height": 260,
        "data": {"values": rows},
        "encoding": {"x": x},
        "layer": [
            {
                "mark": {"type": "bar", "width": {"band": 0.6}, "cornerRadius": 2},
                "encoding": {
                    "y": {
                        "field": "from",
                        "type": "quantitative",
                        "title": "Return",
                        "axis": {"format": ".0%"},
                    },
                    "y2": {"field": "to"},
                    "color": {
                        "field": "kind",
                        "scale": {
                            "domain": ["Adds", "Takes away", "Total"],
                            "range": [BLUE, ORANGE, GREY],
                        },
                    },
                    "tooltip": [
                        {"field": "name", "title": "Effect"},
                        _ratio_tip("effect", "Return"),
                        {"field": "meaning", "title": "What it is"},
                    ],
                },
            },
            {
                "transform": [{"filter": "datum.next !== datum.name"}],
                "mark": {"type": "rule", "color": GREY, "strokeDash": [3, 3], "opacity": 0.7},
                "encoding": {"y": {"field": "to", "type": "quantitative"}, "x2": {"field": "next"}},
            },
            {
                "mark": {"type": "text", "baseline": "bottom", "dy": -5, "fontWeight": 600},
                "encoding": {
                    "y": {"field": "top", "type": "quantitative"},
                    "text": {"field": "effect", "format": "+.2%"},
                },
            },
        ],
    }
    return _chart("attribution_waterfall", "Currency attribution", subtitle, spec)


def _chart(name: str, title: str, description: str, spec: Json) -> Json:
    spec["description"] = f"{title}: {description}"
    return {
        "id": name,
        "title": title,
        "description": description,
        "kind": "vega-lite",
        "spec": spec,
    }


def _spec(title: str, subtitle: str) -> Json:
    return {
        "$schema": SCHEMA,
        "title": {"text": title, "subtitle": subtitle},
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": _CONFIG,
    }


def _time_axis() -> Json:
    return {
        "field": "date",
        "type": "temporal",
        "title": None,
        "axis": {"grid": False, "labelOverlap": True},
    }


def _band(field: str, title: str, pixels: list[int], form: str, *, zero: bool = True) -> Json:
    """Return a y channel drawn in its own band of the plot (pixels from bottom to top)."""
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "axis": {"format": form, "tickCount": 5 if pixels[1] == 0 else 3},
        "scale": {"range": pixels, "zero": zero},
    }


def _day() -> Json:
    return {"field": "date", "type": "temporal", "title": "Day", "format": "%Y-%m-%d"}


def _money_tip(field: str, title: str) -> Json:
    return {"field": field, "type": "quantitative", "title": title, "format": ",.2f"}


def _ratio_tip(field: str, title: str) -> Json:
    return {"field": field, "type": "quantitative", "title": title, "format": "+.2%"}


def _place(rows: list[Json], unknown: list[str], name: str, kind: str, weight: float | None, value: Any) -> None:
    if weight is None:
        unknown.append(name)
    else:
        rows.append({"name": name, "kind": kind, "weight": weight, "value": _number(value)})


def _number(text: Any) -> float | None:
    """Return a drawn number; charts need floats, money stays exact elsewhere."""
    return None if text is None else round(float(text), 6)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.2%}"


def _short_money(value: float | None) -> str:
    if value is None:
        return "unknown"
    for limit, unit in ((1e9, "bn"), (1e6, "m")):
        if abs(value) >= limit:
            return f"{value / limit:,.2f} {unit}"
    return f"{value:,.0f}"
