"""The index of complaints names tests that are there, and every test of this folder."""

import ast
from pathlib import Path

import tests.complaints

ROOT = Path(__file__).resolve().parents[2]
NAMED = [line.strip() for line in (tests.complaints.__doc__ or "").splitlines() if "::" in line]


def defined_in(path: Path) -> set[str]:
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_named_test_is_there() -> None:
    split = [each.split("::") for each in NAMED]
    assert [f"{path}::{name}" for path, name in split if name not in defined_in(ROOT / path)] == []
    assert len(set(NAMED)) == len(NAMED) > 13


def test_every_test_of_a_complaint_is_named() -> None:
    path = "tests/complaints/test_ledgers_and_money.py"
    assert {f"{path}::{name}" for name in defined_in(ROOT / path)} <= set(NAMED)
