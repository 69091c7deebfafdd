"""A report in a browser: what is written in it can be seen."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from cli.report.page import render
from cli.report.presented import Hints
from topics.messages import ExecutionResult

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to look at the page")
ARGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
BEYOND = """() => [...document.querySelectorAll(".figure")].filter((figure) => {
  const card = figure.closest(".card, .score, .period");
  return figure.scrollWidth > figure.clientWidth || card.scrollWidth > card.clientWidth;
}).map((figure) => figure.textContent)"""


async def seen(page: str, folder: Path, width: int, script: str) -> Any:
    """What a script finds in a page of a width."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        view = await browser.new_page(viewport={"width": width, "height": 900})
        await view.goto(file.as_uri())
        found = await view.evaluate(script)
        await browser.close()
    return found


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_figure_of_any_size_stays_in_its_card(example: ExecutionResult, tmp_path: Path, width: int) -> None:
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
    assert await seen(render(presented, hints=hints), tmp_path, width, BEYOND) == []
    assert await seen(render(plain), tmp_path, width, BEYOND) == []
