"""Hints of a pattern are checked when it is validated."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, invoke

FIELD = {"path": "total", "label": "Total", "format": "money"}
COLUMN = {"path": "name", "label": "Holding", "format": "text"}


def validated(tmp_path: Path, presentation: Any) -> list[str]:
    document = {
        "id": "mine",
        "name": "Mine",
        "inputs": {"portfolio_id": {"type": "uuid", "required": True}},
        "steps": [
            {"capability": "ledger.positions", "as": "positions", "args": {"portfolio_id": "{{inputs.portfolio_id}}"}},
            {"capability": "pricing.apply_pack", "as": "valued", "args": {"positions": "{{state.positions}}"}},
            {"capability": "portfolio.gains", "as": "gains", "args": {"positions": "{{state.valued}}"}},
        ],
        "outputs": ["gains"],
        "presentation": presentation,
    }
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(document))
    found = json.loads(invoke("patterns", "validate", str(file), "--json").stdout)
    assert found["valid"] == (0 if found["faults"] else 1)
    return [f"{each['pointer'].removeprefix('/presentation')}: {each['message']}" for each in found["faults"]]


def test_our_own_patterns_have_none() -> None:
    assert json.loads(invoke("patterns", "validate", str(ROOT / "patterns"), "--json").stdout)["faults"] == []


@pytest.mark.parametrize(
    ("panel", "faults"),
    [
        ({"kind": "figures", "fields": [FIELD]}, []),
        ({"kind": "table", "rows": "rows", "columns": [COLUMN]}, []),
        ({"kind": "none"}, []),
        ({"kind": "figure"}, ["/panels/0/kind: expected one of figures, table, none, got 'figure'"]),
        (
            {"kind": "figures", "output": "gain", "fields": [FIELD]},
            ["/panels/0/output: no output is called 'gain'; nearest: gains"],
        ),
        (
            {"kind": "figures", "feilds": [FIELD]},
            ["/panels/0/feilds: unknown key", "/panels/0/fields: expected a list of objects"],
        ),
        (
            {"kind": "figures", "fields": [{**FIELD, "path": "totl"}, {**FIELD, "format": "monay"}]},
            [
                "/panels/0/fields/0/path: totl: there is no 'totl'; nearest: total",
                "/panels/0/fields/1/format: unknown format 'monay'; nearest: money",
            ],
        ),
        (
            {"kind": "figures", "fields": [{**FIELD, "titel": "x"}, "total"]},
            ["/panels/0/fields/0/titel: unknown key", "/panels/0/fields/1: expected an object"],
        ),
        (
            {"kind": "table", "rows": "row", "columns": [COLUMN]},
            ["/panels/0/rows: row: there is no 'row'; nearest: rows"],
        ),
        ({"kind": "table", "rows": "total", "columns": [COLUMN]}, ["/panels/0/rows: expected a list, total is"]),
        (
            {"kind": "table", "rows": "rows", "columns": [{**COLUMN, "path": "nam"}, {**COLUMN, "total": "gain"}]},
            [
                "/panels/0/columns/0/path: nam: there is no 'nam'; nearest: name",
                "/panels/0/columns/1/total: gain: there is no 'gain'",
            ],
        ),
        (
            {"kind": "table", "rows": "rows", "columns": [{**COLUMN, "formats": {"by": "name", "x": "pct"}}]},
            ["/panels/0/columns/0/format: unknown format 'pct'"],
        ),
    ],
)
def test_each_fault_is_named(tmp_path: Path, panel: dict[str, Any], faults: list[str]) -> None:
    found = validated(tmp_path, {"panels": [{"output": "gains", "title": "Gains", **panel}]})
    assert len(found) == len(faults), found
    assert all(one.startswith(other) for one, other in zip(found, faults, strict=True)), found


@pytest.mark.parametrize(
    ("presentation", "fault"),
    [
        ({"panel": []}, "/panel: unknown key 'panel'"),
        ({"panels": {}}, "/panels: expected a list of panels"),
        ({"panels": ["gains"]}, "/panels/0: expected an object"),
    ],
)
def test_panels_of_the_wrong_form(tmp_path: Path, presentation: Any, fault: str) -> None:
    (found,) = validated(tmp_path, presentation)
    assert found.startswith(fault)
