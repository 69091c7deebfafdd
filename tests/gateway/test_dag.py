"""The graph of each pattern as a browser draws it: nothing reaches beyond the picture.

Skipped where there is no Chromium (Debian: apt-get install chromium).
"""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from playwright.async_api import Browser, Page, Route

import gateway
from orchestrator.describe import graph
from services.catalogue import load_catalogue
from services.patterns import load_patterns
from settings import load_settings
from tests.browser import CHROMIUM, NEEDS_CHROMIUM

CONSOLE = Path(gateway.__path__[0]) / "console"
ORIGIN = "http://console.test/"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDS_CHROMIUM)
PAGE = """<!doctype html><link rel="stylesheet" href="app.css"><main></main><script type="module">
import { Dag } from "./js/dag.js";
import { html, render } from "./vendor/htm-preact-3.1.1.module.js";
window.draw = (graph) => render(html`<${Dag} key=${graph.name} graph=${graph} />`, document.querySelector("main"));
</script>"""
# Whatever is drawn outside the picture's frame, in its own units.
BEYOND = """() => {
  const svg = document.querySelector(".dag svg");
  const frame = svg.viewBox.baseVal;
  return [...svg.querySelectorAll(".edge, .node")].filter((part) => {
    const box = part.getBBox();
    const at = svg.getCTM().inverse().multiply(part.getCTM());
    const [x, y] = [box.x + at.e - frame.x, box.y + at.f - frame.y];
    return x < 0 || y < 0 || x + box.width > frame.width || y + box.height > frame.height;
  }).length;
}"""


@pytest.fixture
async def page(chromium: Browser) -> AsyncIterator[Page]:
    async def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN)
        if name:
            await route.fulfill(path=CONSOLE / name)
        else:
            await route.fulfill(body=PAGE, content_type="text/html")

    page = await chromium.new_page()
    await page.route(f"{ORIGIN}**", serve)
    await page.goto(ORIGIN)
    await page.wait_for_function("window.draw !== undefined")
    yield page
    await page.close()


@pytest.mark.parametrize("width", [1360, 500])
async def test_no_edge_leaves_the_picture(page: Page, width: int) -> None:
    settings = load_settings(_env_file=None)
    await page.set_viewport_size({"width": width, "height": 900})
    for pattern in load_patterns(settings, load_catalogue(settings)).patterns():
        drawn = orjson.loads(orjson.dumps({**graph(pattern), "name": pattern.id}))
        await page.evaluate("(graph) => draw(graph)", drawn)
        # Which way the steps go follows the width, which is known a moment later.
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert await page.evaluate(BEYOND) == 0, pattern.id
