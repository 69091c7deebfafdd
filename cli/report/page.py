"""An `ExecutionResult` as one HTML file that works from a disk, without a network, for years.

The page holds its styles, its scripts and its data. A content security policy allows exactly the scripts that are in
it, by their hashes, and no connection at all; every string of the result is escaped. Same result, same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from typing import Any

from cli.figures import day, moment, with_minus
from cli.hints import NO_HINTS, Hints, inputs_of, why_not, without_columns
from cli.report.badges import ended_badge, freshness_badge, status_badge
from cli.report.charts import Chart, prepare
from cli.report.evidence import problem, provenance, trace_panel, warnings
from cli.report.labels import NOTHING, field_label
from cli.report.markup import Child, Html, json_script, tag
from cli.report.panels import (
    VALUES_HOLDINGS,
    attribution_panel,
    holdings_panel,
    is_attribution,
    is_performance,
    is_ratings,
    key_figures,
    panel,
    ratings_panel,
)
from cli.report.presented import hover_of, presented
from cli.report.tables import figure, row, table
from topics.messages import ExecutionResult

VENDORED = ("vega-6.4.0.min.js", "vega-lite-6.4.3.min.js", "vega-embed-7.3.0.min.js")
_SOURCE_MAP = re.compile(r"\n//# sourceMappingURL=\S+\s*$")
_ROWS_SHOWN_MAX = 500
# Characters of all inputs together; longer ones stand in the provenance only.
_INPUTS_SHOWN_MAX = 80
_LOGO = Html(
    '<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><rect width="20" height="20" rx="5" '
    'fill="var(--accent)"/><path d="M4.5 13.5 8 9.2l2.8 2.6 4.7-5.6" fill="none" stroke="var(--surface)" '
    'stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)


def render(
    result: ExecutionResult,
    *,
    holdings: Sequence[Mapping[str, Any]] = (),
    portfolio_name: str | None = None,
    pattern_name: str | None = None,
    hints: Hints = NO_HINTS,
) -> str:
    """Return the page.

    Args:
        result: of any status and any pattern; known outputs get panels of their own, others plain tables.
        holdings: rows of `cli.holdings.find_holdings`.
        portfolio_name: as its owner calls it; None shows the id.
        pattern_name: as people read it; None shows the id.
        hints: what the pattern itself says of its panels; outputs without any are shown by their shape.
    """
    pattern = pattern_name or result.pattern_id
    known = f"Portfolio {result.trace.portfolio_id}" if result.trace.portfolio_id else pattern
    name = (portfolio_name or known) if hints.portfolio else pattern
    charts = prepare(result.charts)
    scripts = _scripts() if charts else ()
    blocks: list[Child] = [
        problem(result),
        warnings(result, hints),
        _outputs(result, holdings, charts, hints),
        provenance(result),
        trace_panel(result),
        tag("footer", "Made by DawsOS Executor. This file holds all its data and loads nothing."),
    ]
    body: list[Child] = [_masthead(result, name, pattern), tag("main", blocks)]
    if charts:
        body.append(json_script("chart-specs", [chart.spec for chart in charts]))
        body += [Html(f"<script>{source}</script>") for source in scripts]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{name} · {pattern} · {result.trace.asof or ''}"),
        Html(f"<style>{_asset('report.css')}</style>"),
    ]
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', body), lang='en')}\n"


def _masthead(result: ExecutionResult, name: str, pattern: str) -> Html:
    trace = result.trace
    facts: list[Html] = []
    if trace.asof:
        facts.append(tag("span", "As of ", tag("strong", day(trace.asof))))
    if trace.base_ccy:
        facts.append(tag("span", "Base currency ", tag("strong", trace.base_ccy)))
    asked = inputs_of(result)
    if sum(map(len, (*asked, *asked.values()))) <= _INPUTS_SHOWN_MAX:
        facts += [tag("span", f"{name} ", tag("strong", value)) for name, value in asked.items()]
    facts.append(tag("span", "Finished ", tag("strong", moment(result.finished_at_ms))))
    stale = any(panel.stale for panel in trace.per_panel_staleness)
    pills = [status_badge(result.status)]
    if trace.pricing_pack_id:
        text = "stale prices" if stale else "fresh prices"
        pills.append(tag("span", text, class_=f"badge {'warn' if stale else 'good'}"))
    if trace.asof_requested not in (None, trace.asof):
        facts.append(tag("span", "Asked for ", tag("strong", day(trace.asof_requested))))
    return tag(
        "div",
        tag(
            "div",
            tag("div", _LOGO, tag("b", "DawsOS"), tag("span", pattern), class_="brand"),
            tag(
                "div",
                tag("div", tag("h1", name), tag("div", facts, class_="facts")),
                tag("div", pills, class_="pills"),
                class_="headline",
            ),
            class_="masthead-inner",
        ),
        class_="masthead",
    )


def _outputs(
    result: ExecutionResult, holdings: Sequence[Mapping[str, Any]], charts: Sequence[Chart], hints: Hints
) -> list[Child]:
    """Return the panels: figures first, then charts, then tables, then outputs nobody knows by shape."""
    if hints.panels:
        return _by_hints(result, charts, hints)
    figures: list[Child] = []
    tables: list[Child] = []
    others: list[Child] = []
    base = result.trace.base_ccy or ""
    for output, value in result.data.items():
        badge = freshness_badge(result, output)
        hover = partial(hover_of, result, hints, output)
        if is_performance(value):
            figures.append(key_figures(value, freshness_badge(result, output, short=True), hover))
            if holdings:
                valued = next((step.as_ for step in result.trace.steps if step.capability == VALUES_HOLDINGS), "")
                tables.insert(0, holdings_panel(holdings, base, badge, partial(hover_of, result, hints, valued)))
        elif is_attribution(value):
            tables.append(attribution_panel(value, badge, hover))
        elif is_ratings(value):
            tables.append(ratings_panel(value, badge, hover))
        elif output != "charts":
            others.append(_plain_panel(result, output, value, badge))
    return [figures, _chart_panels(result, charts), tables, others]


def _by_hints(result: ExecutionResult, charts: Sequence[Chart], hints: Hints) -> list[Child]:
    """Return the panels in the pattern's order, charts after the first, then outputs it says nothing of."""
    panels = presented(result, hints)
    rest = [
        _plain_panel(result, output, without_columns(value), freshness_badge(result, output))
        for output, value in result.data.items()
        if output not in hints.outputs and output != "charts"
    ]
    return [panels[:1], _chart_panels(result, charts), panels[1:], rest]


