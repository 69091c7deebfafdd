"""Panels that a pattern's own `presentation` asks for: figures and tables of any output.

Each figure says on hover what it is: its formula (from the output schema of the capability that made it), the
capability, the pack and the ledger commit it rests on, and its sources. A null shows why it is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.figures import NOT_AVAILABLE
from cli.hints import (
    TEXT_FORMATS,
    Hints,
    fields_of,
    figure_at,
    form_of,
    is_index,
    newest_day,
    reason_of,
    said_once,
    scale_of,
    step_of,
    text_of,
    title_of,
    tone_of,
    totals_of,
    unit_of,
    value_at,
    why_none,
    why_not,
    with_unit,
    word_of,
)
from cli.report.badges import ended_badge, freshness_badge
from cli.report.labels import LABELS
from cli.report.markup import Child, Html, tag
from cli.report.panels import panel, tile_figure
from cli.report.tables import heading, row, sum_row, table, two_lines
from topics.messages import ExecutionResult

_ROWS_MAX = 500
_WORDS_LINE_MAX = 10
_WORD_WHOLE_MAX = 15
_UNIT_LINE_MAX = 5
_MARKET = ("prices:", "rates:")


def presented(result: ExecutionResult, hints: Hints) -> list[Child]:
    """Return the panels of a pattern in its order; a panel whose output is not in the result is left out."""
    found: list[Child] = []
    for each in hints.panels:
        output = str(each.get("output"))
        if output not in result.data or each.get("kind") == "none":
            continue
        value = result.data[output]
        title = title_of(each)
        ended = ended_badge(result, newest_day(result, each))
        badge = ended or freshness_badge(result, output, short=each.get("kind") == "figures")
        if not isinstance(value, Mapping):
            found.append(panel(title, tag("p", why_not(result, output), class_="muted"), badge=badge))
        elif each.get("kind") == "table":
            found.append(_table(result, hints, each, output, value, title, badge))
        else:
            found.append(_figures(result, hints, each, output, value, title, badge))
    return found


def _figures(
    result: ExecutionResult,
    hints: Hints,
    each: Mapping[str, Any],
    output: str,
    value: Mapping[str, Any],
    title: str,
    badge: Html | None,
) -> Html:
    cards: list[Child] = []
    fields = fields_of(each.get("fields"))
    reasons = [why_none(value, item) for item in fields]
    once = said_once(reasons)
    for item, why in zip(fields, reasons, strict=True):
        path, form = str(item.get("path")), str(item.get("format") or "text")
        found = figure_at(value, item)
        shown = text_of(found, form)
        unit = scale_of(value, item, found)
        tone = tone_of(found, shown, form, item)
        # Words wrap, figures shrink.
        words = form in TEXT_FORMATS and len(shown) > _WORDS_LINE_MAX
        cards.append(
            tag(
                "div",
                tag("div", tag("span", str(item.get("label") or path)), class_="label"),
                tag("div", shown, class_="figure long") if words else tile_figure(shown, unit, tone=tone),
                tag("div", why, class_="note") if why and why not in once else None,
                class_="card",
                title="\n".join(filter(None, (why, hover_of(result, hints, output, path, found)))),
            )
        )
    notes = [tag("p", f"{NOT_AVAILABLE} {why}", class_="footnote") for why in once]
    if value.get("method"):
        notes.append(tag("p", str(value["method"]), class_="footnote"))
    return panel(title, tag("div", cards, class_="cards plain"), notes, badge=badge)


def _table(
    result: ExecutionResult,
    hints: Hints,
    each: Mapping[str, Any],
    output: str,
    value: Mapping[str, Any],
    title: str,
    badge: Html | None,
) -> Html:
    rows_at = str(each.get("rows") or "rows")
    rows = fields_of(value_at(value, rows_at))
    columns = fields_of(each.get("columns"))
    if not rows:
        return panel(title, tag("p", reason_of(value, rows_at) or "None.", class_="muted"), badge=badge)
    hovers = [hover_of(result, hints, output, f"{rows_at}.0.{column.get('path')}", None) for column in columns]
    body = [
        row(*(_cell(item, column, hover) for column, hover in zip(columns, hovers, strict=True)))
        for item in rows[:_ROWS_MAX]
    ]
    texts = frozenset(at for at, column in enumerate(columns) if column.get("format") in TEXT_FORMATS)
    names = [str(column.get("label") or column.get("path")) for column in columns]
    more = len(rows) - _ROWS_MAX
    note = f"and {more} more rows" if more > 0 else ""
    return panel(
        title,
        table(names, body, total=_total(result, hints, output, value, columns), text_columns=texts),
        tag("p", note, class_="footnote") if note else None,
        badge=badge,
        long=len(rows) > 12,
    )


def _cell(item: Mapping[str, Any], column: Mapping[str, Any], hover: str) -> Html:
    value, form = value_at(item, str(column.get("path"))), form_of(item, column)
    shown = word_of(value, column) or text_of(value, form)
    if value is None and item.get("reason") and form not in TEXT_FORMATS:
        hover = f"{item['reason']}\n{hover}"
    if form in TEXT_FORMATS:
        long = max(map(len, shown.split()), default=0) > _WORD_WHOLE_MAX
        kind = "text day" if form == "date" else "text wrap" if len(shown) > 40 else "text long" if long else "text"
        return tag("td", shown, class_=kind, title=hover)
    tone = tone_of(value, shown, form, column) or None
    unit = "" if form == "percent" else unit_of(item, column, value)
    # In a line of its own, where it wraps: a figure does not.
    cell = two_lines(shown, unit) if len(unit) > _UNIT_LINE_MAX else with_unit(shown, unit)
    return tag("td", cell, class_="muted" if shown == NOT_AVAILABLE else tone, title=hover)


def _total(
    result: ExecutionResult, hints: Hints, output: str, value: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]
) -> Html | None:
    cells: list[Html] = []
    for column in totals_of(columns):
        if column is None:
            cells.append(tag("td") if cells else heading(LABELS["total"]))
            continue
        path = str(column["path"])
        found = value_at(value, path)
        why = reason_of(value, path) if found is None else ""
        cells.append(_cell(value, column, "\n".join(filter(None, (why, hover_of(result, hints, output, path, found))))))
    return sum_row(*cells) if cells else None


def hover_of(result: ExecutionResult, hints: Hints, output: str, path: str, value: Any) -> str:
    """Return what a figure is and what it rests on, one fact a line."""
    lines = []
    # An answer says itself by what it was computed where that depends on the data: with 52 periods a year, not 252.
    own_words = value_at(result.data.get(output), f"conventions.{path}")
    formula = own_words if isinstance(own_words, str) else _formula(hints.schemas.get(output, {}), path)
    if formula:
        lines.append(formula)
    if value is not None and not isinstance(value, list | tuple | Mapping):
        lines.append(f"exactly {value}")
    name = hints.capability.get(output)
    step = step_of(result, output)
    if name is not None:
        lines.append(f"{name} v{step.version}" if step else name)
    trace = result.trace
    pins = [f"pack {trace.pricing_pack_id[:8]} of {trace.asof}"] if trace.pricing_pack_id else []
    pins += [f"ledger {trace.ledger_commit_hash[:8]}"] if trace.ledger_commit_hash else []
    if pins:
        lines.append(", ".join(pins))
    own = step.sources if step else ()
    if not own:
        # A step that only rearranges what others found rests on their sources.
        before = (step_of(result, each) for each in hints.reads.get(output, ()))
        own = tuple(dict.fromkeys(source for each in before if each for source in each.sources))
    # What is in the pack stands in the trace where a step read it; whoever rests on the pack rests on that.
    market = trace.sources if any(each.startswith("pricing_pack:") for each in own) else ()
    sources = [each for each in own if not each.startswith(("pricing_pack:", "ledger:", *_MARKET))]
    sources += [each for each in market if each.startswith(_MARKET)]
    if sources:
        lines.append(f"sources {', '.join(sources)}")
    return "\n".join(lines)


def _formula(schema: Mapping[str, Any], path: str) -> str:
    """Return the description of a property by its path, through references, unions and lists."""
    definitions = schema.get("$defs", {})
    node: Any = schema
    described = ""
    for part in path.split("."):
        node = _resolved(node, definitions)
        if is_index(part):
            node = node.get("items", {})
            continue
        if "additionalProperties" in node and part not in node.get("properties", {}):
            # A mapping's description is that of its values.
            node = node["additionalProperties"]
            continue
        node = node.get("properties", {}).get(part, {})
        described = str(node.get("description") or "") if isinstance(node, Mapping) else ""
    return described


def _resolved(node: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(node, Mapping):
        if "$ref" in node:
            node = definitions.get(str(node["$ref"]).rpartition("/")[2], {})
        elif "anyOf" in node:
            node = next((each for each in node["anyOf"] if each.get("type") != "null"), {})
        else:
            return node
    return {}
