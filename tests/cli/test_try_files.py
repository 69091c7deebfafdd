import json
from pathlib import Path

import pytest

from cli.exits import Exit
from tests.cli.command import ROOT, invoke, spawn
from topics.messages import ExecutionResult

EXAMPLE = ROOT / "data" / "example"


def test_example_prints_exactly_one_result(example_json: str) -> None:
    document = json.loads(example_json)
    assert document["type"] == "ExecutionResult"
    assert document["status"] == "succeeded"


def test_example_has_the_keys_of_the_specification(example: ExecutionResult) -> None:
    assert list(example.data) == ["perf_metrics", "currency_attr", "rating_badges", "charts"]
    assert example.data["perf_metrics"].keys() >= {"twr", "total_value", "total_cost", "unrealized_pl"}
    assert example.data["currency_attr"].keys() >= {"local_return", "fx_return", "interaction", "total"}
    assert example.data["rating_badges"].keys() >= {"avg_dividend_safety", "avg_moat_strength", "avg_resilience"}
    assert len(example.charts) == 4
    assert [step.status for step in example.trace.steps] == ["succeeded"] * 7
    assert {panel.output for panel in example.trace.per_panel_staleness} == set(example.data)


def test_same_files_same_digest(example: ExecutionResult) -> None:
    again = invoke("try", "portfolio_overview", *_own_files(), "--base", "CAD", "--json")
    assert json.loads(again.stdout)["digest"] == example.digest


def test_json_and_report_keep_stdout_pure(tmp_path: Path) -> None:
    report = tmp_path / "deep" / "report.html"
    found = spawn("try", "--example", "--json", "--report", str(report))
    assert found.returncode == Exit.OK, found.stderr
    ExecutionResult.model_validate_json(found.stdout)
    assert str(report) in found.stderr
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_summary_shows_value_return_attribution_and_pins(example: ExecutionResult) -> None:
    found = invoke("try", "--example")
    metrics = example.data["perf_metrics"]
    assert f"{float(metrics['total_value']):,.2f}" in found.stdout
    assert f"{metrics['twr']:+.2%}" in found.stdout
    assert str(example.trace.pricing_pack_id) in found.stdout
    assert str(example.trace.ledger_commit_hash) in found.stdout
    assert example.digest in found.stdout
    for symbol in ("AAPL", "IBM", "MSFT"):
        assert symbol in found.stdout


def test_asof_chooses_the_day() -> None:
    found = invoke("try", "--example", "--asof", "2005-06-30", "--json")
    assert json.loads(found.stdout)["trace"]["asof"] == "2005-06-30"


def test_a_day_without_prices_is_answered_by_the_session_before_and_said() -> None:
    # 4 July 2005, a Monday: the last session was Friday, the first.
    title = invoke("try", "--example", "--asof", "2005-07-04").stdout
    assert "as of 1 July 2005, asked for 4 July 2005, in CAD" in " ".join(title.split())
    trace = json.loads(invoke("try", "--example", "--asof", "2005-07-04", "--json").stdout)["trace"]
    assert (trace["asof"], trace["asof_requested"]) == ("2005-07-01", "2005-07-04")
    assert "asked for 2005-07-04; the prices have none between 2005-07-01 and 2005-07-05" in trace["warnings"]


def test_a_day_in_a_hole_of_the_prices_is_refused(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    lines = (EXAMPLE / "prices.csv").read_text().splitlines(keepends=True)
    prices.write_text("".join(line for line in lines if not "2005-06-11" <= line[:10] <= "2005-07-10"))
    files = ("--prices", str(prices), "--base", "CAD", "--asof", "2005-06-30")
    found = invoke("try", "portfolio_overview", *_own_files(), *files, "--json")
    assert found.exit_code == Exit.REJECTED
    error = json.loads(found.stdout)["error"]
    assert error["code"] == "NO_PACK"
    assert "none between 2005-06-10 and 2005-07-11" in error["message"]


def test_a_rejected_run_has_its_exit_code() -> None:
    found = spawn("try", "--example", "--asof", "1999-01-04", "--json")
    assert found.returncode == Exit.REJECTED
    assert json.loads(found.stdout)["error"]["code"] == "NO_PACK"


def test_pattern_file(tmp_path: Path) -> None:
    pattern = tmp_path / "positions_only.json"
    pattern.write_text(
        json.dumps(
            {
                "id": "positions_only",
                "name": "Positions only",
                "description": "What is held",
                "category": "analysis",
                "inputs": {"portfolio_id": {"type": "uuid", "required": True}},
                "steps": [
                    {
                        "capability": "ledger.positions",
                        "as": "positions",
                        "args": {"portfolio_id": "{{inputs.portfolio_id}}"},
                    }
                ],
                "outputs": ["positions"],
            }
        )
    )
    found = invoke("try", str(pattern), "--example", "--json")
    assert found.exit_code == Exit.OK, found.stderr
    assert {row["symbol"] for row in json.loads(found.stdout)["data"]["positions"]} >= {"AAPL", "CAD"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("portfolio_overview",), "--ledger"),
        (("--example", "--base", "USD"), "--example brings its own files"),
        (("nosuch", "--example"), "there is no pattern 'nosuch'"),
        (("nosuch.json", "--example"), "cannot read the pattern file"),
        (("--example", "--asof", "31.12.2005"), "expected a date like 2012-12-31"),
        (("--example", "--input", "novalue"), "expected NAME=VALUE"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], says: str) -> None:
    found = invoke("try", *arguments)
    assert found.exit_code == Exit.USAGE
    assert says in " ".join(found.stderr.split())
    assert found.stdout == ""