def _chart_panels(result: ExecutionResult, charts: Sequence[Chart]) -> Html | None:
    if not charts:
        return None
    badge = freshness_badge(result, "charts", short=True)
    drawn = [
        panel(
            chart.title,
            tag(
                "div",
                class_="chart",
                data_chart=str(index),
                role="img",
                aria_label=chart.description or chart.title,
                aria_busy="true",
            ),
            subtitle=chart.subtitle,
            badge=ended_badge(result, chart.last) or badge,
        )
        for index, chart in enumerate(charts)
    ]
    return tag("div", drawn, tag("noscript", "The charts of this page need JavaScript."), class_="panels")


def _plain_panel(result: ExecutionResult, output: str, value: Any, badge: Html | None) -> Html:
    title = output.replace("_", " ").capitalize()
    if value is None:
        return panel(title, tag("p", why_not(result, output), class_="muted"), badge=badge)
    if isinstance(value, Mapping) and value:
        return panel(title, _facts(value), badge=badge)
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        columns = tuple(dict.fromkeys(key for item in value for key in item))
        rows = [row(*(_cell(item.get(name)) for name in columns)) for item in value[:_ROWS_SHOWN_MAX]]
        more = len(value) - _ROWS_SHOWN_MAX
        note = tag("p", f"and {more} more rows", class_="footnote") if more > 0 else None
        names = [field_label(name) for name in columns]
        return panel(title, table(names, rows, texts=len(columns)), note, badge=badge, long=True)
    return panel(title, _fact(value), badge=badge)


def _facts(value: Mapping[str, Any]) -> Html:
    facts = [(tag("dt", field_label(key)), tag("dd", _fact(item))) for key, item in value.items()]
    return tag("dl", facts, class_="provenance")


def _fact(item: Any) -> Child:
    if not isinstance(item, list | Mapping):
        return _plain(item)
    if not item:
        return tag("span", NOTHING, class_="muted")
    if isinstance(item, list) and not any(isinstance(each, list | Mapping) for each in item):
        return ", ".join(_plain(each) for each in item)
    return tag("pre", _json(item))


def _cell(value: Any) -> Html:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figure(with_minus(f"{value:,}"))
    return tag("td", _plain(value), class_="text")


def _plain(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return _json(value)
    return with_minus(value if isinstance(value, str) else _json(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _policy(scripts: Sequence[str]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in scripts]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _scripts() -> tuple[str, ...]:
    # Source map comments would make a browser's tools ask for files that are not there.
    vendored = files("gateway").joinpath("console", "vendor")
    sources = [vendored.joinpath(name).read_text(encoding="utf-8") for name in VENDORED]
    return tuple(_SOURCE_MAP.sub("\n", source) for source in (*sources, _asset("report.js")))


def _asset(name: str) -> str:
    return files("cli").joinpath("assets", name).read_text(encoding="utf-8")
