"""Panels of a pattern's `presentation` in the terminal, as the report and the console show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.figures import NOT_AVAILABLE, counted
from cli.hints import (
    TEXT_FORMATS,
    Hints,
    days_since,
    fields_of,
    figure_at,
    form_of,
    newest_day,
    reason_of,
    said_once,
    scale_of,
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
from cli.report.labels import LABELS
from topics.messages import ExecutionResult

_ROWS_MAX = 20
_TEXT_WIDE_MAX = 40
_GAP = 3


def hinted(result: ExecutionResult, hints: Hints, width: int) -> Iterator[RenderableType]:
    """Yield the panels in the pattern's order; a panel whose output is not in the result is left out.

    Args:
        result: of the pattern the hints are of.
        hints: with panels.
        width: of the terminal; columns that do not fit are named below their table.
    """
    for panel in hints.panels:
        output = str(panel.get("output"))
        if output not in result.data or panel.get("kind") == "none":
            continue
        value, title = result.data[output], title_of(panel)
        last = newest_day(result, panel)
        if days_since(result, last) is not None:
            title += f" (ends {last})"
        if not isinstance(value, Mapping):
            yield Group(Text(title, "bold"), Text(why_not(result, output), "dim"), Text())
        elif panel.get("kind") == "table":
            yield _table(panel, value, title, width)
        else:
            yield _figures(panel, value, title)


def _figures(panel: Mapping[str, Any], value: Mapping[str, Any], title: str) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    grid.add_column(style="dim", overflow="fold")
    fields = fields_of(panel.get("fields"))
    reasons = [why_none(value, item) for item in fields]
    once = said_once(reasons)
    for item, why in zip(fields, reasons, strict=True):
        path, form = str(item.get("path")), str(item.get("format") or "text")
        found = figure_at(value, item)
        shown = with_unit(text_of(found, form), scale_of(value, item, found))
        told = "" if why in once else why
        grid.add_row(escape(str(item.get("label") or path)), _toned(found, shown, form, item), escape(told))
    notes = [Text(f"{NOT_AVAILABLE} {why}", "dim") for why in once]
    return Group(Text(title, "bold"), grid, *notes, Text())


def _table(panel: Mapping[str, Any], value: Mapping[str, Any], title: str, width: int) -> RenderableType:
    rows_at, columns = str(panel.get("rows") or "rows"), fields_of(panel.get("columns"))
    rows = fields_of(value_at(value, rows_at))
    if not rows:
        return Group(Text(title, "bold"), Text(reason_of(value, rows_at) or "None.", "dim"), Text())
    shown, rest = _shown(rows, columns)
    body = [[_cell(row, column) for column in columns] for row in shown]
    totals = [Text() if column is None else _cell(value, column) for column in totals_of(columns)]
    if totals and not totals[0].plain:
        totals[0] = Text(LABELS["total"], "bold")
    names = [str(column.get("label") or column.get("path")) for column in columns]
    fitting = _fitting([names, *([cell.plain for cell in row] for row in (*body, totals))], width)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, (name, column) in enumerate(list(zip(names, columns, strict=True))[:fitting]):
        left = column.get("format") in TEXT_FORMATS
        table.add_column(
            escape(name),
            justify="left" if left else "right",
            no_wrap=all(len(row[at].plain) <= _TEXT_WIDE_MAX for row in body),
            overflow="fold",
            max_width=_TEXT_WIDE_MAX if left else None,
        )
    for row in body:
        table.add_row(*row[:fitting])
    if totals:
        table.add_section()
        table.add_row(*totals[:fitting])
    notes = [rest] if rest else []
    notes += [f"a wider terminal or --report also shows {', '.join(names[fitting:])}"] if names[fitting:] else []
    return Group(table, *(Text(note, "dim") for note in notes))


def _shown(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return the rows that are shown, and what is said of the others: of a history the newest are, else the first."""
    more = len(rows) - _ROWS_MAX
    if more <= 0:
        return rows, ""
    if columns and columns[0].get("format") == "date":
        first, last = (str(value_at(row, str(columns[0].get("path"))) or "") for row in (rows[0], rows[-1]))
        if first < last:
            return rows[-_ROWS_MAX:], f"after {counted(more, 'earlier row')}"
    return rows[:_ROWS_MAX], f"and {counted(more, 'more row')}"


def _fitting(rows: Sequence[Sequence[str]], width: int) -> int:
    """Return how many leading columns fit, at least one."""
    wide = [min(max(map(len, column)), _TEXT_WIDE_MAX) + _GAP for column in zip(*filter(None, rows), strict=True)]
    return max(sum(end <= width for end in accumulate(wide)), 1)


def _cell(item: Mapping[str, Any], column: Mapping[str, Any]) -> Text:
    found, form = value_at(item, str(column.get("path"))), form_of(item, column)
    shown = word_of(found, column) or text_of(found, form)
    if form not in (*TEXT_FORMATS, "percent"):
        shown = with_unit(shown, unit_of(item, column, found))
    return _toned(found, shown, form, column)


def _toned(value: Any, shown: str, form: str, hint: Mapping[str, Any]) -> Text:
    return Text(shown, "red" if tone_of(value, shown, form, hint) else "")
