"""A small ledger worked out by hand, through every bundled pattern as `dawsos try` runs them.

Thirty weekdays, four currencies, base CAD; prices and rates change on the days named below and at no other time, and
all trades are done at the day's close, so that each figure can be followed with a pencil.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import date, timedelta
from math import log, sqrt
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest

from agents.pack_builder import PackBuilder
from agents.runtime import AgentRuntime
from db.memory_packs import MemoryPacks
from services.clock import SystemClock
from services.local_artifacts import LocalArtifacts
from services.local_data import TENANT, read_local_data
from services.market_sources import FolderSource, NamedSources
from tests.services_tests.demo_runs import Stage
from tests.services_tests.desk import memory_desk
from topics.messages import ExecutionStatus

LEDGER = Path(__file__).parent / "hand" / "ledger.beancount"
DAYS = [on for on in (date(2004, 1, 5) + timedelta(days=at) for at in range(40)) if on.weekday() < 5]
END = DAYS[-1]
# Symbol → price unit and close from a day on.
CLOSES = {
    "SYN-A": ("USD", {"01-05": "40", "01-12": "42", "01-14": "45", "01-20": "22.5", "02-02": "23", "02-10": "24"}),
    "SYN-B": ("EUR", {"01-05": "60", "01-28": "30", "02-05": "33"}),
    "SYN-P": ("GBX", {"01-05": "250", "01-16": "275"}),
    "SYN-S": ("USD", {"01-05": "30", "02-09": "25"}),
}
RATES = {"USD": {"01-05": "1.25", "02-02": "1.30"}, "EUR": {"01-05": "1.60", "02-02": "1.50"}, "GBP": {"01-05": "2.40"}}
# Every day that earned something: net value before it and what each holding added, CAD.
#   5 Jan  26,300 put in; buying costs 10 USD = 12.50, before the first close: 26,287.50
#  12 Jan  100 SYN-A × 2 USD × 1.25
#  14 Jan  (100 + 60) SYN-A × 3 USD × 1.25; fee 5 USD × 1.25
#  16 Jan  400 SYN-P × 25 p × 2.40
#  22 Jan  SYN-A goes ex dividend: 100 less 15 USD tax, owed, × 1.25. Splits, moves, exchange: nothing.
#   2 Feb  SYN-A, 200 after the split: price 200 × 0.50 × 1.25 = 125, currency 200 × 22.50 × 0.05 = 225, both 5;
#          SYN-S −20 × 30 × 0.05; SYN-B 100 × 30 × −0.10; EUR 2,000 × −0.10; USD (5,765 + 85 owed) × 0.05
#   5 Feb  100 SYN-B × 3 EUR × 1.50, after 2,000 CAD came in on the 4th: 27,595 + 2,000
#   9 Feb  −20 SYN-S × −5 USD × 1.30
#  10 Feb  200 SYN-A × 1 USD × 1.30; fee 8 USD × 1.30
#  11 Feb  interest. On the 12th 100 SYN-P go at 275 p × 2.40 = 660: 30,436.60 − 660 = 29,776.60
COSTS = "costs and exchange"
EARNED: dict[str, tuple[float, dict[str, float]]] = {
    "01-12": (26287.50, {"SYN-A": 250}),
    "01-14": (26537.50, {"SYN-A": 600, COSTS: -6.25}),
    "01-16": (27131.25, {"SYN-P": 240}),
    "01-22": (27371.25, {"SYN-A": 106.25}),
    "02-02": (27477.50, {"SYN-A": 355, "SYN-S": -30, "SYN-B": -300, "cash:EUR": -200, "cash:USD": 292.50}),
    "02-05": (29595.00, {"SYN-B": 450}),
    "02-09": (30045.00, {"SYN-S": 130}),
    "02-10": (30175.00, {"SYN-A": 260, COSTS: -10.40}),
    "02-11": (30424.60, {"cash:CAD": 12}),
}
VALUE, COST = 29776.60, 10350.0
# Closing value by holding: 150 × 24 × 1.30; 100 × 33 × 1.50; 300 × 2.75 × 2.40; cash 6,542 USD, 2,000 EUR, 1,000 GBP.
VALUES = {
    "SYN-A": 4680.0,
    "SYN-B": 4950.0,
    "SYN-P": 1980.0,
    "cash:USD": 8504.60,
    "cash:EUR": 3000.0,
    "cash:GBP": 2400.0,
    "cash:CAD": 4262.0,
}
SHARES = 11610.0
# (27,595 / 26,287.50) · (30,436.60 / 29,595) − 1
TWR = 27595.00 / 26287.50 * 30436.60 / 29595.00 - 1


def at(changes: dict[str, str], on: date) -> str:
    return [value for since, value in changes.items() if since <= f"{on:%m-%d}"][-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hand")
    prices = [f"{on},{name},{at(closes, on)},{unit}" for on in DAYS for name, (unit, closes) in CLOSES.items()]
    rates = [f"{on},{name},CAD,{at(changes, on)}" for on in DAYS for name, changes in RATES.items()]
    (made / "prices.csv").write_text("\n".join(["date,symbol,close,currency", *prices, ""]))
    (made / "fx.csv").write_text("\n".join(["date,base,quote,rate", *rates, ""]))
    return made


@pytest.fixture(scope="module")
async def stage(folder: Path) -> AsyncIterator[Stage]:
    yield Stage(read_local_data(LEDGER, folder / "prices.csv", folder / "fx.csv", "CAD"))


async def run(stage: Stage, pattern_id: str, runtime: AgentRuntime | None = None, **inputs: Any) -> dict[str, Any]:
    result = await stage.run(pattern_id, inputs, runtime=runtime)
    assert result.status is ExecutionStatus.SUCCEEDED, result.error
    return result.data


def linked(parts: dict[str, float]) -> float:
    """Link what something added day by day after Carino: C = Σ k_t/K · c_t."""
    whole = log(1 + TWR) / TWR
    found = 0.0
    for on, earned in parts.items():
        before, day = EARNED[on]
        back = sum(day.values()) / before
        found += log(1 + back) / back / whole * earned / before
    return found


def added(name: str) -> float:
    return linked({on: day[name] for on, (_, day) in EARNED.items() if name in day})


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-10)


async def test_portfolio_overview(stage: Stage) -> None:
    found = await run(stage, "portfolio_overview")
    metrics = found["perf_metrics"]
    # Cost of shares 10,350 (see the lots below), cash at its value; 26,300 + 2,000 − 660 put in.
    assert (metrics["total_value"], metrics["unrealized_pl"], metrics["net_flows"]) == ("29776.6", "1260", "27640")
    assert float(metrics["total_cost"]) == pytest.approx(COST + VALUE - SHARES)
    assert metrics["twr"] == near(TWR)
    assert metrics["mtd"] == near(27595.00 / 27477.50 * 30436.60 / 29595.00 - 1)
    assert metrics["annualised"] is None and metrics["reasons"]["annualised"] == "less than one year"
    assert metrics["drawdown"]["depth"] == 0  # the value never fell but by the withdrawal
    effects = found["currency_attr"]
    assert effects["total"] == near(TWR) and effects["residual_bp"] < 0.1
    # On 2 February: SYN-A 225, SYN-S −30, SYN-B −300, EUR −200, USD 292.50; no other day's rates moved.
    assert effects["fx_return"] == near(linked({"02-02": -12.50}))
    assert effects["interaction"] == near(linked({"02-02": 5}))
    assert effects["trading"] == near(added(COSTS))
    assert effects["local_return"] == near(TWR - linked({"02-02": -12.50}) - linked({"02-02": 5}) - added(COSTS))
    assert found["rating_badges"]["overall"] is None and found["rating_badges"]["coverage"]["overall"] == 0
    assert "60% needed" in found["rating_badges"]["reasons"]["overall"]


async def test_performance_review(stage: Stage) -> None:
    found = await run(stage, "performance_review")
    mwr, dietz, risk, history = found["mwr"], found["dietz"], found["risk"], found["history"]
    # 29,776.60 − 26,287.50 − 2,000 + 660; the 12.50 before the first close are named apart.
    assert mwr["gain"] == dietz["gain"] == "2149.1"
    assert "lost before the first close, and in no return: 12.5 CAD" in mwr["warnings"]
    gains = found["gains"]
    # By cause: realised 615 as in the tax lots below, and 100 SYN-P given away 25 p above cost, × 2.40; unrealised
    # SYN-A 150 × 4 × 1.30, SYN-B 100 × 3 × 1.50, SYN-P 300 × 0.25 × 2.40; dividend 100 USD, tax 15 USD, both × 1.25;
    # interest 12; currency on what securities cost: SYN-A (50 + 150) × 20 × 0.05, SYN-S −600 × 0.05, SYN-B
    # 3,000 × −0.10, on cash −200 + 292.50 (the 1,000 USD went at the day's rate: nothing); fees (10 + 5) × 1.25 +
    # 8 × 1.30. All of it 29,776.60 − 27,640.
    assert [row["amount"] for row in gains["causes"]] == [
        "675", "1410", "125", "-18.75", "12", "-130", "92.5", "-29.15",
    ]  # fmt: skip
    assert (gains["price"], gains["fx"]) == ("2085", "-37.5")
    assert (gains["value"], gains["net_flows"], gains["total"], gains["residual"]) == (
        "29776.6", "27640", "2136.6", "0",
    )  # fmt: skip
    assert gains["before_first_close"] == "-12.5"  # + 2,149.10 = 2,136.60
    names = ("realised", "unrealised", "dividends", "tax", "income", "fx", "costs", "total")
    assert {row["name"]: tuple(row[name] for name in names) for row in gains["rows"]} == {
        "SYN-A": ("485", "780", "125", "-18.75", "0", "200", "-29.15", "1542.1"),
        "cash:USD": ("0", "0", "0", "0", "0", "292.5", "0", "292.5"),
        "SYN-P": ("60", "180", "0", "0", "0", "0", "0", "240"),
        "SYN-B": ("0", "450", "0", "0", "0", "-300", "0", "150"),
        "SYN-S": ("130", "0", "0", "0", "0", "-30", "0", "100"),
        "cash:CAD": ("0", "0", "0", "0", "12", "0", "0", "12"),
        "cash:EUR": ("0", "0", "0", "0", "0", "-200", "0", "-200"),
    }
    # 39 days: the money of 5 January grew for all of them, that of 4 and 12 February for 9 and for 1.
    grown = 1 + mwr["period"]
    assert 26287.50 * grown + 2000 * grown ** (9 / 39) - 660 * grown ** (1 / 39) == pytest.approx(VALUE, abs=1e-6)
    assert mwr["annual"] is None
    capital = 26287.50 + 2000 * 9 / 39 - 660 * 1 / 39
    assert dietz["value"] == near(2149.10 / capital)
    back = [sum(day.values()) / before for before, day in EARNED.values()]
    days = back + [0.0] * (len(DAYS) - 1 - len(back))
    assert risk["volatility"] == near(stdev(days) * sqrt(252))
    assert (risk["downside_deviation"], risk["value_at_risk"], risk["sortino"]) == (0, 0, None)
    assert (history["nav"][0], history["nav"][-1]) == ("26287.5", "29776.6")
    assert history["months"][0]["value"] == near(27477.50 / 26287.50 - 1)
    assert history["months"][1]["value"] == near(27595.00 / 27477.50 * 30436.60 / 29595.00 - 1)


async def test_currency_deep_dive(stage: Stage) -> None:
    found = await run(stage, "currency_deep_dive")
    currencies = {row["currency"]: row for row in found["attribution"]["by_currency"]}
    assert currencies["USD"]["fx_return"] == near(linked({"02-02": 225 - 30 + 292.50}))
    assert currencies["EUR"]["fx_return"] == near(linked({"02-02": -500}))
    assert currencies["GBP"]["total"] == near(added("SYN-P"))
    # USD (150·24 + 6,542)·1.30; EUR (3,300 + 2,000)·1.50; GBP (825 + 1,000)·2.40; CAD.
    exposure = {row["currency"]: row["value_base"] for row in found["exposure"]["rows"]}
    assert exposure == {"USD": "13184.6", "EUR": "7950", "GBP": "4380", "CAD": "4262"}
    assert found["exposure"]["foreign"] == near(1 - 4262 / VALUE)
    # End of January: USD (200·22.50 − 20·30 + 5,765 + 85 owed)·1.25; EUR 5,000·1.60; GBP 2,100·2.40.
    assert found["history"]["rows"][0] == {
        "date": "2004-01-30", "CAD": 2250, "EUR": 8000, "GBP": 5040, "USD": 12187.50,
    }  # fmt: skip


async def test_contribution_and_brinson(stage: Stage) -> None:
    benchmark = {
        "name": "by hand",
        "sectors": [
            {"sector": "Shares", "weight": 0.6, "return": 0.10},
            {"sector": "Cash", "weight": 0.4, "return": 0.01},
        ],
    }
    sectors = dict.fromkeys(CLOSES, "Shares")
    found = await run(stage, "contribution_and_brinson", benchmark=benchmark, sectors=sectors)
    rows = {row["name"]: row["contribution"] for row in found["contribution"]["rows"]}
    names = {name for _, day in EARNED.values() for name in day}
    assert {name: rows[name] for name in names} == {name: near(added(name)) for name in names}
    assert found["contribution"]["total"] == near(TWR)
    brinson = found["brinson"]
    assert brinson["benchmark_return"] == near(0.6 * 0.10 + 0.4 * 0.01)
    assert brinson["active"] == near(TWR - 0.064)
    effects = [brinson[name] for name in ("allocation", "selection", "interaction", "other")]
    assert sum(effects) == near(TWR - 0.064)
    shares = next(row for row in brinson["sectors"] if row["sector"] == "Shares")
    assert shares["allocation"] == near((shares["weight"] - 0.6) * (0.10 - 0.064))
    allocation = found["allocation"]
    weights = {row["name"]: row["weight"] for row in allocation["by_holding"]}
    assert weights == {name: near(value / VALUE) for name, value in VALUES.items()}
    assert allocation["gross_exposure"] == near(SHARES / VALUE)
    assert allocation["hhi"] == near((4680**2 + 4950**2 + 1980**2) / SHARES**2)


async def test_holding_deep_dive(stage: Stage) -> None:
    found = await run(stage, "holding_deep_dive", symbol="SYN-A")
    position = found["position"]
    # Price 250 + 600 + 125 + 260, income 85·1.25 on the ex-date.
    # Invested 100·40·1.25 + 60·42·1.25 − 60·45·1.25 − 50·24·1.30; 4,680 − 3,215 + 106.25 is the total.
    assert position["gains"] == {
        "price": "1235", "currency": "225", "joint": "5", "trading": "0", "income": "106.25",
        "total": "1571.25", "invested": "3215",
    }  # fmt: skip
    # 150 new shares at 20 USD, bought at 1.25, worth 24 at 1.30.
    figures = [position[name] for name in ("qty", "cost", "value", "unrealized_pl")]
    assert figures == ["150", "3750", "4680", "930"]
    assert position["contribution"] == near(added("SYN-A"))
    kinds = [row["kind"] for row in found["transactions"]["rows"]]
    assert [kinds.count(kind) for kind in ("lot", "split", "dividend", "tax", "receivable")] == [6, 1, 1, 1, 2]


async def test_tax_lots(stage: Stage) -> None:
    found = await run(stage, "tax_lots")
    names = ("symbol", "qty", "days_held", "gain", "gain_base", "gain_price_base", "gain_currency_base")
    assert [tuple(row[name] for name in names) for row in found["realised"]["rows"]] == [
        # (2,700 − 2,520) USD, both at 1.25.
        ("SYN-A", "60", 2, "180", "225", "225", "0"),
        # (600 − 500) USD at 1.30, less 600 USD owed that rose from 1.25 to 1.30.
        ("SYN-S", "-20", 33, "100", "100", "130", "-30"),
        # (1,200 − 50·20) USD at 1.30, and 1,000 USD · 0.05.
        ("SYN-A", "50", 36, "200", "310", "260", "50"),
    ]
    assert [found["realised"][name] for name in names[-3:]] == ["635", "615", "20"]
    assert found["realised"]["commissions"] == {"USD": "23"}  # 10 + 5 + 8
    lots = [
        tuple(row[name] for name in ("symbol", "account", "qty", "cost_local", "cost_base", "unrealized_pl"))
        for row in found["lots"]["rows"]
    ]
    assert lots == [
        ("SYN-A", "Assets:Broker", "50", "1000", "1250", "310"),
        ("SYN-A", "Assets:Other-Broker", "100", "2000", "2500", "620"),  # moved after the split: still bought at 1.25
        ("SYN-B", "Assets:Broker", "100", "3000", "4800", "150"),  # split by Beancount's rule: 3,300·1.50 − 3,000·1.60
        ("SYN-P", "Assets:Broker", "300", "750", "1800", "180"),
    ]
    assert (found["lots"]["cost_base"], found["lots"]["unrealized_pl"]) == ("10350", "1260")


async def test_scenario_stress(stage: Stage) -> None:
    found = await run(stage, "scenario_stress")
    assert found["exposures"]["reasons"]["exposures"] == "0 whole months at hand, 24 needed"
    results = {result["scenario"]["id"]: result for result in found["results"]}
    # Betas of one: −20.47% of the shares. 1929–32 takes 89.19%.
    assert float(results["black_monday_1987"]["change"]) == pytest.approx(-0.2047 * SHARES)
    assert (found["ranking"]["worst"], found["ranking"]["rows"][0]["change"]) == (
        "deleveraging_us_1929_1932", "-10354.959",
    )  # fmt: skip
    # The Canadian dollar falls 8.2% against the US dollar, so a US dollar is worth 1/0.918; the euro rises 1.02%.
    rows = {row["symbol"]: float(row["after"]) for row in results["dot_com_2000_2002"]["rows"]}
    assert rows["SYN-A"] == pytest.approx(4680 * (1 - 0.4915) / 0.918)
    assert rows["EUR"] == pytest.approx(3000 * 1.0102 / 0.918)
    assert rows["CAD"] == 4262


async def test_drawdown_at_risk_refuses_a_month_of_days(stage: Stage) -> None:
    found = (await run(stage, "drawdown_at_risk"))["drawdown"]
    assert found["at_risk"] is None and found["reasons"]["at_risk"] == "29 daily returns, 120 needed"


async def test_buffett_checklist_rates_nothing_it_has_no_filing_of(stage: Stage) -> None:
    found = await run(stage, "buffett_checklist")
    for score in ("moat", "resilience", "dividend_safety"):
        assert [row["value"] for row in found[score]["companies"]] == [None] * 3
        assert "no annual report of SYN-A" in found[score]["companies"][0]["reason"]
    assert found["rating_badges"]["overall"] is None


async def test_macro_regime_as_known_that_day(stage: Stage) -> None:
    found = await run(stage, "macro_regime")
    indicators = {row["id"]: row for row in found["indicators"]["indicators"]}
    # Fourth quarter of 2003: 12,042.817 after 11,935.461 billion, annualised; out on 30 January 2004.
    assert indicators["GDPC1"]["value"] == pytest.approx((12042.817 / 11935.461) ** 4 - 1)
    assert indicators["UNRATE"]["value"] == 5.8
    assert all(row["released"] <= END.isoformat() for row in indicators.values())
    # Growing, unemployment at its low, inflation of 2.03% below its five-year median of 2.23%.
    assert found["regime"]["regime"] == "disinflationary expansion"


async def test_data_quality(stage: Stage) -> None:
    found = await run(stage, "data_quality")
    assert (found["coverage"]["verdict"], found["coverage"]["valued"]) == ("pass", 7)
    assert (found["stale"]["stale"], found["triangulation"]["verdict"]) == (0, "unknown")
    # SYN-A halves on the day of its split, which is booked.
    assert (found["jumps"]["verdict"], found["jumps"]["rows"]) == ("pass", [])
    # 10,000 − 4,010 + 600 − 2,520 + 2,695 − 1,000 + 85 − 500 + 1,192 USD.
    assert found["ledger"]["cash"] == {"CAD": "4262", "EUR": "2000", "GBP": "1000", "USD": "6542"}


async def test_a_forgotten_split_is_noticed(folder: Path, tmp_path: Path) -> None:
    text = LEDGER.read_text()
    booked = re.findall(r"^.* custom \"split\".*\n", text, re.MULTILINE)
    assert len(booked) == 1
    (tmp_path / "main.beancount").write_text(text.replace(booked[0], ""))
    forgetful = Stage(read_local_data(tmp_path, folder / "prices.csv", folder / "fx.csv", "CAD"))
    jumps = (await run(forgetful, "data_quality"))["jumps"]
    (row,) = jumps["rows"]
    assert (jumps["verdict"], row["symbol"], row["split"]) == ("warn", "SYN-A", "2:1")
    overview = await forgetful.run("portfolio_overview", {})
    assert row["text"] in overview.trace.warnings


async def test_pack_build(stage: Stage, folder: Path) -> None:
    packs = MemoryPacks()
    await packs.set_calendar("by hand", END, END, [END])
    await packs.set_policy("hand", "by hand")
    agent = PackBuilder(memory_desk(packs), NamedSources({"folder": FolderSource(folder)}), (TENANT,))
    runtime = AgentRuntime([agent], LocalArtifacts(), None, None, SystemClock().now_ms)
    sources = dict.fromkeys(("prices_source", "rates_source", "macro_source"), "folder")
    found = await run(stage, "pack_build", runtime, policy="hand", asof=END.isoformat(), **sources)
    lines = [
        *(f"price␟{name}␟{close}␟{ccy}␟raw␟folder␟2004-02-13" for name, close, ccy in (
            ("SYN-A", "24", "USD"), ("SYN-B", "33", "EUR"), ("SYN-P", "275", "GBP"), ("SYN-S", "25", "USD"),
        )),
        *(f"fx␟{name}␟CAD␟{rate}␟folder␟2004-02-13" for name, rate in (("EUR", "1.5"), ("GBP", "2.4"), ("USD", "1.3"))),
    ]  # fmt: skip
    text = "".join(f"{line}\n" for line in sorted(lines)).replace("␟", "\x1f")
    assert found["pack"]["content_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (found["pack"]["status"], found["validation"]["prices"], found["validation"]["rates"]) == ("fresh", 4, 3)


async def test_pack_build_from_the_files_one_tries_with(stage: Stage) -> None:
    """On the day of its split SYN-A's close halves since the day before, which the pack's checks notice."""
    sources = dict.fromkeys(("prices_source", "rates_source"), "files")
    found = await run(stage, "pack_build", policy="files", asof="2004-01-20", **sources)
    assert (found["pack"]["status"], found["pack"]["revision"], found["validation"]["macro"]) == ("fresh", 1, 0)
    (finding,) = found["validation"]["findings"]
    assert (finding["kind"], finding["subject"], finding["fault"]) == ("jump", "SYN-A", False)
    no_session = await stage.run("pack_build", {"policy": "files", "asof": "2004-01-18", **sources})
    assert no_session.error is not None and "no session" in no_session.error.message
    elsewhere = await stage.run("pack_build", {"policy": "nyse", "asof": "2004-01-20", **sources})
    assert elsewhere.error is not None and "there are: files; on an instance " in elsewhere.error.message


def test_every_pattern_is_here(stage: Stage) -> None:
    tests = " ".join(name for name in globals() if name.startswith("test_"))
    assert [pattern.id for pattern in stage.patterns.patterns() if pattern.id not in tests] == []
