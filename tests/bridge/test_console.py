"""The console in a real browser against a whole instance: run, watch, reload, lose the line, compare.

Skipped where there is no Chromium (Debian: apt-get install chromium).
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, Route

from cli.console_link import console_link
from cli.figures import amount, percent, price, quantity
from db.breaker import RedisBreaker
from db.circuit import FAILURES_MAX
from db.redis_link import RedisLink
from streams.clients import start_producer, topic_name
from tests.browser import CHROMIUM, NEEDS_CHROMIUM
from tests.cli.test_report_layout import BEYOND, OVERLAPPING
from tests.integration.conftest import Instance, instance  # noqa: F401
from topics.table import EXECUTION_REQUESTS

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason=NEEDS_CHROMIUM),
    pytest.mark.timeout(600),
]
AXE = (ROOT / "tests/gateway/axe/axe-4.14.1.min.js").read_text(encoding="utf-8")
SLOW_MS = 60_000
# What people read of a page: figures with their labels, tables cell by cell, in panels up to the provenance.
READ = """() => {
  const text = (node) => node.textContent.replace(/\\s+/g, "");
  const panels = [...document.querySelectorAll("section.panel")].map((panel) => [
    text(panel.querySelector("h2")), text(panel.querySelector("header p") || panel.ownerDocument.createElement("p")),
    [...panel.querySelectorAll("tr")].map((row) => [...row.cells].map(text)),
    [...panel.querySelectorAll(".label, .figure, .note, .footnote")].map(text),
  ]);
  const cards = [...document.querySelectorAll("main .cards:not(.plain), main .periods")].map(text);
  return [cards, panels.filter(([title]) => !["Goodtoknow", "Provenance", "Executiontrace"].includes(title))];
}"""


class Browser:
    """A page of the console, and everything it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda text: self.faults.append(text.text) if text.type in ("error", "warning") else None)
        page.set_default_timeout(SLOW_MS)

    async def go(self, place: str) -> None:
        await self.page.goto(self.page.url.split("#")[0] + place)

    async def log_in(self, instance: Instance, *options: str, by_command: bool = False) -> str:  # noqa: F811
        if options or by_command:
            link = await instance.dawsos("console", "--json", *options)
            assert link.code == 0, link.err
            url = json.loads(link.out)["url"]
        else:
            # What the command does, without starting Python once more.
            url = await console_link(instance.settings(), "alice", "operator")
        await self.page.goto(url)
        await self.page.wait_for_selector("[data-connection=live]")
        return url

    async def violations(self) -> list[Any]:
        # Half shown, nothing has its contrast.
        ends = "document.getAnimations().filter((each) => each.effect.getTiming().iterations !== Infinity)"
        await self.page.evaluate(f"Promise.allSettled({ends}.map((each) => each.finished)).then(() => 0)")
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE)
        # That a control is called by what is written on it, axe does not check unless told to.
        rules = {"rules": {"label-content-name-mismatch": {"enabled": True}}, "resultTypes": ["violations"]}
        run = "(rules) => axe.run(rules).then((r) => r.violations.map((v) => [v.id, v.impact, v.help]))"
        found = await self.page.evaluate(run, rules)
        return [each for each in found if each[1] in ("serious", "critical")]


@pytest.fixture(scope="module")
async def loaded(instance: Instance) -> Instance:  # noqa: F811
    demo = await instance.dawsos("demo", "--out", str(instance.folder / "out"))
    assert demo.code == 0, demo.err
    return instance


@pytest.fixture
async def browser(loaded: Instance, chromium: Chromium) -> AsyncIterator[Browser]:
    context = await chromium.new_context(viewport={"width": 1360, "height": 900})
    yield Browser(await context.new_page())
    await context.close()


async def run_overview(browser: Browser) -> None:
    await browser.go("#/run/portfolio_overview")
    await browser.page.click("form button[type=submit]")
    await browser.page.wait_for_selector("[role=tablist]")


