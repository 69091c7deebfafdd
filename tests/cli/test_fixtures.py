"""`dawsos patterns test`: recorded answers through the engine, and the first thing that is different."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from services.fixtures import first_difference
from tests.cli.command import invoke

BUNDLED = Path(__file__).parent / "fixtures"


def pattern(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    document = {"id": "mine", "name": "Mine", "steps": list(steps), "outputs": [steps[-1]["as"]]}
    return {**document, **fields}


def noop(name: str, value: Any, **fields: Any) -> dict[str, Any]:
    return {"capability": "bench.noop", "as": name, "args": {"value": value}, **fields}


def play(folder: Path, written: dict[str, Any], fixture: dict[str, Any], *options: str) -> tuple[int, dict[str, Any]]:
    (folder / "mine.json").write_text(json.dumps(written))
    file = folder / "fixtures" / "mine.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"pattern": "../mine.json", **fixture}))
    found = invoke("patterns", "test", str(file), "--json", *options)
    return found.exit_code, json.loads(found.stdout)[0] if found.stdout else {"error": found.stderr}


def test_bundled_patterns_make_the_recorded_outputs() -> None:
    found = invoke("patterns", "test", str(BUNDLED), "--json")
    assert found.exit_code == Exit.OK, found.stdout
    assert {each["pattern"]: each["outcome"] for each in json.loads(found.stdout)} == {
        "tax_lots": "same",
        "data_quality": "same",
    }


@pytest.mark.parametrize(
    ("place", "value", "difference"),
    [
        (
            ("steps", "lots", "args", "positions"),
            [],
            "step lots asked tax.lot_details for something else: /args/positions",
        ),
        (
            ("steps", "lots", "output"),
            {"lots": 5},
            "step lots: the schema of tax.lot_details v1 does not allow its output: /output",
        ),
        (("steps", "more"), {"output": 1}, "step more was not carried out"),
        (("steps", "lots"), None, "step lots asked for tax.lot_details; the fixture holds no answer of it"),
        (("expected", "data", "realised"), {}, "/data/realised/"),
        (("expected", "status"), "failed", "expected the execution to end failed, it succeeded"),
    ],
)
def test_the_first_difference_is_named(tmp_path: Path, place: tuple[str, ...], value: Any, difference: str) -> None:
    document = json.loads((BUNDLED / "tax_lots.json").read_bytes())
    *parents, last = place
    here = document
    for key in parents:
        here = here[key]
    if value is None:
        del here[last]
        # Nothing else may name what is not there.
        document["expected"]["data"] = {}
    else:
        here[last] = value
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(document))
    found = invoke("patterns", "test", str(file))
    assert found.exit_code == Exit.ERROR
    assert found.stdout.startswith(f"{file}: {difference}"), found.stdout
    assert "1 fixture, 1 different" in found.stderr


def test_a_new_fixture_is_recorded_and_notices_a_changed_pattern(tmp_path: Path) -> None:
    before = pattern(noop("a", {"n": "{{inputs.n}}"}), noop("b", ["{{state.a.n}}"]), inputs={"n": {"type": "integer"}})
    code, found = play(tmp_path, before, {"inputs": {"n": 7}})
    assert code == Exit.ERROR and "--record" in found["difference"]
    code, found = play(tmp_path, before, {"inputs": {"n": 7}}, "--record")
    assert (code, found["outcome"]) == (Exit.OK, "recorded")
    recorded = json.loads((tmp_path / "fixtures" / "mine.json").read_bytes())
    assert recorded["steps"]["b"] == {"args": {"value": [7]}, "output": [7]}
    assert play(tmp_path, before, recorded)[0] == Exit.OK
    after = {**before, "steps": [before["steps"][0], noop("b", ["{{state.a}}"])]}
    _, found = play(tmp_path, after, recorded)
    assert found["difference"] == (
        "step b asked bench.noop for something else: /args/value/0: expected 7, got an object with 1 keys"
    )


def test_conditions_items_and_retries_are_played_without_waiting(tmp_path: Path) -> None:
    steps = (
        noop("rows", [1, 2]),
        noop("each", "{{item}}", foreach="state.rows"),
        noop("never", 0, condition="state.rows.length > 2"),
        noop("fails", 0, retry={"attempts_max": 5, "backoff_s": 3600, "cap_s": 3600}, on_error="continue"),
        noop("end", "{{state.each}}"),
    )
    error = {"code": "UPSTREAM_FAILED", "message": "down", "retryable": True}
    answers = {
        "rows": {"output": [1, 2]},
        "each[0]": {"output": 10},
        "each[1]": {"args": {"value": 2}, "output": 20},
        "fails": {"error": error},
        "end": {"args": {"value": [10, 20]}, "output": "done"},
    }
    fixture = {"steps": answers, "expected": {"data": {"end": "done"}}}
    code, found = play(tmp_path, pattern(*steps, deadline_s=86_400), fixture)
    assert code == Exit.OK, found
    failing = pattern(noop("fails", 0, retry={"attempts_max": 1}))
    ended = {"steps": {"fails": {"error": error}}, "expected": {"status": "failed", "error": "UPSTREAM_FAILED"}}
    assert play(tmp_path, failing, {**ended, "expected": {**ended["expected"], "data": {}}})[0] == Exit.OK


def test_what_is_no_fixture_says_where(tmp_path: Path) -> None:
    code, found = play(tmp_path, pattern(noop("a", 1)), {"steps": {"a": {"outputs": 1}}, "asof": "monday"})
    assert code == Exit.USAGE
    assert "#/steps/a/outputs" in found["error"] and "#/asof" in found["error"]
    code, found = play(tmp_path, pattern(noop("a", 1)), {"expected": {"data": {"a": {"$output": "b"}}}})
    assert code == Exit.USAGE and "names no step: 'b'" in found["error"]
    (tmp_path / "none").mkdir()
    assert invoke("patterns", "test", str(tmp_path / "none")).exit_code == Exit.USAGE


def test_first_difference_tells_kinds_apart() -> None:
    assert first_difference({"a/b": [1, {"c": None}]}, {"a/b": [1.0, {"c": None}]}) is None
    assert first_difference([1], [True]) == "/0: expected 1, got true"
    assert first_difference({"a/b": 1}, {}) == "/a~1b: expected 1, it is missing"
    assert first_difference([1, 2], [1]) == ": expected 2 items, got 1"
