"""Charts from the rows of any step: a pattern says what to draw, this turns it into Vega-Lite specs.

Rows without a value are left out, and a chart without rows too: nothing is drawn as zero. Figures are rounded for the
eye; long series are thinned evenly, first and last point kept.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from agents.charts import BESIDE, LABEL_LINE_MAX, POINTS_MAX, WRAPPED, dated, spec, time_axis
from agents.fields import Part
from analytics.numbers import rounded

Kind = Literal["line", "area", "bars", "waterfall", "heatmap", "histogram"]
Name = Annotated[str, Field(min_length=1, max_length=200)]
_WIDTH, _HEIGHT = 680, 240
_TICKS = 3
_INK, _GREEN, _RED, _BLUE = "#1f2933", "#15803d", "#b91c1c", "#2563eb"
_SIGNS = {
    "field": "sign",
    "type": "nominal",
    "legend": None,
    "scale": {"domain": ["up", "down"], "range": [_GREEN, _RED]},
}
_RANGE = [_BLUE, "#b45309", _GREEN, "#64748b", "#7c3aed", "#0e7490", "#be185d", "#4d7c0f"]


class ChartForm(Part):
    """What to draw.

    Attributes:
        rows: objects with the fields named below; or `columns`, lists of equal length by field.
        x: field of line and area: a day.
        y: fields drawn over it, one line or layer each.
        label, value: fields of bars and waterfall, a label of bars may be made of several; heatmap reads `year`,
            `month` and `value`, histogram `low`, `high` and `value`.
        apart: field that tells bars of one label apart, where there are such; they are numbered else.
        order: of bars: the largest value first, or as the rows stand.
        signed: whether bars are gains and losses, in green and red; others have one colour.
        total: label of a waterfall's closing bar; none without.
        names: field → what people read.
        format: d3 format of values.
        limit: bars kept, largest magnitude first.
        domain: ends of the values' axis of bars, for what has a scale of its own; default as far as the values go.
    """

    kind: Kind
    name: Name
    title: Name
    subtitle: str = ""
    description: str = ""
    rows: Sequence[Any] = Field(default=(), max_length=100_000)
    columns: dict[str, Sequence[Any]] = Field(default_factory=dict)
    x: str = "date"
    y: tuple[str, ...] = Field(default=(), strict=False)
    label: str | Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=8)] = "name"
    value: str = "value"
    apart: str | None = None
    order: Literal["value", "rows"] = "value"
    signed: bool = True
    total: str | None = None
    names: dict[str, str] = Field(default_factory=dict)
    format: str = ",.2f"
    limit: Annotated[int, Field(ge=1, le=500)] = 40
    domain: tuple[float, float] | None = Field(default=None, strict=False)


def draw(form: ChartForm) -> dict[str, Any] | None:
    """Return the Vega-Lite spec; None when there is nothing to draw."""
    rows = _given(form)
    body = _FORMS[form.kind](form, rows) if rows else None
    if body is None:
        return None
    return spec(form.name, form.title, form.subtitle, form.description or form.title, body)


def strangers(form: ChartForm) -> list[str]:
    """Return what to say of fields that no row of a chart has: what reads them is not drawn, mostly for a typo."""
    rows = _given(form)
    labels = (form.label,) if isinstance(form.label, str) else form.label
    reads = {
        "line": (form.x, *form.y),
        "area": (form.x, *form.y),
        "bars": (*labels, form.value),
        "waterfall": (*labels, form.value),
        "heatmap": ("year", "month", form.value),
        "histogram": ("low", "high", form.value),
    }
    missing = [field for field in reads[form.kind] if not any(field in row for row in rows)]
    # Hardly ever, so that a long history is not looked through for nothing.
    known = dict.fromkeys(key for row in rows for key in row) if missing else {}
    there = ", ".join(map(str, known))
    return [f"chart {form.name}: no row has {field!r}; there are {there}" for field in missing] if known else []


def _given(form: ChartForm) -> Sequence[Mapping[str, Any]]:
    return [row for row in form.rows if isinstance(row, Mapping)] or _rows(form.columns)


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    if not columns:
        return []
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=False)]


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return rounded(float(value), 8)
    except (TypeError, ValueError):
        return None


def _series(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    stride = -(-len(rows) // POINTS_MAX)
    found: list[dict[str, Any]] = []
    for at, row in enumerate(rows):
        if at and (len(rows) - 1 - at) % stride:
            continue
        for field in form.y:
            value = _number(row.get(field))
            if value is not None:
                found.append({"x": str(row.get(form.x)), "series": form.names.get(field, field), "y": value})
    return found


def _over_time(form: ChartForm, rows: Sequence[Mapping[str, Any]], mark: Any, stack: str | None) -> Any:
    values = _series(form, rows)
    if not values:
        return None
    many = len({row["series"] for row in values}) > 1
    y: dict[str, Any] = {"field": "y", "type": "quantitative", "title": None, "axis": {"format": form.format}}
    y |= {"stack": stack} if stack else {"scale": {"zero": False}}
    color: dict[str, Any] = {"field": "series", "type": "nominal", "title": None, "scale": {"range": _RANGE}}
    if not many:
        color["legend"] = None
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": dated(values, "x"),
        "mark": mark,
        "encoding": {
            "x": {
                "field": "x",
                "type": "temporal",
                "title": None,
                "axis": time_axis(min(row["x"] for row in values), max(row["x"] for row in values)),
            },
            "y": y,
            "color": color,
            "tooltip": [
                {"field": "x", "type": "temporal", "title": "Day", "format": "%d %b %Y"},
                {"field": "series", "type": "nominal", "title": "Series"},
                {"field": "y", "type": "quantitative", "title": "Value", "format": form.format},
            ],
        },
    }


def _line(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> Any:
    return _over_time(form, rows, {"type": "line", "strokeWidth": 1.6}, None)


def _area(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> Any:
    return _over_time(form, rows, {"type": "area", "opacity": 0.8}, "zero")


def _bars(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> Any:
    found = [(row, value) for row in rows if (value := _number(row.get(form.value))) is not None]
    if not found:
        return None
    largest = sorted(range(len(found)), key=lambda at: -abs(found[at][1]))[: form.limit]
    labels = _apart(form, [row for row, _ in found])
    bars: list[dict[str, Any]] = [
        {"label": labels[at], "value": found[at][1], "sign": "up" if found[at][1] >= 0 else "down"}
        for at in (sorted(largest) if form.order == "rows" else sorted(largest, key=lambda at: -found[at][1]))
    ]
    return {
        "width": _WIDTH - 120,
        "height": {"step": 30 if any(len(bar["label"]) > LABEL_LINE_MAX for bar in bars) else 22},
        "data": {"values": bars},
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "title": None, "sort": None, "axis": BESIDE},
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": form.names.get(form.value),
                # Few enough to stand side by side: Vega would leave out labels, zero among them.
                "axis": {"format": form.format, "tickCount": _TICKS},
                **({"scale": {"domain": list(form.domain)}} if form.domain else {}),
            },
            "color": _SIGNS if form.signed else {"value": _BLUE},
            "tooltip": [
                {"field": "label", "type": "nominal", "title": "Name"},
                {"field": "value", "type": "quantitative", "title": "Value", "format": form.format},
            ],
        },
    }


def _label(form: ChartForm, row: Mapping[str, Any]) -> str:
    names = (form.label,) if isinstance(form.label, str) else form.label
    return ", ".join(str(row[name]) for name in names if row.get(name) is not None)


def _apart(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a label a row, all different: one label would be one bar."""
    labels = [_label(form, row) for row in rows]
    if form.apart is not None:
        many = _repeated(labels)
        labels = [
            f"{label}, {row.get(form.apart)}" if label in many else label
            for label, row in zip(labels, rows, strict=True)
        ]
    many = _repeated(labels)
    seen: Counter[str] = Counter()
    told: list[str] = []
    for label in labels:
        seen[label] += 1
        told.append(f"{label} ({seen[label]})" if label in many else label)
    return told


