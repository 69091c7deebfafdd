"""A report in a browser: what is written in it can be seen."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from cli.hints import Hints, hints_of
from cli.report.page import render
from services.catalogue import load_catalogue
from services.patterns import load_patterns
from settings import load_settings
from tests.browser import CHROMIUM, NEEDS_CHROMIUM
from tests.cli.test_report_command import run
from topics.messages import ExecutionResult

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDS_CHROMIUM)
BEYOND = """() => [...document.querySelectorAll(".figure")].filter((figure) => {
  const card = figure.closest(".card, .score, .period");
  return figure.scrollWidth > figure.clientWidth || card.scrollWidth > card.clientWidth;
}).map((figure) => figure.textContent)"""


OVERLAPPING = """() => [...document.querySelectorAll("[data-chart] svg.marks")].flatMap((svg) => {
  const seen = (text) => text.textContent && getComputedStyle(text).opacity > 0;
  const texts = [...svg.querySelectorAll("text")].filter(seen);
  const boxes = texts.map((text) => ({ said: text.textContent, box: text.getBoundingClientRect() }));
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const met = (a, at) => boxes.slice(at + 1).filter((b) => meet(a.box, b.box));
  return boxes.flatMap((a, at) => met(a, at).map((b) => `${a.said} | ${b.said}`));
})"""
SHADE = """() => [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth).map(
  (box) => getComputedStyle(box).backgroundAttachment)"""
CUT = """() => [...document.querySelectorAll("table")].map((table) => table.getBoundingClientRect().right).filter(
  (right) => right > document.documentElement.clientWidth)"""
CUT_OFF = """() => [
  ...[...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth).map(
    (box) => box.closest("section").querySelector("h2").textContent),
  ...[...document.querySelectorAll(".chart text")].map((label) => label.textContent).filter((name) => /…/.test(name)),
]"""
A4_PX = 703  # 210 mm less the margins


async def seen(chromium: Browser, page: str, folder: Path, width: int, script: str, media: Any = "screen") -> Any:
    """What a script finds in a page of a width."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    view = await chromium.new_page(viewport={"width": width, "height": 900})
    await view.emulate_media(media=media)
    await view.goto(file.as_uri())
    await view.wait_for_function("!document.querySelector('[aria-busy]')")
    found = await view.evaluate(script)
    await view.close()
    return found


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_figure_of_any_size_stays_in_its_card(
    chromium: Browser, example: ExecutionResult, tmp_path: Path, width: int
) -> None:
    values = {
        "loss": ("-1025075.13", "money"),
        "gain": ("1120382.91", "money"),
        "large": ("123456789012.34", "money"),
        "residual": (0.0, "bp"),
        "share": (-12.3456, "percent"),
        "scenario": ("deleveraging_us_1929_1932", "text"),
    }
    fields = [{"path": name, "label": name, "format": form} for name, (_, form) in values.items()]
    hints = Hints([{"output": "sizes", "kind": "figures", "fields": fields}])
    metrics = {**example.data["perf_metrics"], "total_value": "123456789.01", "total_cost": "98765432.1"}
    metrics["unrealized_pl"] = "24691356.91"
    plain = example.model_copy(update={"data": {"perf_metrics": metrics}, "charts": []})
    presented = example.model_copy(update={"data": {"sizes": {k: v for k, (v, _) in values.items()}}, "charts": []})
    assert await seen(chromium, render(presented, hints=hints), tmp_path, width, BEYOND) == []
    assert await seen(chromium, render(plain), tmp_path, width, BEYOND) == []


@pytest.mark.parametrize("width", [1280, 390])
async def test_words_in_charts_do_not_overlap(
    chromium: Browser, example: ExecutionResult, tmp_path: Path, width: int
) -> None:
    drawn = "new Promise((done) => setTimeout(done, 100))"
    wait = f"async () => {{ while (document.querySelector('[data-chart][aria-busy]')) await {drawn}; }}"
    script = f"async () => {{ await ({wait})(); return ({OVERLAPPING})(); }}"
    assert await seen(chromium, render(example), tmp_path, width, script) == []


async def test_a_wide_table_shows_that_it_scrolls_and_fits_on_paper(
    chromium: Browser, example: ExecutionResult, tmp_path: Path
) -> None:
    forms = ["date", "text", "number", "date", "number", "text", "money", "money", "money", "money", "money", "text"]
    values = {"date": "2005-05-16", "number": "732.9399", "money": "-129317.60", "text": "alice/growth.beancount:127#5"}
    row = {f"f{at}": "USD" if at in (1, 5) else values[form] for at, form in enumerate(forms)}
    columns = [{"path": f"f{at}", "label": f"{form.title()} of it", "format": form} for at, form in enumerate(forms)]
    hints = Hints([{"output": "wide", "kind": "table", "rows": "rows", "columns": columns}])
    page = render(example.model_copy(update={"data": {"wide": {"rows": [row]}}, "charts": []}), hints=hints)
    assert any("local" in each for each in await seen(chromium, page, tmp_path, 390, SHADE))
    assert await seen(chromium, page, tmp_path, 1200, SHADE) == []
    assert await seen(chromium, page, tmp_path, A4_PX, CUT, "print") == []


@pytest.mark.parametrize("pattern_id", ["tax_lots", "macro_regime", "scenario_stress", "portfolio_overview"])
async def test_nothing_is_cut_off_on_a_small_laptop(chromium: Browser, tmp_path: Path, pattern_id: str) -> None:
    settings = load_settings(_env_file=None)
    catalogue = load_catalogue(settings)
    pattern = load_patterns(settings, catalogue).newest(pattern_id)
    assert pattern is not None
    page = render(await run(pattern), hints=hints_of(pattern, catalogue))
    assert await seen(chromium, page, tmp_path, 1200, CUT_OFF) == []
    assert await seen(chromium, page, tmp_path, A4_PX, CUT, "print") == []
