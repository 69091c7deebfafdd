"""Charts as Vega-Lite 6 specs with their data inside: what a portfolio manager looks at first.

Figures are rounded for the eye; the exact ones stand in the metrics the charts are drawn from. Long histories are
thinned to at most `POINTS_MAX` points: flows are summed, peak and trough of the drawdown are always kept.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from agents.answers import CurrencyAttribution, PerformanceMetrics, ValuedRow
from analytics.numbers import rounded

POINTS_MAX = 520
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_WIDTH = 680
_INK, _GRID = "#1f2933", "#e4e7eb"
_BLUE, _GREEN, _RED, _GREY, _AMBER = "#2563eb", "#15803d", "#b91c1c", "#64748b", "#b45309"
# Longest histories, in days, whose axis counts days, weeks, months.
_DAILY_MAX, _WEEKLY_MAX, _MONTHLY_MAX = 21, 120, 500
# At a space: labels side by side have room on a phone.
WRAPPED = {"labelAngle": 0, "labelExpr": "split(datum.label, ' ')"}
# Beside bars: a label that would be cut off goes on in a second line.
LABEL_LINE_MAX = 38
BESIDE = {
    "labelLimit": 260,
    "labelExpr": f"length(datum.label) > {LABEL_LINE_MAX} ? "
    f"split(replace(datum.label, regexp('(.{{1,{LABEL_LINE_MAX}}}) '), '$1|'), '|') : datum.label",
}
_CONFIG: dict[str, Any] = {
    "font": "system-ui, -apple-system, 'Segoe UI', sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _GREY,
        "titleFontWeight": "normal",
        "gridColor": _GRID,
        "domainColor": _GREY,
        "tickColor": _GREY,
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "title": {"anchor": "start", "fontSize": 14, "subtitleFontSize": 11, "subtitleColor": _GREY, "color": _INK},
    "legend": {"labelColor": _INK, "titleColor": _GREY},
}


def overview(
    positions: Sequence[ValuedRow], metrics: PerformanceMetrics, attribution: CurrencyAttribution
) -> list[dict[str, Any]]:
    """Return value and flows, return index with drawdown, allocation, attribution waterfall.

    A chart without data is left out.
    """
    charts: list[dict[str, Any]] = []
    points = _points(metrics)
    if points:
        charts += [_value(points, metrics), _index(points, metrics)]
    if any(row.weight is not None for row in positions):
        charts.append(_allocation(positions, metrics))
    if attribution.total is not None:
        charts.append(_waterfall(attribution))
    return charts


def spec(name: str, title: str, subtitle: str, description: str, rest: dict[str, Any]) -> dict[str, Any]:
    """Return a Vega-Lite spec in the house style; `rest` holds data, marks and encodings."""
    return {
        "$schema": _SCHEMA,
        "name": name,
        "title": {"text": title, "subtitle": subtitle},
        "description": description,
        "config": _CONFIG,
        **rest,
    }


def dated(values: Sequence[dict[str, Any]], field: str) -> dict[str, Any]:
    """Return the data of a chart over time; ISO days in `field` are days wherever the chart is looked at.

    Left alone a browser takes them for midnight in Greenwich, which in America is the evening before.
    """
    if any(len(str(row[field])) != len("2004-01-05") for row in values):
        return {"values": values}
    return {"values": values, "format": {"parse": {field: "date:'%Y-%m-%d'"}}}


def time_axis(first: str, last: str) -> dict[str, Any]:
    """Return an axis of days whose labels differ: by day and month for a short history, by month for a long one.

    Left alone, Vega ticks every six hours in a week and every week in a quarter, and a label would stand there again
    and again. ISO days; Vega leaves out labels that have no room.
    """
    try:
        days = (date.fromisoformat(last) - date.fromisoformat(first)).days
    except ValueError:  # moments or what is no day: as they come
        return {"format": "%b %Y", "grid": False}
    if days <= _DAILY_MAX:
        return {"format": "%d %b", "grid": False, "tickCount": {"interval": "day", "step": 1}}
    if days <= _WEEKLY_MAX:
        return {"format": "%d %b", "grid": False, "tickCount": {"interval": "week", "step": 1}}
    if days <= _MONTHLY_MAX:
        return {"format": "%b %Y", "grid": False, "tickCount": {"interval": "month", "step": 1}}
    return {"format": "%b %Y", "grid": False}


def _points(metrics: PerformanceMetrics) -> list[dict[str, Any]]:
    series = metrics.series
    count = len(series.dates)
    stride = -(-count // POINTS_MAX)
    kept = {0, count - 1}
    special = {metrics.drawdown.peak, metrics.drawdown.trough, metrics.drawdown.recovery}
    points: list[dict[str, Any]] = []
    flow = 0.0
    for at, on in enumerate(series.dates):
        flow += float(series.flow[at])
        if at in kept or (count - 1 - at) % stride == 0 or on in special:
            points.append(
                {
                    "date": on.isoformat(),
                    "value": _cents(float(series.nav[at])),
                    "flow": _cents(flow),
                    "index": rounded(series.index[at], 6),
                    "drawdown": rounded(series.drawdown[at], 6),
                }
            )
            flow = 0.0
    return points


def _value(points: list[dict[str, Any]], metrics: PerformanceMetrics) -> dict[str, Any]:
    base = metrics.base_currency
    flows = [{"date": point["date"], "flow": point["flow"]} for point in points if point["flow"]]
    axis = time_axis(points[0]["date"], points[-1]["date"])
    day = {"field": "date", "type": "temporal", "title": None, "axis": axis}
    tooltip = [
        {"field": "date", "type": "temporal", "title": "Day", "format": "%d %b %Y"},
        {"field": "value", "type": "quantitative", "title": f"Value ({base})", "format": ",.2f"},
    ]
    line = {
        "data": dated([{"date": point["date"], "value": point["value"]} for point in points], "date"),
        "mark": {
            "type": "area",
            "line": {"color": _BLUE, "strokeWidth": 1.6},
            "color": _BLUE,
            "opacity": 0.12,
            "interpolate": "monotone",
        },
        "encoding": {
            "x": day,
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": f"Value ({base})",
                "axis": {"format": "~s"},
                "scale": {"zero": all(point["value"] >= 0 for point in points)},
            },
            "tooltip": tooltip,
        },
    }
    bars = {
        "data": dated(flows, "date"),
        "mark": {"type": "bar", "width": 4, "opacity": 0.85},
        "encoding": {
            "x": day,
            "y": {"field": "flow", "type": "quantitative"},
            "color": {
                "condition": {"test": "datum.flow < 0", "value": _RED},
                "value": _GREEN,
            },
            "tooltip": [
                {"field": "date", "type": "temporal", "title": "Day", "format": "%d %b %Y"},
                {"field": "flow", "type": "quantitative", "title": f"Deposit or withdrawal ({base})", "format": ",.2f"},
            ],
        },
    }
    return spec(
        "value_and_flows",
        "Value and external flows",
        f"{metrics.asof}: {_amount(metrics.total_value)} {base}; net flows {_amount(metrics.net_flows)} {base}",
        "Daily portfolio value as an area, deposits (green) and withdrawals (red) as bars.",
        {"width": _WIDTH, "height": 220, "layer": [line, *([bars] if flows else [])]},
    )


def _index(points: list[dict[str, Any]], metrics: PerformanceMetrics) -> dict[str, Any]:
    axis = time_axis(points[0]["date"], points[-1]["date"])
    day = {"field": "date", "type": "temporal", "title": None, "axis": axis}
    hidden = {**day, "axis": {"labels": False, "ticks": False, "grid": False}}
    when = {"field": "date", "type": "temporal", "title": "Day", "format": "%d %b %Y"}
    upper = {
        "width": _WIDTH,
        "height": 180,
        "mark": {"type": "line", "color": _INK, "strokeWidth": 1.6},
        "encoding": {
            "x": hidden,
            "y": {
                "field": "index",
                "type": "quantitative",
                "title": "Return index",
                "scale": {"zero": False},
                "axis": {"format": ".4~f"},
            },
            "tooltip": [when, {"field": "index", "type": "quantitative", "title": "Index", "format": ".4f"}],
        },
    }
    lower = {
        "width": _WIDTH,
        "height": 80,
        "mark": {"type": "area", "color": _RED, "opacity": 0.35, "line": {"color": _RED, "strokeWidth": 1}},
        "encoding": {
            "x": day,
            "y": {"field": "drawdown", "type": "quantitative", "title": "Drawdown", "axis": {"format": ".2~%"}},
            "tooltip": [when, {"field": "drawdown", "type": "quantitative", "title": "Drawdown", "format": ".2%"}],
        },
    }
    shown = [{name: point[name] for name in ("date", "index", "drawdown")} for point in points]
    return spec(
        "return_index",
        "Time-weighted return index",
        f"since {metrics.start}: {_percent(metrics.twr)}; deepest drawdown {_percent(metrics.drawdown.depth)}",
        "Growth of 1 without the effect of deposits and withdrawals; below it the fall from the last high.",
        {"data": dated(shown, "date"), "vconcat": [upper, lower], "spacing": 8},
    )


def _allocation(positions: Sequence[ValuedRow], metrics: PerformanceMetrics) -> dict[str, Any]:
    bars = []
    for row in positions:
        if row.weight is None or row.value_base is None:
            continue
        label = {"security": row.symbol, "cash": f"Cash {row.symbol}", "receivable": f"Dividend {row.symbol}"}[row.kind]
        bars.append(
            {
                "label": label,
                "name": row.name,
                "kind": row.kind,
                "currency": row.price_currency or row.trading_currency,
                "weight": rounded(row.weight, 6),
                "value": _cents(row.value_base),
            }
        )
    bars.sort(key=lambda bar: (-bar["weight"], bar["label"]))
    encoding = {
        "y": {"field": "label", "type": "nominal", "title": None, "sort": None, "axis": {"grid": False}},
        "x": {"field": "weight", "type": "quantitative", "title": "Share of value", "axis": {"format": ".0%"}},
    }
    mark = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            **encoding,
            "color": {
                "field": "currency",
                "type": "nominal",
                "title": "Currency",
                "scale": {"range": [_BLUE, _AMBER, _GREEN, _GREY, "#7c3aed", "#0e7490", "#be185d", "#4d7c0f"]},
            },
            "tooltip": [
                {"field": "name", "type": "nominal", "title": "Holding"},
                {"field": "weight", "type": "quantitative", "title": "Share", "format": ".2%"},
                {
                    "field": "value",
                    "type": "quantitative",
                    "title": f"Value ({metrics.base_currency})",
                    "format": ",.2f",
                },
            ],
        },
    }
    return spec(
        "allocation",
        "Allocation",
        f"{metrics.asof}, share of total value; shorts are negative",
        "One bar per holding and currency balance, longest first, coloured by currency.",
        {"width": _WIDTH - 60, "height": {"step": 24}, "data": {"values": bars}, "layer": [mark]},
    )


def _waterfall(attribution: CurrencyAttribution) -> dict[str, Any]:
    steps = [
        ("Local return", attribution.local_return),
        ("Currencies", attribution.fx_return),
        ("Interaction", attribution.interaction),
        ("Trading", attribution.trading),
    ]
    bars: list[dict[str, Any]] = []
    level = 0.0
    for label, size in steps:
        effect = size or 0.0
        bars.append(_bar(label, level, level + effect, effect, "up" if effect >= 0 else "down"))
        level += effect
    total = attribution.total or 0.0
    bars.append(_bar("Total return", 0.0, total, total, "total"))
    labels = [bar["label"] for bar in bars]
    place = {"field": "label", "type": "nominal", "title": None, "sort": labels, "axis": WRAPPED}
    body = {
        "mark": {"type": "bar", "size": 56, "cornerRadius": 1},
        "encoding": {
            "x": place,
            "y": {"field": "from", "type": "quantitative", "title": "Contribution", "axis": {"format": ".1%"}},
            "y2": {"field": "to"},
            "color": {
                "field": "kind",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": ["up", "down", "total"], "range": [_GREEN, _RED, _BLUE]},
            },
            "tooltip": [
                {"field": "label", "type": "nominal", "title": "Effect"},
                {"field": "effect", "type": "quantitative", "title": "Contribution", "format": ".4%"},
            ],
        },
    }
    text = {
        "mark": {"type": "text", "dy": -8, "fontSize": 11, "color": _INK},
        "encoding": {
            "x": place,
            "y": {"field": "top", "type": "quantitative"},
            "text": {"field": "shown", "type": "nominal"},
        },
    }
    return spec(
        "attribution_waterfall",
        "Where the return came from",
        f"{attribution.start} to {attribution.asof}, in {attribution.base_currency}, linked effects",
        "Local, currency, interaction and trading effects add up to the time-weighted return.",
        {"width": _WIDTH, "height": 240, "data": {"values": bars}, "layer": [body, text]},
    )


def _bar(label: str, start: float, end: float, effect: float, kind: str) -> dict[str, Any]:
    return {
        "label": label,
        "from": rounded(start, 6),
        "to": rounded(end, 6),
        "top": rounded(max(start, end), 6),
        "effect": rounded(effect, 8),
        # Formatted here, because a chart would print a tiny loss as −0.00%.
        "shown": _percent(rounded(effect, 4)),
        "kind": kind,
    }


def _cents(amount: Decimal | float) -> float:
    return rounded(float(amount), 2)


def _amount(amount: Decimal | None) -> str:
    return "not available" if amount is None else f"{amount:,.2f}"


def _percent(value: float | None) -> str:
    return "not available" if value is None else f"{value:+.2%}"