def _repeated(labels: Sequence[str]) -> set[str]:
    return {label for label, count in Counter(labels).items() if count > 1}


def _waterfall(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> Any:
    bars: list[dict[str, Any]] = []
    level = 0.0
    for row in rows[: form.limit]:
        size = _number(row.get(form.value))
        if size is None:
            continue
        after = round(level + size, 8)
        kind = "up" if size >= 0 else "down"
        bars.append({"label": _label(form, row), "from": level, "to": after, "value": size, "kind": kind})
        level = after
    if not bars:
        return None
    if form.total:
        bars.append({"label": form.total, "from": 0.0, "to": level, "value": level, "kind": "total"})
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": bars},
        "mark": {"type": "bar", "cornerRadius": 1},
        "encoding": {
            "x": {
                "field": "label",
                "type": "nominal",
                "title": None,
                "sort": [bar["label"] for bar in bars],
                "axis": {"labelAngle": -30} if len(bars) > 6 else WRAPPED,
            },
            "y": {"field": "from", "type": "quantitative", "title": None, "axis": {"format": form.format}},
            "y2": {"field": "to"},
            "color": {
                "field": "kind",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": ["up", "down", "total"], "range": [_GREEN, _RED, _BLUE]},
            },
            "tooltip": [
                {"field": "label", "type": "nominal", "title": "Effect"},
                {"field": "value", "type": "quantitative", "title": "Value", "format": form.format},
            ],
        },
    }


