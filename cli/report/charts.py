"""Vega-Lite specs made ready for the page: titles move into the page, colours follow its light or dark theme.

A colour of the charts' palette becomes a CSS variable of `assets/report.css`; other colours stay. The page's script
fits widths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.figures import with_minus
from cli.report.labels import position_label

_RATIO = re.compile(r"-[\d.,]+%")
_VARIABLES = {
    "#1f2933": "ink",
    "#e4e7eb": "grid",
    "#64748b": "muted",
    "#2563eb": "blue",
    "#15803d": "green",
    "#b91c1c": "red",
    "#b45309": "amber",
    "#7c3aed": "violet",
    "#0e7490": "cyan",
    "#be185d": "pink",
    "#4d7c0f": "lime",
}
_PARTS = ("layer", "vconcat", "hconcat", "concat")
_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": _FONT,
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--chart-muted)",
        "titleColor": "var(--chart-muted)",
        "gridColor": "var(--chart-grid)",
        "domainColor": "var(--chart-grid)",
        "tickColor": "var(--chart-grid)",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelPadding": 6,
    },
    "axisX": {"labelSeparation": 14},
    "axisY": {"domain": False, "ticks": False, "titlePadding": 8},
    "legend": {
        "labelColor": "var(--chart-ink)",
        "titleColor": "var(--chart-muted)",
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "orient": "bottom",
    },
    "title": {"color": "var(--chart-ink)", "subtitleColor": "var(--chart-muted)"},
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of the page; `spec` has no title of its own; `last` is the newest day on its time axis, or empty."""

    name: str
    title: str
    subtitle: str
    description: str
    last: str
    spec: dict[str, Any]


def prepare(specs: list[Any]) -> list[Chart]:
    """Return the charts of a result in order; what is no Vega-Lite spec is left out."""
    return [_chart(index, spec) for index, spec in enumerate(specs) if isinstance(spec, Mapping)]


def _chart(index: int, spec: Mapping[str, Any]) -> Chart:
    title = spec.get("title")
    heading = title if isinstance(title, Mapping) else {"text": title}
    body = {key: value for key, value in spec.items() if key not in ("title", "config", "description")}
    config = spec.get("config")
    themed = _themed(body)
    themed["config"] = _merged(_themed(config) if isinstance(config, Mapping) else {}, _CONFIG)
    return Chart(
        name=str(spec.get("name") or f"chart_{index + 1}"),
        title=_text(heading.get("text")) or f"Chart {index + 1}",
        subtitle=_text(heading.get("subtitle")),
        description=_text(spec.get("description")),
        last=_last_day(spec, ()),
        spec=themed,
    )


def _last_day(spec: Mapping[str, Any], inherited: Sequence[Any]) -> str:
    data = spec.get("data")
    rows = data.get("values") if isinstance(data, Mapping) else None
    rows = rows if isinstance(rows, list) else inherited
    encoding = spec.get("encoding")
    x = encoding.get("x") if isinstance(encoding, Mapping) else None
    days = [_last_day(each, rows) for key in _PARTS for each in spec.get(key) or () if isinstance(each, Mapping)]
    if isinstance(x, Mapping) and x.get("type") == "temporal":
        days += [str(row.get(x.get("field")) or "")[:10] for row in rows if isinstance(row, Mapping)]
    return max(days, default="")


def _text(value: Any) -> str:
    return with_minus(" ".join(map(str, value)) if isinstance(value, list) else str(value or ""))


def _themed(value: Any) -> Any:
    """Return the same JSON as the page shows it: palette colours as CSS variables, texts as `_written`."""
    if isinstance(value, Mapping):
        return {
            key: item if key == "$schema" else _written_rows(item) if key == "values" else _themed(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_themed(item) for item in value]
    if isinstance(value, str) and value.lower() in _VARIABLES:
        return f"var(--chart-{_VARIABLES[value.lower()]})"
    return _written(value)


def _written_rows(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    return [{key: _written(item) for key, item in row.items()} if isinstance(row, Mapping) else row for row in values]


def _written(value: Any) -> Any:
    """Return a text of a spec or its data as tables write it: `−0.66%` on a bar, `Cash CAD` for `cash:CAD`.

    Sort orders and domains name values of the data, so both change alike.
    """
    if not isinstance(value, str):
        return value
    return with_minus(value) if _RATIO.fullmatch(value) else position_label(value)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged
