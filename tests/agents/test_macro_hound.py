"""MacroHound through its runtime: as-of, staleness, stress and drawdown at risk."""

import gzip
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agents.macro_hound import MacroHound
from services.local_data import example_data
from services.macro import RecordedMacro
from tests.agents.desk import Desk, local_data
from tests.agents.test_financial_analyst import LEDGER, PRICES, RATES
from topics.errors import Code

EQUITIES = Path(__file__).parents[2] / "data" / "us_equities_2000_2013.csv.gz"


@pytest.fixture(scope="module")
def example() -> Desk:
    return Desk(example_data())


async def ask(desk: Desk, capability: str, asof: date | None = None, **args: Any) -> dict[str, Any]:
    answer = await desk.step(capability, args, await desk.pins(asof))
    assert answer.error is None, answer.error
    return answer.value


async def test_indicators_say_when_they_became_known(example: Desk) -> None:
    found = await ask(example, "macro.get_indicators", date(2005, 6, 15))
    rows = {row["id"]: row for row in found["indicators"]}
    # On 15 June the second quarter has not ended and the first one's GDP came out on 30 April.
    assert (rows["GDPC1"]["period"], rows["GDPC1"]["released"]) == ("2005-01-01", "2005-04-30")
    assert rows["UNRATE"]["value"] == 5.3 and rows["UNRATE"]["vintage"] == "2009-12-15"
    assert rows["GDPC1"]["release_assumed"] and any("vintage" in text for text in found["warnings"])
    before = await ask(example, "macro.get_indicators", date(2005, 4, 29))
    assert {row["id"]: row["period"] for row in before["indicators"]}["GDPC1"] == "2004-10-01"
    unknown = await ask(example, "macro.get_indicators", series=["NOPE"])
    assert unknown["indicators"][0]["value"] is None and "no series NOPE" in unknown["reasons"]["NOPE"]


async def test_history_replays_what_each_day_said(example: Desk) -> None:
    history = await ask(example, "macro.regime_history", date(2005, 12, 30))
    last = history["quarters"][-1]
    regime = await ask(example, "macro.detect_regime", date(2005, 12, 30))
    assert regime["regime"] == last["regime"] and regime["regime"].endswith("expansion")
    earlier = await ask(example, "macro.detect_regime", date(2005, 3, 1))
    quarters = {row["quarter"]: row["regime"] for row in history["quarters"]}
    assert earlier["regime"] == quarters[earlier["latest"]["quarter"]]
    assert sum(history["shares"].values()) == pytest.approx(1)
    shifts = await ask(example, "macro.trend_shifts", date(2005, 12, 30))
    for row in shifts["shifts"]:
        assert row["before"] != row["after"] and row["confirmed"] > row["quarter"]


async def test_the_regime_stands_beside_the_newest_signals_and_never_contradicts_itself() -> None:
    prices = "2009-03-31,SYN-A,1,USD\n"
    ledger = "2009-01-01 open Assets:B\n2009-01-01 open Equity:In\n"
    ledger += '2009-03-31 * "in"\n  Assets:B  1 SYN-A {1 USD}\n  Equity:In\n'
    desk = Desk(local_data(ledger, prices, "", base="USD"))
    found = await ask(desk, "macro.detect_regime")
    # Two quarters of falling output with high inflation made stagflation; the newest alone says inflation is low.
    assert (found["regime"], found["growth"], found["inflation"]) == ("stagflation", "contraction", "high")
    assert (found["newest_growth"], found["newest_inflation"]) == ("contraction", "low")
    assert found["latest"]["raw"] == "disinflationary contraction"
    assert found["confirmed_by"]["raw"] == "stagflation"
    assert found["since"] < found["confirmed_by"]["quarter"] < found["latest"]["quarter"]


async def test_old_figures_are_no_answer() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES))  # 2020, the figures end in 2009
    regime = await ask(desk, "macro.detect_regime")
    assert regime["regime"] is None and "days old" in regime["reasons"]["regime"]
    rows = (await ask(desk, "macro.get_indicators"))["indicators"]
    assert all(row["value"] is None and row["status"] == "stale" and row["reason"] for row in rows)
    cycle = await ask(desk, "cycles.compute_short_term")
    assert cycle["stress"] is None and cycle["reasons"]["stress"]


async def test_the_cycle_ranks_and_says_what_is_missing(example: Desk) -> None:
    found = await ask(example, "cycles.compute_short_term", date(2005, 12, 30))
    rows = {row["name"]: row for row in found["components"]}
    assert rows["yield curve"]["value"] is None and "T10Y2Y" in rows["yield curve"]["reason"]
    assert found["coverage"] == 0.75 and 0 < found["stress"] < 1
    assert rows["credit spread"]["value"] == pytest.approx(0.95, abs=0.15)  # Baa 6.3, Aaa 5.4 in late 2005


async def test_scenarios_move_market_values() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES))
    listed = await ask(desk, "scenarios.list", prefix="deleveraging_")
    assert listed["ids"] == ["deleveraging_us_1929_1932", "deleveraging_japan_1989_1992"]
    none = await desk.step("scenarios.list", {"prefix": "zzz"}, await desk.pins())
    assert none.error is not None and none.error.code is Code.INVALID_ARGS
    assert none.error.message.startswith("no scenario begins with 'zzz'; there are ")
    positions = await desk.valued(await desk.pins())
    found = await ask(desk, "macro.run_scenario", positions=positions, scenario="financial_crisis_2007_2009")
    # 600 of shares and 775 of cash in USD, 132 in CAD; the dollar gains 1/(1 − 0.2432) − 1 on the Canadian one.
    gain = 1 / (1 - 0.2432)
    after = 600 * (1 - 0.5678) * gain + 775 * gain + 132
    assert float(found["after"]) == pytest.approx(after, abs=1e-5) and found["before"] == "1507"
    assert found["change_ratio"] == pytest.approx(after / 1507 - 1, abs=1e-9)
    assert found["warnings"] == ["no market beta of their own, so assumed to move one for one with it: SYN-A"]
    assert found["rows"][0]["beta"] == 1.0 and found["rows"][0]["beta_source"] == "assumed: no beta given"
    milder = await ask(
        desk, "macro.run_scenario", positions=positions, scenario="black_monday_1987",
        betas={"betas": [{"symbol": "SYN-A", "beta": 0.5, "n_obs": 30}]},
    )  # fmt: skip
    # A beta of 0.5 on the 600 of shares; cash does not move with the market.
    assert float(milder["change"]) == pytest.approx(-0.2047 * 0.5 * 600, abs=1e-5)
    assert [row["beta_source"] for row in milder["rows"]] == ["own returns of 30 months", None, None]
    assert not any("one for one" in text for text in milder["warnings"])
    ranking = await ask(desk, "scenarios.rank", results=[milder, found])
    assert [row["rank"] for row in ranking["rows"]] == [1, 2]
    assert ranking["worst"] == min((milder, found), key=lambda each: float(each["change"]))["scenario"]["id"]


async def test_todays_shares_have_betas_of_their_own_not_the_portfolio_s() -> None:
    # Six years with a fifth in IBM, then, on the last day, nearly all: 700 of IBM and 7,070 USD of cash.
    with gzip.open(EQUITIES, "rt") as file:
        rows = [line.split(",") for line in file.read().splitlines()[1:]]
    prices = [row for row in rows if row[1] in ("IBM", "MSFT") and "2005-01-03" <= row[0] <= "2010-12-31"]
    ledger = """
2005-01-01 open Assets:Cash
2005-01-01 open Assets:Stock
2005-01-01 open Equity:In
2005-01-03 * "in"
  Assets:Cash  100000 USD
  Equity:In
2005-01-03 * "a fifth"
  Assets:Stock  200 IBM {97.75 USD}
  Assets:Cash
2010-12-31 * "the rest"
  Assets:Stock  500 IBM {146.76 USD}
  Assets:Cash
"""
    data = local_data(ledger, "".join(",".join(row) + "\n" for row in prices), "2010-12-31,USD,CAD,1.0\n", base="USD")
    desk = Desk(data)
    pins = await desk.pins()
    betas = await ask(desk, "risk.holding_betas", positions=await desk.positions(pins))
    [ibm] = betas["betas"]
    # numpy.linalg.lstsq of IBM's 70 whole months on the three factors; the portfolio's own past says 0.17.
    assert ibm["beta"] == pytest.approx(0.806521143683) and ibm["n_obs"] == 70
    assert (ibm["start"], ibm["end"]) == ("2005-02-01", "2010-11-01")
    found = await ask(
        desk, "macro.run_scenario", positions=await desk.valued(pins), scenario="financial_crisis_2007_2009",
        betas=betas,
    )  # fmt: skip
    assert float(found["change"]) == pytest.approx(-0.5678 * 0.806521143683 * 700 * 146.76, abs=0.01)


async def test_a_loss_of_more_than_everything_is_named() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES))
    pins = await desk.pins()
    valued = await desk.valued(pins)

    async def run(beta: float, **args: Any) -> tuple[dict[str, Any], list[str]]:
        betas = {"betas": [{"symbol": row["symbol"], "beta": beta} for row in valued if row["kind"] == "security"]}
        given = {"positions": valued, "scenario": "financial_crisis_2007_2009", "betas": betas, **args}
        answer = await desk.step("macro.run_scenario", given, pins)
        assert answer.metadata is not None
        return answer.value, [text for text in answer.metadata.warnings if "total loss" in text]

    found, said = await run(2.0)  # −114%
    assert [row["local"] for row in found["rows"] if row["kind"] == "security"] == [-1.0]
    name = found["scenario"]["name"]
    assert said == [f"{name}: the shock would take more than everything, counted as a total loss: SYN-A"]
    assert (await run(1.7))[1] == []  # −96.5%
    assert (await run(2.0, bonds={"SYN-A": {"duration": 7}}))[1] == []
    valued = [{**row, "symbol": f"SYN-{at}"} for at in range(13) for row in valued if row["kind"] == "security"]
    assert (await run(5.0))[1][0].endswith("total loss: " + ", ".join(f"SYN-{at}" for at in range(10)) + " and 3 more")


async def test_a_holding_without_a_value_has_no_scenario() -> None:
    desk = Desk(local_data(LEDGER, PRICES, "2020-01-02,EUR,CAD,1.45\n"))
    positions = await desk.valued(await desk.pins())
    found = await ask(desk, "macro.run_scenario", positions=positions, scenario="lehman_2008")
    assert found["change"] is None and "USD/CAD" in found["reasons"]["change"]
    ranking = await ask(desk, "scenarios.rank", results=[found])
    assert ranking["worst"] is None and ranking["rows"][0]["reason"]


CASH = """
2010-01-01 open Assets:Cash
2010-01-01 open Equity:In
2010-01-04 * "in"
  Assets:Cash  100000 AUD
  Assets:Cash  1000 PLN
  Equity:In
"""
CASH_PRICES = "2010-01-04,AAPL,200,USD\n"
CASH_RATES = "".join(f"2010-01-04,EUR,{code},{rate}\n" for code, rate in (("USD", 1.44), ("AUD", 1.58), ("PLN", 4)))


@pytest.mark.parametrize(
    ("base", "scenario", "sources", "silent"),
    [
        # The European Central Bank's rates say what the Australian dollar did, the bundled file has no zloty.
        ("USD", "financial_crisis_2007_2009", {"AUD": "moves", "PLN": "PLN"}, "PLN"),
        ("USD", "black_monday_1987", {"AUD": "AUD", "PLN": "PLN"}, "AUD, PLN"),
        ("AUD", "financial_crisis_2007_2009", {"AUD": None, "PLN": "PLN"}, "PLN"),
        ("PLN", "black_monday_1987", {"AUD": "AUD and PLN", "PLN": None}, "AUD, PLN"),
    ],
)
async def test_a_currency_the_scenario_does_not_name_is_said_to_be_kept(
    base: str, scenario: str, sources: dict[str, str | None], silent: str
) -> None:
    desk = Desk(local_data(CASH, CASH_PRICES, CASH_RATES, base=base))
    pins = await desk.pins()
    found = await ask(desk, "macro.run_scenario", positions=await desk.valued(pins), scenario=scenario)
    texts = {
        None: None,
        "moves": "the scenario's moves against the dollar",
        **{code: f"assumed: no move of {code} in this scenario" for code in ("AUD", "PLN", "AUD and PLN")},
    }
    assert {row["symbol"]: row["fx_source"] for row in found["rows"]} == {
        code: texts[source] for code, source in sources.items()
    }
    name = found["scenario"]["name"]
    assert found["warnings"] == [f"{name}: no move of {silent} in this scenario, so kept at today's rate to the dollar"]
    if (base, scenario) == ("USD", "financial_crisis_2007_2009"):
        # 100,000 AUD × 1.44/1.58, less the 29.36% from 1.4037/1.5690 to 1.2565/1.9883; the zloty stays.
        assert float(found["change"]) == pytest.approx(-0.2936 * 100_000 * 1.44 / 1.58, abs=0.01)


async def test_scenarios_that_cannot_be_computed_have_no_rank() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES))
    positions = await desk.valued(await desk.pins())
    unpriced = [{**row, "value_base": None, "reason": "no price"} for row in positions]
    known = await ask(desk, "macro.run_scenario", positions=positions, scenario="lehman_2008")
    unknown = [
        await ask(desk, "macro.run_scenario", positions=unpriced, scenario=scenario)
        for scenario in ("downgrade_2011", "black_monday_1987")
    ]
    ranking = await ask(desk, "scenarios.rank", results=[*unknown, known])
    assert [(row["rank"], row["id"]) for row in ranking["rows"]] == [
        (1, "lehman_2008"), (None, "black_monday_1987"), (None, "downgrade_2011"),
    ]  # fmt: skip
    assert all("no price" in row["reason"] for row in ranking["rows"][1:])
    none = await ask(desk, "scenarios.rank", results=unknown)
    assert [row["rank"] for row in none["rows"]] == [None, None] and none["worst"] is None


async def test_unknown_scenarios_are_refused(example: Desk) -> None:
    answer = await example.step("macro.run_scenario", {"positions": [], "scenario": "doom"}, await example.pins())
    assert answer.error is not None and answer.error.code is Code.INVALID_ARGS and "lehman_2008" in answer.error.message


async def test_drawdown_at_risk_of_real_days(example: Desk) -> None:
    history = await ask(example, "portfolio.historical_nav")
    found = await ask(example, "macro.compute_dar", history=history)
    assert found == await ask(example, "macro.compute_dar", history=history)
    assert -0.6 < found["at_risk"] < found["median"] < 0 and found["n_obs"] > 400
    assert sum(row["share"] for row in found["bins"]) == pytest.approx(1)
    short = {"dates": history["dates"][-50:], "index": history["index"][-50:]}
    few = await ask(example, "macro.compute_dar", history=short)
    assert few["at_risk"] is None and "120 needed" in few["reasons"]["at_risk"]


async def test_drawdown_at_risk_of_weekly_closes_draws_weeks(example: Desk) -> None:
    end = (await example.pins()).asof

    def every(days: int) -> list[str]:
        return [(end - timedelta(days=days * at)).isoformat() for at in range(150, -1, -1)]

    index = [1.0]
    for at in range(150):
        index.append(index[-1] * (0.99 if at % 2 else 1.02))
    history = {"dates": every(7), "index": index}
    found = await ask(example, "macro.compute_dar", history=history, horizon_days=252, block_days=1)
    assert (found["frequency"], found["horizon_periods"]) == ("weekly", 52) and found["at_risk"] < 0
    # The same returns taken for daily ones are drawn 252 times a year and fall deeper.
    daily = {"dates": every(1), "index": index}
    deeper = await ask(example, "macro.compute_dar", history=daily, horizon_days=252, block_days=1)
    assert deeper["horizon_periods"] == 252 and deeper["at_risk"] < found["at_risk"]
    refused = await ask(example, "macro.compute_dar", history={"dates": every(14), "index": index})
    assert refused["at_risk"] is None and "14 days apart" in refused["reasons"]["at_risk"]


async def test_series_are_read_once() -> None:
    macro = RecordedMacro()
    first = await macro.series((), date(2005, 1, 1), UUID(int=0))
    second = await macro.series(("UNRATE",), date(2004, 1, 1), UUID(int=0))
    assert set(first) > {"UNRATE"} and len(second["UNRATE"].observations) < len(first["UNRATE"].observations)
    assert MacroHound(macro).name == "macro_hound"
