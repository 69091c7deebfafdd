"""Patterns, capabilities and ledgers: what needs no server."""

import json
from pathlib import Path

from cli.exits import Exit
from cli.pattern_commands import find_pattern, mermaid, text_graph, waits_for
from tests.cli.command import ROOT, invoke, spawn

FAULTY = {
    "id": "9 faults",
    "name": 5,
    "description": "ten faults",
    "category": "analysis",
    "colour": "red",
    "inputs": {"n": {"type": "complex"}},
    "steps": [
        {"capability": "ledger.nothing", "as": "a", "args": {}},
        {"capability": "ledger.positions", "as": "bad name", "args": {"portfolio_id": "{{inputs.nothing}}"}},
        {"capability": "pricing.apply_pack", "as": "b", "args": {"positions": "{{state.later}}"}},
        {"capability": "charts.overview", "as": "c", "condition": "__import__('os')", "args": {}},
        {"as": "d", "timeout_s": -1, "args": {}},
    ],
    "outputs": ["missing"],
}


def test_validate_prints_all_faults_with_file_and_pointer(tmp_path: Path) -> None:
    file = tmp_path / "faulty.json"
    file.write_text(json.dumps(FAULTY))
    found = spawn("patterns", "validate", str(file))
    lines = found.stdout.splitlines()
    assert found.returncode == Exit.ERROR
    assert len(lines) >= 10
    assert all(line.startswith(f"{file}#/") for line in lines)
    pointers = {line.removeprefix(f"{file}#").split(":")[0] for line in lines}
    assert pointers >= {
        "/id",
        "/name",
        "/colour",
        "/steps/0/capability",
        "/steps/1/as",
        "/steps/3/condition",
        "/outputs/0",
    }
    listed = json.loads(invoke("patterns", "validate", str(file), "--json").stdout)
    assert len(listed["faults"]) == len(lines)
    assert set(listed["faults"][0]) == {"file", "pointer", "message"}


def test_bundled_patterns_are_valid() -> None:
    found = invoke("patterns", "validate", str(ROOT / "patterns"))
    assert found.exit_code == Exit.OK, found.stdout


def test_patterns_list_and_show() -> None:
    listed = json.loads(invoke("patterns", "list", "--json").stdout)
    overview = next(each for each in listed if each["id"] == "portfolio_overview")
    assert overview["outputs"] == ["perf_metrics", "currency_attr", "rating_badges", "charts"]
    source = (ROOT / "patterns" / "analysis" / "portfolio_overview.json").read_text(encoding="utf-8")
    assert invoke("patterns", "show", "portfolio_overview").stdout.strip() == source.strip()
    shown = json.loads(invoke("patterns", "show", "portfolio_overview", "--json").stdout)
    assert shown["steps"][0]["as"] == "positions"


def test_graph_of_sequential_steps_is_a_chain() -> None:
    compiled = find_pattern("portfolio_overview")
    ids = [step.id for step in compiled.steps]
    assert waits_for(compiled) == {each: tuple(ids[at - 1 : at]) for at, each in enumerate(ids)}
    assert mermaid(compiled).count("-->") == len(ids) - 1
    assert text_graph(compiled).count("→ output") == 4
    assert (
        json.loads(invoke("patterns", "graph", "portfolio_overview", "-f", "json").stdout)["digest"] == compiled.digest
    )


def test_graph_of_parallel_steps_fans_out(tmp_path: Path) -> None:
    def step(name: str, value: object) -> dict[str, object]:
        return {"capability": "bench.noop", "as": name, "args": {"value": value}, "parallel": True}

    file = tmp_path / "fan.json"
    steps = [
        step("a", 1),
        step("b", "{{state.a}}"),
        step("c", "{{state.a}}"),
        step("d", ["{{state.b}}", "{{state.c}}"]),
    ]
    document = {"id": "fan", "name": "Fan", "description": "", "category": "analysis", "inputs": {}, "steps": steps}
    file.write_text(json.dumps({**document, "outputs": ["d"]}))
    assert waits_for(find_pattern(str(file))) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_capabilities_in_three_forms() -> None:
    catalogue = json.loads(invoke("capabilities", "--json").stdout)
    offered = catalogue["agents"]["financial_analyst"]["capabilities"]
    wanted = {
        "context.resolve",
        "ledger.positions",
        "pricing.apply_pack",
        "metrics.compute_twr",
        "metrics.currency_attribution",
        "ratings.aggregate",
        "charts.overview",
    }
    assert offered.keys() >= wanted
    assert offered["metrics.compute_twr"]["needs"] == ["pack", "ledger", "portfolio"]
    table, page = invoke("capabilities").stdout, invoke("capabilities", "--markdown").stdout
    assert page.startswith("# Capabilities")
    for name in wanted:
        assert name in table
        assert f"### `{name}` v1" in page
    assert invoke("capabilities", "--json", "--markdown").exit_code == Exit.USAGE


def test_ledger_check(tmp_path: Path) -> None:
    good = invoke("ledger", "check", str(ROOT / "data" / "example" / "ledger.beancount"), "--json")
    assert good.exit_code == Exit.OK
    assert json.loads(good.stdout)["symbols"] == ["AAPL", "IBM", "MSFT"]
    file = tmp_path / "bad.beancount"
    file.write_text('2004-01-02 open Assets:Cash CAD\n\n2004-01-03 * "x"\n  Assets:Cash  1.00 CAD\n')
    bad = invoke("ledger", "check", str(file))
    assert bad.exit_code == Exit.ERROR
    assert "bad.beancount:3" in bad.stdout
    assert invoke("ledger", "check", str(tmp_path / "none")).exit_code == Exit.USAGE