async def test_run_watch_and_read_a_result(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    link = await browser.log_in(loaded, by_command=True)
    assert "code=" not in page.url
    await run_overview(browser)
    await page.wait_for_selector("[data-charts] svg.marks")
    assert await page.locator("[data-charts] svg.marks").count() == 4
    assert await page.locator(".figure", has_text="1,290,419.21").count() == 1
    assert await page.locator("h1 .badge.good", has_text="succeeded").count() == 1
    await page.click("button:has-text('Provenance')")
    digest = await page.locator("dialog[open] code").first.inner_text()
    assert len(digest) == 64
    await page.click("button:has-text('Check digests')")
    await page.wait_for_selector("dialog[open] >> text=digests fit")
    await page.click("button:has-text('Recompute')")
    await page.wait_for_selector("dialog[open] >> text=the same again")
    assert await page.locator("dialog[open] tr .badge.good", has_text="same").count() == 6
    assert await browser.violations() == []
    await page.keyboard.press("Escape")
    await page.click("[data-tab=steps]")
    await page.wait_for_selector(".dag [data-state=succeeded]")
    assert await page.locator(".dag [data-state=succeeded]").count() == 7
    assert await browser.violations() == []
    await page.focus(".dag [data-step=perf_metrics]")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("dialog[open] >> text=metrics.compute_twr")
    await page.keyboard.press("Escape")
    assert browser.faults == []
    # The link is good once.
    await page.evaluate("sessionStorage.clear()")
    await page.goto("about:blank")
    await page.goto(link)
    await page.wait_for_selector("text=used before")


@pytest.mark.parametrize("pattern", ["portfolio_overview", "contribution_and_brinson", "tax_lots"])
async def test_console_and_report_show_the_same(loaded: Instance, browser: Browser, pattern: str) -> None:
    """Figures, holdings and every other table have the same labels, columns and formats in both."""
    page, file = browser.page, loaded.folder / "out" / f"{pattern}.html"
    made = await loaded.dawsos("report", pattern, "--portfolio", "growth", "--out", str(file))
    assert made.code == 0, made.err
    await page.goto(file.as_uri())
    cards, panels = await page.evaluate(READ)
    assert any(rows for _, _, rows, _ in panels)
    assert ("Holdings" in [title for title, *_ in panels]) == (pattern == "portfolio_overview")
    await browser.log_in(loaded)
    await browser.go(f"#/run/{pattern}")
    await page.click("form button[type=submit]")
    await page.wait_for_selector("[data-charts] svg.marks")
    await page.wait_for_selector("main table")
    assert await page.evaluate(READ) == [cards, panels]
    assert "cash:" not in await page.locator("main").inner_text()
    assert await browser.violations() == []
    assert browser.faults == []


async def test_a_holding_without_a_price_says_why(loaded: Instance, browser: Browser) -> None:
    page = browser.page

    async def without_price(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        for step in body.get("trace", {}).get("steps", []):
            rows = (step.get("args") or {}).get("positions")
            for row in rows if isinstance(rows, list) else ():
                if row["symbol"] == "MSFT":
                    unknown = dict.fromkeys(("price", "value_base", "weight", "unrealized_pl", "gain"))
                    row.update(unknown, status="missing", reason="no price of MSFT")
        await route.fulfill(response=answer, json=body)

    await page.route("**/executions/*/result", without_price)
    await browser.log_in(loaded)
    await run_overview(browser)
    row = page.locator("[data-holdings] tr", has_text="MSFT")
    await row.wait_for()
    assert await row.locator(".badge").get_attribute("title") == "no price of MSFT"
    assert await row.locator("td[title='no price of MSFT']").count() == 5
    assert await page.locator("[data-holdings] .sum td").nth(2).inner_text() == "–"


async def test_figures_are_rounded_and_signed_as_in_the_report(loaded: Instance, browser: Browser) -> None:
    values = ["1234.5", "-0.005", "0.015", "0.025", -1e-7, 0.123456, 2.675, "12345678901234567890.125", 0, None, "n/a"]
    await browser.log_in(loaded)
    shown = await browser.page.evaluate(
        """async (values) => {
          const { amount, percent, price, quantity } = await import("/console/js/format.js");
          return values.map((each) => [
            amount(each), amount(each, 0, true), percent(each, 2, true), quantity(each), price(each)
          ]);
        }""",
        values,
    )
    assert shown == [[amount(v), amount(v, 0, plus=True), percent(v, plus=True), quantity(v), price(v)] for v in values]


async def test_a_phone_shows_how_executions_ended(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await browser.log_in(loaded)
    await run_overview(browser)
    await page.wait_for_selector("[data-holdings]")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await browser.go("#/executions")
    badge = page.locator("[data-execution] .badge:visible").first
    await badge.wait_for()
    box = await badge.bounding_box()
    assert box is not None and box["x"] + box["width"] <= 390


async def test_charts_and_drawers_fit_a_phone(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await browser.log_in(loaded)
    await run_overview(browser)
    await page.wait_for_selector("[data-charts] svg.marks")
    await page.wait_for_selector(".chart[aria-busy]", state="detached")
    assert await page.evaluate(OVERLAPPING) == []
    for width in (390, 1360):
        await page.set_viewport_size({"width": width, "height": 844})
        await page.click("button:has-text('Provenance')")
        await page.wait_for_selector("dialog[open] table.compact")
        tables = "[...document.querySelectorAll('dialog table')].map((each) => each.getBoundingClientRect().width)"
        facts = "document.querySelector('dialog .facts').getBoundingClientRect().width"
        assert await page.evaluate(f"{tables}.every((width) => width <= {facts})"), width
        await page.keyboard.press("Escape")


async def test_a_pattern_that_is_not_known_has_steps_but_no_edges(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await page.route("**/patterns/portfolio_overview", lambda route: route.abort())
    await browser.log_in(loaded)
    place = await loaded.dawsos("executions", "list", "--pattern", "portfolio_overview", "--limit", "1", "--json")
    await browser.go(f"#/executions/{json.loads(place.out)[0]['execution_id']}?tab=steps")
    await page.wait_for_selector(".dag [data-state=succeeded]")
    assert await page.locator(".dag .node").count() == 7
    assert await page.locator(".dag .edge").count() == 0


async def test_a_phone_shows_how_packs_stand(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await browser.log_in(loaded)
    await browser.go("#/packs")
    badge = page.locator("tbody .badge:visible").first
    await badge.wait_for()
    box = await badge.bounding_box()
    assert box is not None and box["x"] + box["width"] <= 390


@pytest.mark.parametrize("place", ["scenario_stress", "holding_deep_dive?symbol=AAPL"])
async def test_figures_of_a_million_stay_in_their_cards(loaded: Instance, browser: Browser, place: str) -> None:
    page = browser.page
    await browser.log_in(loaded)
    await browser.go(f"#/run/{place}")
    await page.click("form button[type=submit]")
    await page.wait_for_selector("[data-charts] svg.marks")
    assert [text for text in await page.locator(".figure").all_inner_texts() if len(text) >= len("1,000,000.00")]
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await page.evaluate(BEYOND) == [], width
    assert browser.faults == []


async def test_the_hint_of_the_login_page_is_one_text(loaded: Instance, browser: Browser) -> None:
    url = await browser.log_in(loaded)
    await browser.page.evaluate("sessionStorage.clear()")
    await browser.page.set_viewport_size({"width": 390, "height": 844})
    await browser.page.goto("about:blank")
    await browser.page.goto(url.split("#")[0])
    await browser.page.wait_for_selector(".login .aside")
    # The icon and the text; more children would be columns of their own.
    assert await browser.page.locator(".login .aside > *").count() == 2


async def test_live_steps_reload_in_the_middle_and_a_lost_gateway(loaded: Instance, browser: Browser) -> None:
    """With the agents stopped an execution stands still; it is watched across a reload and a killed gateway."""
    page = browser.page
    await browser.log_in(loaded)
    status = json.loads((await loaded.dawsos("status", "--json")).out)
    pids = {part["name"]: part["pid"] for part in status["parts"]}
    psutil.Process(pids["agents"]).suspend()
    try:
        await run_overview(browser)
        await page.wait_for_selector(".dag [data-state=requested]")
        assert await page.locator("h1 .badge.busy").count() == 1
        await page.reload()
        await page.wait_for_selector(".dag [data-state=requested]")
        os.kill(pids["gateway"], signal.SIGKILL)
        await page.wait_for_selector("[data-connection=waiting]")
        await page.wait_for_selector("[data-connection=live]")
        await page.wait_for_selector(".dag [data-state=requested]")
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pids["agents"]).resume()
    await page.wait_for_selector("[data-charts] svg.marks")


async def test_history_packs_and_the_rest(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await browser.log_in(loaded)
    await browser.go("#/executions")
    await page.wait_for_selector("[data-execution]")
    await page.fill("[data-search]", "no such thing")
    await page.wait_for_selector("text=Nothing fits")
    await browser.go("#/packs")
    await page.wait_for_selector("text=31 December 2012")
    await browser.go("#/capabilities")
    await page.wait_for_selector("text=metrics.compute_twr@")
    await browser.go("#/letters")
    await page.wait_for_selector("text=Only dead letters of your tenant are shown here")
    for nowhere in ("#/nowhere", "#/%ff"):
        await browser.go(nowhere)
        await page.wait_for_selector("text=There is nothing at this address")
        await browser.go("#/packs")
    for key, heading in (("r", "Run a pattern"), ("h", "History"), ("p", "Pricing packs"), ("d", "Dead letters")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await page.wait_for_selector(f"h1:has-text('{heading}')")
    assert browser.faults == []


async def test_an_unknown_execution_is_said_at_once(loaded: Instance, browser: Browser) -> None:
    await browser.log_in(loaded)
    await browser.page.wait_for_selector("[data-connection=live]")
    await browser.go(f"#/executions/{uuid4()}")
    await browser.page.wait_for_selector("text=There is no such execution", timeout=4000)


async def test_two_executions_are_compared(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await browser.log_in(loaded)
    for day in ("2012-12-31", "2011-06-30"):
        await browser.go("#/run/portfolio_overview")
        await page.fill("#asof", day)
        await page.click("form button[type=submit]")
        await page.wait_for_selector("[data-charts] svg.marks")
    await browser.go("#/executions")
    boxes = page.locator("[data-execution] input")
    await boxes.nth(0).check()
    await boxes.nth(1).check()
    await page.click("button:has-text('Compare')")
    await page.wait_for_selector(".versus")
    for text in ("different answers", "pin:pack", "pricing_pack_id", "perf_metrics.total_value", "1290419.2"):
        assert await page.locator(f"main >> text={text}").count() >= 1, text
    await page.click("summary")
    assert await browser.violations() == []
    await page.set_viewport_size({"width": 390, "height": 844})
    for second in await page.locator("td.changed.text:visible").all():
        box = await second.bounding_box()
        assert box is not None and box["x"] + box["width"] <= 390


async def test_only_a_pattern_that_reads_prices_asks_for_their_day(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await browser.log_in(loaded)
    await browser.go("#/run/pack_build")
    await page.wait_for_selector("#input-asof")
    assert await page.locator("#asof, [name=gate]").count() == 0
    assert await page.inner_text("label[for=input-asof]") == "As of"
    await browser.go("#/run/portfolio_overview")
    await page.wait_for_selector("#asof")
    assert "even while its prices are warming" in await page.inner_text("form")


async def test_differences_are_said_in_the_words_of_the_page(loaded: Instance, browser: Browser) -> None:
    """What a rejected execution and one of another pattern do not have is absent, or only in the first."""
    page = browser.page
    await browser.log_in(loaded)
    charts = "[data-charts] svg.marks"
    ids = []
    for pattern, day, ended in (
        ("portfolio_overview", "2012-12-31", charts),
        ("portfolio_overview", "1990-01-02", "text=NO_PACK"),
        ("macro_regime", "2012-12-31", charts),
    ):
        await browser.go(f"#/run/{pattern}")
        await page.fill("#asof", day)
        await page.click("form button[type=submit]")
        await page.wait_for_selector(ended)
        ids.append(page.url.split("#/executions/")[1].split("?")[0])
    for other, said in ((ids[1], "base_ccy was CAD, is absent"), (ids[2], "only in the second")):
        await browser.go(f"#/diff/{ids[0]}/{other}")
        await page.wait_for_selector(f"main >> text={said}")
        text = await page.locator("main").inner_text()
        assert "is null" not in text and "only in A" not in text and "only in B" not in text


async def test_an_optional_input_has_the_field_of_its_kind(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await browser.log_in(loaded)
    await browser.go("#/run/tax_lots")
    await page.wait_for_selector("#input-year")
    assert await page.get_attribute("#input-year", "type") == "number"
    assert "Calendar year" in await page.inner_text("#input-year-note")
    await page.evaluate("document.querySelector('form').noValidate = true")
    await page.fill("#input-year", "1800")
    await page.click("form button[type=submit]")
    await page.wait_for_selector("#input-year-note:has-text('At least 1900')")


async def test_a_wrong_input_is_said_at_its_field(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await browser.log_in(loaded)
    await browser.go("#/run/portfolio_overview")
    await page.fill("#asof", "1990-01-02")
    await page.click("form button[type=submit]")
    await page.wait_for_selector("text=NO_PACK")
    await browser.go("#/executions/00000000-0000-4000-8000-000000000000")
    await page.wait_for_selector("[role=alert]")
    await browser.go("#/executions/abc")
    alert = page.locator("[role=alert]", has_text="'abc'")
    await alert.wait_for()
    text = await alert.inner_text()
    assert text.count("expected an id of 36 characters") == 1 and "Input should be" not in text and "{" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
async def test_accessible_and_fitting(loaded: Instance, browser: Browser, scheme: Any, width: int) -> None:
    """No serious violation of axe-core in any view, light and dark; nothing is wider than a phone."""
    page = browser.page
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 844})
    await browser.log_in(loaded, "--user", "bob")
    for place in ("#/run", "#/run/portfolio_overview", "#/executions", "#/packs", "#/capabilities", "#/letters"):
        await browser.go(place)
        await page.wait_for_selector("h1")
        await page.wait_for_selector(".loading", state="detached")
        assert await browser.violations() == [], place
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


async def test_the_page_asks_for_nothing_elsewhere_and_evaluates_nothing(loaded: Instance, browser: Browser) -> None:
    asked: list[str] = []
    browser.page.on("request", lambda request: asked.append(request.url))
    await browser.log_in(loaded)
    await run_overview(browser)
    await browser.page.wait_for_selector("[data-charts] svg.marks")
    origin = browser.page.url.split("/console")[0]
    assert all(url.startswith((origin, "data:", "blob:")) for url in asked)
    assert not any("eyJ" in url or "ticket" in url.replace("/ws-tickets", "") for url in asked)
    answer = await browser.page.request.get(origin + "/console/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy
    # Whatever the policy had stopped would be an error in the page's console.
    assert browser.faults == []


async def test_an_open_circuit_and_a_dead_letter_that_is_sent_again(loaded: Instance, browser: Browser) -> None:
    page, settings = browser.page, loaded.settings()
    link = RedisLink(settings.redis_url())
    breaker, later_ms = RedisBreaker(link, f"{settings.topic_prefix}dawsos."), int(time.time() * 1000) + SLOW_MS
    producer = await start_producer(settings, "test")
    try:
        for _ in range(FAILURES_MAX):
            await breaker.failed("data_harvester/polygon", later_ms)
        await breaker.failed("data_harvester/fmp", later_ms)
        topic = topic_name(settings, EXECUTION_REQUESTS)
        await producer.send_and_wait(topic, b'{"type":"ExecuteRequest","v":99,"tenant":"demo"}', b"x")
        await browser.log_in(loaded)
        await browser.go("#/capabilities")
        card = page.locator(".circuits .card", has_text="polygon")
        await card.locator(".badge.bad", has_text="open").wait_for()
        assert "tried again in" in await card.inner_text()
        assert "1 failures" not in await page.locator(".circuits").inner_text()
        await page.emulate_media(color_scheme="dark")
        assert await browser.violations() == []
    finally:
        await producer.stop()
        for name in ("polygon", "fmp"):
            await breaker.succeeded(f"data_harvester/{name}", later_ms)
        await link.close()
    await browser.go("#/letters")
    while not await page.locator("tbody tr").count():
        await page.reload()
        await page.wait_for_selector("tbody tr, .empty")
    await page.click("tbody button.link")
    await page.wait_for_selector("dialog[open] pre")
    assert await browser.violations() == []
    await page.click("dialog[open] button:has-text('Redrive')")
    await page.wait_for_selector("text=1 sent to its origin again")
    await page.select_option("select", "false")
    await page.wait_for_selector("tbody >> text=sent again")
    assert browser.faults == []
    await page.context.set_offline(True)
    await browser.go("#/packs")
    await page.wait_for_selector("[role=alert] >> text=The gateway does not answer")
    await page.context.set_offline(False)
    await page.click("[role=alert] button")
    await page.wait_for_selector("text=31 December 2012")


async def test_a_session_ends_with_its_token(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    await browser.log_in(loaded)
    token = await loaded.dawsos("token", "--hours", "0.005")
    await page.evaluate("token => sessionStorage.setItem('dawsos.token', token)", token.out.strip())
    await page.reload()
    # Well before the gateway, which allows for clocks that differ, refuses the token.
    await page.wait_for_selector(".login >> text=Your session has ended", timeout=60_000)
    # And the same words where the tab is opened again after the token's end.
    await page.evaluate("token => sessionStorage.setItem('dawsos.token', token)", token.out.strip())
    await page.reload()
    await page.wait_for_selector(".login >> text=Your session has ended")
    assert await page.evaluate("sessionStorage.getItem('dawsos.token')") is None


async def test_everything_can_be_reached_and_left_by_keyboard(loaded: Instance, browser: Browser) -> None:
    page = browser.page
    focused = """() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      const name = document.activeElement.getAttribute("aria-label") || document.activeElement.textContent;
      return [name.trim(), outlineStyle !== "none" && outlineWidth !== "0px"];
    }"""
    await browser.log_in(loaded)
    await run_overview(browser)
    await page.wait_for_selector("[data-charts] svg.marks")
    reached: list[str] = []
    while "Provenance" not in reached:
        await page.keyboard.press("Tab")
        name, seen = await page.evaluate(focused)
        reached.append(name)
        assert seen and len(reached) < 40, reached
    assert {"Skip to the content", "History", "Dead letters", "Run again", "Compare"} <= set(reached)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("dialog[open]")
    assert await page.evaluate("document.activeElement.closest('dialog') !== null")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog[open]", state="detached")
    assert (await page.evaluate(focused))[0] == "Provenance"


async def test_viewers_see_no_dead_letters(loaded: Instance, browser: Browser) -> None:
    await browser.log_in(loaded, "--role", "viewer")
    await browser.go("#/letters")
    await browser.page.wait_for_selector("text=For operators")
