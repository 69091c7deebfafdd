"""Tables of a report: cells that know whether they are text, figures or gains."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from cli.figures import NOT_AVAILABLE, sign
from cli.report.markup import Child, Html, tag


def figure(shown: str, value: Any = None, hover: str = "") -> Html:
    """Return a right-aligned cell; with a value it is green above zero and red below; `hover` says what it is."""
    tone = {"up": "up", "down": "down", "flat": None}[sign(value)]
    if not any(digit in shown for digit in "123456789"):
        # What rounds to zero is neither gain nor loss.
        tone = None
    return tag("td", shown, class_="muted" if shown == NOT_AVAILABLE else tone, title=hover or None)


def text(*children: Child, wrap: bool = False) -> Html:
    """Return a left-aligned cell."""
    return tag("td", children, class_="text wrap" if wrap else "text")


def heading(*children: Child) -> Html:
    """Return the left-aligned cell that names its row."""
    return tag("th", children, scope="row", class_="text")


def two_lines(main: str, sub: str | None) -> Html:
    """Return a line with a small second one."""
    return tag("span", main, tag("span", sub, class_="sub") if sub else None)


def table(
    columns: Sequence[str],
    rows: Iterable[Html],
    *,
    total: Html | None = None,
    texts: int = 1,
    texts_last: int = 0,
    text_columns: frozenset[int] | None = None,
) -> Html:
    """Return a table that scrolls sideways on narrow screens.

    Args:
        columns: headings.
        rows: of `row`.
        total: a last row that stands out.
        texts: number of leading columns that hold text; the others hold figures.
        texts_last: number of trailing columns that hold text.
        text_columns: the columns that hold text, instead of the two numbers.
    """
    figures: Collection[int] = range(texts, len(columns) - texts_last)
    if text_columns is not None:
        figures = [at for at in range(len(columns)) if at not in text_columns]
    head = [
        tag("th", name, scope="col", class_=None if index in figures else "text") for index, name in enumerate(columns)
    ]
    body = tag("tbody", rows, total)
    return tag("div", tag("table", tag("thead", tag("tr", head)), body), class_="scroll")


def row(*cells: Html) -> Html:
    """Return a row of cells."""
    return tag("tr", cells)


def sum_row(*cells: Html) -> Html:
    """Return the row below the others."""
    return tag("tr", cells, class_="sum")


def weight_bar(value: Any, shown: str, largest: float, hover: str = "") -> Html:
    """Return a share with a bar as long as it is compared with the largest one."""
    share = min(abs(float(value)) / largest, 1.0) if value is not None and largest > 0 else 0.0
    bar = tag(
        "b", class_="short" if value is not None and float(value) < 0 else None, style=f"width:{share * 100:.1f}%"
    )
    return tag("td", tag("span", tag("i", bar), tag("span", shown), class_="weight"), title=hover or None)