def test_all_faults_of_all_files_at_once(tmp_path: Path) -> None:
    ledger = tmp_path / "bad.beancount"
    ledger.write_text('2004-01-02 * "Unbalanced"\n  Assets:Cash  10.00 CAD\n  Equity:Opening  -9.00 CAD\n')
    prices = tmp_path / "prices.csv"
    prices.write_text("date,symbol,close,currency\n2004-01-02,AAPL,-1,USD\nyesterday,AAPL,1,USD\n")
    found = invoke("try", "portfolio_overview", "--ledger", str(ledger), "--prices", str(prices), "--base", "cad")
    assert found.exit_code == Exit.USAGE
    for part in ("bad.beancount:2", "prices.csv:2", "prices.csv:3", "--base"):
        assert part in found.stderr


def test_imports_no_kafka_and_no_postgres_client() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom cli.main import app\n"
        "try:\n    app(['try', '--example', '--json'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print([name for name in ('faust', 'mode', 'aiokafka', 'asyncpg', 'redis') if name in sys.modules],"
        " file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stderr.strip() == "[]"


def _own_files() -> tuple[str, ...]:
    files = {"--ledger": "ledger.beancount", "--prices": "prices.csv", "--fx": "fx.csv"}
    return tuple(part for option, name in files.items() for part in (option, str(EXAMPLE / name)))


def test_a_day_still_to_come_is_said(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text((EXAMPLE / "prices.csv").read_text() + "2999-01-06,IBM,1,USD\n")
    found = invoke("try", "portfolio_overview", *_own_files(), "--prices", str(prices), "--base", "CAD", "--json")
    assert "prices.csv: its prices go on to 2999-01-06, which is still to come" in found.stderr


def test_nothing_is_reported_in_a_unit_of_prices() -> None:
    found = invoke("try", "portfolio_overview", *_own_files(), "--base", "GBX")
    assert found.exit_code != Exit.OK
    assert "--base: GBX is a unit of prices, nothing is reported in it: expected GBP" in found.stderr


def test_an_output_that_is_not_there_says_why(tmp_path: Path) -> None:
    steps = [
        {"capability": "ledger.positions", "as": "positions", "args": {"portfolio_id": "{{inputs.portfolio_id}}"}},
        {
            "capability": "portfolio.gains",
            "as": "gains",
            "args": {"positions": "{{state.positions}}"},
            "on_error": "continue",
        },
        {"capability": "portfolio.historical_nav", "as": "nav"},
    ]
    document = {
        "id": "mine",
        "name": "Mine",
        "inputs": {"portfolio_id": {"type": "uuid", "required": True}},
        "steps": steps,
        "outputs": ["positions", "gains", "nav"],
        "presentation": {"panels": [{"output": "positions", "kind": "none"}]},
    }
    file, report = tmp_path / "mine.json", tmp_path / "mine.html"
    file.write_text(json.dumps(document))
    found = invoke("try", str(file), "--example", "--report", str(report))
    why = "failed: portfolio.gains got unfit arguments: /positions/0/"
    assert why in " ".join(found.stdout.split()) and "null" not in found.stdout.split("gains", 1)[1][:200]
    page = report.read_text(encoding="utf-8")
    # Long columns are for charts; the rest of an output the pattern says nothing of is shown.
    assert why in page and ">Nav<" in page and "nav" in found.stdout


def test_a_stopped_run_leaves_nothing_unawaited() -> None:
    found = spawn("try", "holding_deep_dive", "--example", "--input", "symbol=sap")
    assert found.returncode != Exit.OK and "never awaited" not in found.stderr


def test_the_price_of_a_penny_share_keeps_its_decimals(tmp_path: Path) -> None:
    ledger, prices, report = tmp_path / "main.beancount", tmp_path / "prices.csv", tmp_path / "pence.html"
    ledger.write_text(
        "2020-01-02 open Assets:Shares\n2020-01-02 open Equity:In\n"
        '2020-01-02 * "in kind"\n  Assets:Shares  50000 PEN {0.01 GBP}\n  Equity:In\n'
    )
    prices.write_text("date,symbol,close,currency\n2020-01-02,PEN,1,GBX\n2020-01-03,PEN,1.2555,GBX\n")
    files = ("--ledger", str(ledger), "--prices", str(prices), "--base", "GBP")
    found = invoke("try", "portfolio_overview", *files, "--report", str(report))
    assert found.exit_code == Exit.OK, found.stderr
    assert "0.012555 GBP" in found.stdout and "0.012555 GBP" in report.read_text(encoding="utf-8")
