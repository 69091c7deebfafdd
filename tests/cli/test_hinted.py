"""A pattern's panels in the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli.hinted import hinted
from cli.hints import Hints
from topics.messages import ExecutionResult

PANELS: list[dict[str, Any]] = [
    {
        "output": "sales",
        "title": "Sum",
        "kind": "figures",
        "fields": [
            {"path": "mean", "label": "Mean", "format": "money"},
            {"path": "rows.0.name", "when": "mean", "label": "Largest", "format": "text", "reason": "reasons.mean"},
        ],
    },
    {
        "output": "sales",
        "title": "Sales",
        "kind": "table",
        "columns": [
            {"path": "name", "label": "Name", "format": "text"},
            {"path": "kind", "label": "Kind", "format": "text", "words": {"b": "bought"}},
            {"path": "gain", "label": "Gain", "format": "money", "total": "gain"},
            {"path": "fees", "label": "Fees", "format": "money", "total": "fees"},
        ],
    },
]
ROWS = [{"name": f"SYN-{at:02}", "kind": "b", "gain": "-1.5", "fees": {"USD": "0.5"}} for at in range(25)]
SALES = {"rows": ROWS, "gain": "-37.5", "fees": {"USD": "12.5"}, "mean": None, "reasons": {"mean": "not asked for"}}


def shown(example: ExecutionResult, width: int, sales: Any = SALES) -> list[str]:
    result = example.model_copy(update={"data": {"sales": sales}})
    console = Console(file=io.StringIO(), width=width)
    for part in hinted(result, Hints(PANELS), width):
        console.print(part)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_table_ends_with_its_total_and_says_what_it_leaves_out(example: ExecutionResult) -> None:
    lines = shown(example, 100)
    assert "Mean – not asked for" in lines and "Largest – not asked for" in lines
    assert "Largest SYN-00" in shown(example, 100, {**SALES, "mean": "1.5"})
    assert "SYN-00 bought −1.50 USD 0.50" in lines
    assert "Total −37.50 USD 12.50" in lines and "and 5 more rows" in lines
    assert not any("SYN-20" in line for line in lines)


@pytest.mark.parametrize(("width", "left_out"), [(40, []), (30, ["Fees"]), (10, ["Kind", "Gain", "Fees"])])
def test_columns_that_do_not_fit_are_named(example: ExecutionResult, width: int, left_out: list[str]) -> None:
    text = " ".join(shown(example, width))
    assert ("a wider terminal or --report also shows " + ", ".join(left_out) in text) == bool(left_out)
    assert ("USD 12.50" in text) == ("Fees" not in left_out)


def test_without_rows_the_reason_stands_there(example: ExecutionResult) -> None:
    assert "no prices" in shown(example, 80, {"rows": [], "reasons": {"rows": "no prices"}})
    assert "not computed" in shown(example, 80, None)


def test_of_a_history_the_newest_rows_are_shown(example: ExecutionResult) -> None:
    columns = [{"path": "on", "label": "Day", "format": "date"}, {"path": "n", "label": "N", "format": "number"}]
    panel = {"output": "sales", "title": "History", "kind": "table", "columns": columns}
    rows = [{"on": f"2020-01-{at:02}", "n": at} for at in range(1, 26)]

    def lines(given: list[dict[str, Any]]) -> list[str]:
        result = example.model_copy(update={"data": {"sales": {"rows": given}}})
        console = Console(file=io.StringIO(), width=80)
        for part in hinted(result, Hints([panel]), 80):
            console.print(part)
        return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]

    oldest_first = lines(rows)
    assert "2020-01-25 25" in oldest_first and "after 5 earlier rows" in oldest_first
    assert "2020-01-05 5" not in oldest_first
    newest_first = lines(rows[::-1])
    assert "2020-01-25 25" in newest_first and "and 5 more rows" in newest_first