def _heatmap(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> Any:
    cells = [
        {"year": str(row.get("year")), "month": row.get("month"), "value": value}
        for row in rows
        if (value := _number(row.get(form.value))) is not None and isinstance(row.get("month"), int)
    ]
    if not cells:
        return None
    most = max(abs(float(cell["value"])) for cell in cells) or 1.0  # pyright: ignore[reportArgumentType]
    # Not of the page's palette: its colours become CSS variables there, which a scale cannot blend.
    scale = {"domain": [-most, 0, most], "range": ["#d0454c", "#f5f5f5", "#2f9e6b"], "type": "linear"}
    return {
        "width": _WIDTH,
        "height": {"step": 22},
        "data": {"values": cells},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {"field": "month", "type": "ordinal", "title": "Month", "axis": {"labelAngle": 0}},
            "y": {"field": "year", "type": "ordinal", "title": None},
            "color": {"field": "value", "type": "quantitative", "title": None, "scale": scale, "legend": None},
            "tooltip": [
                {"field": "year", "type": "ordinal", "title": "Year"},
                {"field": "month", "type": "ordinal", "title": "Month"},
                {"field": "value", "type": "quantitative", "title": "Value", "format": form.format},
            ],
        },
    }


def _histogram(form: ChartForm, rows: Sequence[Mapping[str, Any]]) -> Any:
    bars = [
        {"low": low, "high": high, "value": value}
        for row in rows
        if (low := _number(row.get("low"))) is not None
        and (high := _number(row.get("high"))) is not None
        and (value := _number(row.get(form.value))) is not None
    ]
    if not bars:
        return None
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": bars},
        "mark": {"type": "bar", "color": _BLUE, "binSpacing": 1},
        "encoding": {
            "x": {
                "field": "low",
                "type": "quantitative",
                "bin": {"binned": True},
                "title": form.names.get("low"),
                "axis": {"format": form.format},
            },
            "x2": {"field": "high"},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": form.names.get(form.value),
                "axis": {"format": ".0%"},
            },
            "tooltip": [
                {"field": "low", "type": "quantitative", "title": "From", "format": form.format},
                {"field": "high", "type": "quantitative", "title": "to", "format": form.format},
                {"field": "value", "type": "quantitative", "title": "Share", "format": ".1%"},
            ],
        },
    }


_FORMS: Mapping[Kind, Callable[[ChartForm, Sequence[Mapping[str, Any]]], Any]] = {
    "line": _line,
    "area": _area,
    "bars": _bars,
    "waterfall": _waterfall,
    "heatmap": _heatmap,
    "histogram": _histogram,
}
