import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cli.holdings import find_holdings
from cli.report.charts import prepare
from cli.report.labels import holding_label, position_label
from cli.report.markup import json_script, tag
from cli.report.page import VENDORED, render
from cli.report.panels import key_figures
from tests.cli.command import ROOT
from topics.canonical import sha256_hex
from topics.messages import ExecutionResult

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Page(HTMLParser):
    """Elements of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(result: ExecutionResult) -> str:
    return render(result, holdings=find_holdings(result), portfolio_name="Test", pattern_name="Overview")


def hostile(value: Any) -> Any:
    """The same JSON with every name of a holding replaced by an attack."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if value in ("AAPL", "Apple Inc.", "USD") else value


def test_report_has_every_panel_and_all_holdings(example: ExecutionResult) -> None:
    text = " ".join(Page(page_of(example)).texts)
    for part in ("Total value", "Holdings", "Currency attribution", "Quality ratings", "Provenance", "Execution trace"):
        assert part in text
    assert find_holdings(example)[0]["symbol"] == "AAPL"
    for part in ("153,968.90", "+76.60%", example.digest, str(example.trace.pack_sha256), "AAPL", "Cash EUR"):
        assert part in text


def test_every_chart_is_there_with_its_data(example: ExecutionResult) -> None:
    page = page_of(example)
    block = re.search(r'<script type="application/json" id="chart-specs">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    specs = json.loads(block[1])
    assert [spec["name"] for spec in specs] == [chart["name"] for chart in example.charts]
    assert [attributes.get("data-chart") for _, attributes in Page(page).tags if "data-chart" in attributes] == list(
        map(str, range(len(specs)))
    )


def test_a_holding_has_one_name_in_tables_and_charts(example: ExecutionResult) -> None:
    rows = find_holdings(example)
    allocation = next(chart for chart in prepare(example.charts) if chart.name == "allocation")
    drawn = [bar["label"] for bar in allocation.spec["data"]["values"]]
    assert sorted(drawn) == sorted(holding_label(row["kind"], row["symbol"]) for row in rows)
    attributed = [row["name"] for row in example.data["currency_attr"]["by_position"]]
    assert any(name.startswith("cash:") for name in attributed)
    assert {position_label(name) for name in attributed} >= set(drawn)
    assert "cash:" not in " ".join(Page(page_of(example)).texts).split("Provenance")[0]


def test_charts_write_names_and_minus_signs_as_tables_do() -> None:
    rows = [{"label": "cash:CAD", "shown": "-0.66%", "value": -1, "day": "2012-12-31"}]
    spec = {"title": {"text": "T", "subtitle": "2012-01-02 to 2012-12-31: -28.32%"}, "data": {"values": rows}}
    chart = prepare([spec | {"encoding": {"x": {"sort": ["cash:CAD"]}}}])[0]
    assert chart.subtitle == "2012-01-02 to 2012-12-31: −28.32%"
    assert chart.spec["data"]["values"] == [{"label": "Cash CAD", "shown": "−0.66%", "value": -1, "day": "2012-12-31"}]
    assert chart.spec["encoding"]["x"]["sort"] == ["Cash CAD"]


def test_every_panel_says_how_fresh_it_is(example: ExecutionResult) -> None:
    badges = [a for _, a in Page(page_of(example)).tags if (a.get("class") or "").startswith("badge good")]
    outputs = len(example.data)
    assert len(badges) >= outputs


def test_a_period_says_since_when_it_is_measured(example: ExecutionResult) -> None:
    # The example ends on 31 December 2012; answers recorded before `starts` was told have none.
    metrics = {**example.data["perf_metrics"], "starts": {"ytd": "2011-12-30"}}
    titles = [a.get("title") or "" for _, a in Page(str(key_figures(metrics))).tags if a.get("class") == "period"]
    assert [title for title in titles if title] == ["since 30 December 2011"]


def test_a_stale_panel_is_labelled(example: ExecutionResult) -> None:
    panels = tuple(
        panel.model_copy(update={"stale": True, "status": "stale"}) for panel in example.trace.per_panel_staleness
    )
    trace = example.trace.model_copy(update={"per_panel_staleness": panels})
    text = " ".join(Page(page_of(example.model_copy(update={"trace": trace}))).texts)
    assert "stale prices" in text
    assert "fresh" not in text.split("Provenance")[0]


def test_nothing_is_loaded_from_anywhere(example: ExecutionResult) -> None:
    page = Page(page_of(example))
    for name, attributes in page.tags:
        assert "src" not in attributes, name
        assert name not in ("link", "iframe", "object", "embed", "base")
    policy = next(a["content"] for n, a in page.tags if n == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy


def test_policy_allows_exactly_the_scripts_of_the_page(example: ExecutionResult) -> None:
    page = page_of(example)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == len(VENDORED) + 1
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"&#x27;sha256-([^&]+)&#x27;", page)) == hashes


def test_hostile_names_stay_text(example: ExecutionResult) -> None:
    document = hostile(json.loads(example.model_dump_json(by_alias=True)))
    document["request_id"] = HOSTILE
    document["trace"]["warnings"] = [HOSTILE]
    attacked = ExecutionResult.model_validate_json(json.dumps(document))
    page = render(attacked, holdings=find_holdings(attacked), portfolio_name=HOSTILE, pattern_name=HOSTILE)
    plain = Page(page_of(example))
    found = Page(page)
    assert HOSTILE in found.texts
    assert [name for name, _ in found.tags if name in ("img", "script")] == [
        name for name, _ in plain.tags if name in ("img", "script")
    ]
    assert not any(key.startswith("on") for _, attributes in found.tags for key in attributes)
    block = re.search(r'id="chart-specs">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    assert "<" not in block[1]
    assert HOSTILE in json.dumps(json.loads(block[1]), ensure_ascii=False).encode().decode("unicode_escape")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium to look at the page")
def test_a_browser_draws_every_chart_and_runs_no_other_script(example: ExecutionResult, tmp_path: Path) -> None:
    document = hostile(json.loads(example.model_dump_json(by_alias=True)))
    attacked = ExecutionResult.model_validate_json(json.dumps(document))
    attack = "<img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>"
    page = render(attacked, holdings=find_holdings(attacked), portfolio_name=attack)
    # Even markup that got past the escaping would be stopped by the page's own policy.
    file = tmp_path / "report.html"
    file.write_text(page.replace("</main>", f"{attack}</main>"), encoding="utf-8")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
    found = subprocess.run(
        [
            str(shutil.which("chromium")),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            *quiet,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    drawn = Page(found.stdout)
    assert sum(name == "svg" and (a.get("class") or "") == "marks" for name, a in drawn.tags) == len(example.charts)
    assert "chart-failed" not in {a.get("class") for _, a in drawn.tags}
    assert "aria-busy" not in {key for _, a in drawn.tags for key in a}
    title = re.search(r"<title>(.*?)</title>", found.stdout, re.DOTALL)
    assert title is not None
    assert title[1].startswith("&lt;img")


def test_same_result_same_bytes(example: ExecutionResult) -> None:
    assert page_of(example) == page_of(example)


def test_a_failed_result_says_why(example: ExecutionResult) -> None:
    document = json.loads(example.model_dump_json(by_alias=True))
    document |= {
        "status": "rejected",
        "data": {},
        "charts": [],
        "error": {"code": "NO_PACK", "message": "no pack for that day", "retryable": False},
    }
    page = page_of(ExecutionResult.model_validate_json(json.dumps(document)))
    text = " ".join(Page(page).texts)
    assert "NO_PACK" in text
    assert "no pack for that day" in text
    assert "<script>" not in page


def test_outputs_of_unknown_shape_become_tables(example: ExecutionResult) -> None:
    data = {
        "risk": {"volatility": 0.12, "worst": [1, 2], "n_obs": 7, "asof": "2005-12-30", "findings": []},
        "rows": [{"name": "a", "value": 3}],
        "note": "plain",
    }
    text = " ".join(Page(page_of(example.model_copy(update={"data": data}))).texts)
    for part in ("Risk", "Volatility", "0.12", "1, 2", "Observations", "As of", "Findings none", "Rows", "plain"):
        assert part in text


def test_missing_figures_show_their_reason(example: ExecutionResult) -> None:
    metrics = dict(example.data["perf_metrics"])
    metrics |= {"total_value": None, "reasons": {"total_value": "no price for AAPL in the pack"}}
    page = page_of(example.model_copy(update={"data": {**example.data, "perf_metrics": metrics}}))
    assert "no price for AAPL in the pack" in page


def test_chart_colours_follow_the_theme() -> None:
    spec = {
        "title": {"text": "T", "subtitle": "S"},
        "mark": {"type": "bar", "color": "#2563eb"},
        "data": {"values": [{"label": "#2563eb"}]},
        "encoding": {"color": {"value": "#123456"}},
    }
    (chart,) = prepare([spec, "no spec"])
    assert (chart.title, chart.subtitle) == ("T", "S")
    assert chart.spec["mark"]["color"] == "var(--chart-blue)"
    assert chart.spec["data"]["values"] == [{"label": "#2563eb"}]
    assert chart.spec["encoding"]["color"]["value"] == "#123456"
    assert "title" not in chart.spec


def test_markup_escapes_text_attributes_and_json() -> None:
    made = tag("p", "<b>", tag("i", "&"), title='"x"', hidden=False, open_=True)
    assert made == '<p title="&quot;x&quot;" open>&lt;b&gt;<i>&amp;</i></p>'
    assert "</script" not in json_script("a", {"k": "</script>\u2028"}).removesuffix("</script>")


def test_vendored_files_are_those_recorded() -> None:
    recorded = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    files = [*(ROOT / "gateway/console/vendor").glob("*.js"), *(ROOT / "tests/gateway/axe").glob("*.js")]
    assert {name for name in VENDORED} <= {file.name for file in files}
    for file in files:
        assert f"`{file.name}`" in recorded
        assert sha256_hex(file.read_bytes()) in recorded
        assert file.with_name(re.sub(r"\.(min|esm|module)\.js$", ".LICENSE.txt", file.name)).is_file()
