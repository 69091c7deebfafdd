"""Every capability of the analyst on a portfolio small enough to be computed by hand, and what it refuses to know."""

import json
from datetime import date, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import empyrical
import numpy as np
import pytest
import pyxirr

from agents.analyst.position import GainSplit
from agents.books import unknown_symbol
from services.local_data import example_data
from tests.agents.desk import Desk, ask, local_data
from tests.agents.test_financial_analyst import LEDGER, PRICES, RATES, TWR
from tests.analytics.worlds import OPEN
from topics.errors import Code

ROOT = Path(__file__).parents[2]
NO_RATE = "2020-01-02,EUR,CAD,1.45\n"
BENCHMARK = {"name": "Shares only", "sectors": [{"sector": "Shares", "weight": 1.0, "return": 0.1}]}
# The share lost its price: nothing about it may turn into 0 or the cost.
UNPRICED = PRICES.replace("2020-01-06,SYN-A,12,USD", "2020-01-13,SYN-B,1,USD")


@pytest.fixture(scope="module")
def example() -> Desk:
    return Example()


class Example(Desk):
    """The bundled example: two years of real prices."""

    def __init__(self) -> None:
        super().__init__(example_data())


async def test_money_weighted_return(desk: Desk) -> None:
    found = await ask(desk, "metrics.compute_mwr", positions=...)
    payments = [(date(2020, 1, 2), -1300), (date(2020, 1, 3), -132), (date(2020, 1, 6), 1507)]
    assert found["period"] == pytest.approx((1 + pyxirr.xirr(payments)) ** (4 / 365) - 1, abs=1e-10)
    assert found["annual"] is None and "one year" in found["reasons"]["annual"]
    assert (found["value"], found["net_flows"], found["gain"]) == ("1507", "1432", "75")


BETWEEN = """
2013-01-01 open Assets:F
2013-01-01 open Assets:Cash
2013-01-01 open Equity:In
2013-01-01 * "in kind"
  Assets:F  100 SYN-A {1 CAD}
  Equity:In
2014-01-01 * "50 put in"
  Assets:Cash  MONEY
  Equity:In
"""
TWO_CLOSES = "2013-01-01,SYN-A,1,CAD\n2015-01-01,SYN-A,2.5,CAD\n"


async def test_a_deposit_between_two_closes_counts_on_its_own_day() -> None:
    # Wikipedia, "Modified Dietz method", Example: 100 becomes 300 in two years, 50 put in after one: 150 / 125.
    desk = Desk(local_data(BETWEEN.replace("MONEY", "50 CAD"), TWO_CLOSES, ""))
    found = await ask(desk, "metrics.modified_dietz", positions=...)
    assert (found["value"], found["average_capital"], found["gain"]) == (1.2, "125", "150")
    # 100·1.5² + 50·1.5 = 300: the rate is 50% a year.
    mwr = await ask(desk, "metrics.compute_mwr", positions=...)
    assert mwr["annual"] == pytest.approx(0.5, abs=1e-12) and mwr["period"] == pytest.approx(1.25, abs=1e-12)
    # The time-weighted return has no value for that day, and says what it does instead.
    twr = await ask(desk, "metrics.compute_twr", positions=...)
    assert twr["twr"] == 1.5
    assert twr["warnings"] == [
        "external flows on 1 day(s) without a close, first 2014-01-01: the time-weighted return counts them at the next"
        " close"
    ]


async def test_a_deposit_counts_at_the_rate_of_its_own_day() -> None:
    # 40 USD at 1.25 were 50 CAD on the day; at 1.00 they are 40 in the end: (290 − 100 − 50) / 125.
    rates = "2013-01-01,USD,CAD,1.5\n2014-01-01,USD,CAD,1.25\n2015-01-01,USD,CAD,1\n"
    ledger = BETWEEN.replace("MONEY", "40 USD")
    found = await ask(Desk(local_data(ledger, TWO_CLOSES, rates)), "metrics.modified_dietz", positions=...)
    assert found["value"] == pytest.approx(140 / 125) and found["gain"] == "140"
    unknown = Desk(local_data(ledger, TWO_CLOSES, "2013-01-01,USD,CAD,1.5\n2015-01-01,USD,CAD,1\n"))
    for capability, field in (("metrics.modified_dietz", "value"), ("metrics.compute_mwr", "period")):
        found = await ask(unknown, capability, positions=...)
        assert found[field] is None and found["reasons"][field] == "no USD/CAD rate on 2014-01-01 for a flow"


@pytest.mark.parametrize(
    ("price", "after", "reason"),
    [
        ("80", "", "everything was paid out on 2020-01-03: no rate spans days on which nothing was invested"),
        # Taken out with ten more, on credit: lost it was not, but it was not all that was paid out either.
        ("80", "-10", "the value was not above zero on 2020-01-06: no rate spans days on which nothing was invested"),
        ("0", "", "the value was not above zero on 2020-01-06: money lost before cannot earn a rate"),
    ],
)
async def test_what_was_paid_out_with_a_gain_was_not_lost(price: str, after: str, reason: str) -> None:
    ledger = f"""{OPEN}
2020-01-02 * "in"
  Assets:Cash  600 CAD
  Equity:In
2020-01-02 * "buy"
  Assets:Stock  10 SYN-A {{60 CAD}}
  Assets:Cash
2020-01-03 * "sell"
  Assets:Stock  -10 SYN-A {{}} @ {price} CAD
  Assets:Cash  {price}0 CAD
  Income:Gains
2020-01-03 * "out"
  Assets:Cash  {-10 * int(price) + int(after or 0)} CAD
  Equity:In
2020-01-07 * "in again"
  Assets:Cash  500 CAD
  Equity:In
"""
    prices = "".join(
        f"2020-01-0{day},SYN-A,{close},CAD\n" for day, close in ((2, 60), (3, 80), (6, 80), (7, 80), (8, 80))
    )
    desk = Desk(local_data(ledger, prices, ""))
    found = await ask(desk, "metrics.compute_mwr", positions=...)
    assert found["period"] is None and found["reasons"]["period"] == reason
    # The modified Dietz return would weigh money over days on which nothing was there; from the refill it is known.
    found = await ask(desk, "metrics.modified_dietz", positions=...)
    assert found["value"] is None and found["reasons"]["value"] == reason
    found = await ask(desk, "metrics.modified_dietz", positions=..., start="2020-01-07")
    assert found["value"] == 0.0
    # One return since the refill, not one for each valued day.
    twr = await ask(desk, "metrics.compute_twr", positions=...)
    lost = price == "0"
    assert twr["twr"] == twr["inception"] == (-1.0 if lost else 0.0) and twr["since_restart"] == 0.0
    assert twr["n_obs"] == (2 if lost else 1) and twr["start"] == ("2020-01-02" if lost else "2020-01-07")


@pytest.mark.parametrize(("fee", "amount"), [("30", "lost"), ("-30", "earned"), ("0", "")])
async def test_a_gain_in_money_is_counted_from_the_first_close_and_says_so(fee: str, amount: str) -> None:
    ledger = f"""{OPEN}
2020-01-02 * "in"
  Assets:Cash  1000 CAD
  Equity:In
2020-01-02 * "buy"
  Assets:Stock  10 SYN-A {{60 CAD}}
  Expenses:Fees  {fee} CAD
  Assets:Cash
"""
    desk = Desk(local_data(ledger, "2020-01-02,SYN-A,60,CAD\n2020-01-03,SYN-A,80,CAD\n", ""))
    pins = await desk.pins()
    answer = await desk.step("metrics.compute_mwr", {"positions": await desk.valued(pins)}, pins)
    assert answer.value["gain"] == "200"  # value − net deposits is 200 less the fee
    assert float(answer.value["value"]) - float(answer.value["net_flows"]) == 200 - float(fee)
    expected = [f"{amount} before the first close, and in no return: 30 CAD"] if amount else []
    assert answer.metadata is not None
    assert [text for text in answer.metadata.warnings if "first close" in text] == expected
    panels = json.loads((ROOT / "patterns/analysis/performance_review.json").read_text())["presentation"]["panels"]
    labels = [f["label"] for panel in panels for f in panel.get("fields", ()) if f["path"] == "gain"]
    assert labels == ["Earned since the first close"] * 2


async def test_modified_dietz(desk: Desk) -> None:
    found = await ask(desk, "metrics.modified_dietz", positions=...)
    assert found["value"] == round(75 / (1300 + 132 * 3 / 4), 12)
    assert (found["gain"], found["average_capital"], found["start"]) == ("75", "1399", "2020-01-02")
    later = await ask(desk, "metrics.modified_dietz", positions=..., start="2020-01-04")
    assert later["start"] == "2020-01-03" and later["value"] == round(1507 / 1518 - 1, 12)


async def test_history_of_values(desk: Desk) -> None:
    found = await ask(desk, "portfolio.historical_nav")
    assert found["nav"] == ["1300", "1518", "1507"] and found["invested"] == ["1300", "1432", "1432"]
    month = {"year": 2020, "month": 1, "value": round(float(TWR), 12), "whole": False, "reason": None}
    assert found["months"] == [month]
    assert found["best_month"] is None and "whole" in found["reasons"]["best_month"]


async def test_months_and_years_do_not_link_over_a_restart() -> None:
    # 100 USD become −50 when the short of 50 goes from 10 to 13; money of February starts the index again.
    ledger = (
        LEDGER.split('2020-01-02 * "Deposit"')[0]
        + '2020-01-02 * "Deposit"\n  Assets:Cash:USD  100 USD\n  Equity:Contributions\n'
        + '2020-01-02 * "Short"\n  Assets:Shares  -50 SYN-A {10 USD}\n  Assets:Cash:USD\n'
        + '2020-02-04 * "Deposit"\n  Assets:Cash:USD  400 USD\n  Equity:Contributions\n'
    )
    days = {"2020-01-02": 10, "2020-01-31": 13, "2020-02-03": 13, "2020-02-04": 13, "2020-02-05": 12, "2020-03-02": 11}
    prices = "".join(f"{on},SYN-A,{price},USD\n" for on, price in days.items())
    rates = "".join(f"{on},USD,CAD,1.25\n" for on in days)
    desk = Desk(local_data(ledger, prices, rates))
    found = await ask(desk, "portfolio.historical_nav")
    # January: 100 became −50. February starts again on the 4th: 350, then 400; March 450.
    values = [row["value"] for row in found["months"]]
    assert values == [-1.0, None, round(450 / 400 - 1, 12)]
    assert "restarts on 2020-02-04" in found["months"][1]["reason"]
    assert found["years"][0]["value"] is None and "restarts on 2020-02-04" in found["years"][0]["reason"]
    mwr = await ask(desk, "metrics.compute_mwr", positions=...)
    assert mwr["period"] is None and "the value was not above zero on 2020-02-03" in mwr["reasons"]["period"]


async def test_contributions_sum_to_the_return(desk: Desk) -> None:
    found = await ask(desk, "metrics.contribution")
    assert sum(row["contribution"] for row in found["rows"]) == pytest.approx(float(TWR), abs=1e-11)
    assert found["total"] == found["twr"] and found["residual_bp"] < 0.1
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1.0)


async def test_brinson_only_with_a_benchmark_of_sectors(desk: Desk) -> None:
    none = await ask(desk, "attribution.brinson")
    assert none["active"] is None and "no benchmark" in none["reasons"]["active"]
    benchmark = {
        "name": "Made up",
        "sectors": [
            {"sector": "Technology", "weight": 0.6, "return": 0.1},
            {"sector": "Cash", "weight": 0.4, "return": 0.0},
        ],
    }
    unclassified = await ask(desk, "attribution.brinson", benchmark=benchmark)
    assert unclassified["active"] is None and "no sectors" in unclassified["reasons"]["active"]
    found = await ask(desk, "attribution.brinson", benchmark=benchmark, sectors={"SYN-A": "Technology"})
    assert found["benchmark_return"] == pytest.approx(0.06)
    assert found["active"] == pytest.approx(float(TWR) - 0.06, abs=1e-11)
    effects = [found[name] for name in ("allocation", "selection", "interaction", "other")]
    assert sum(effects) == pytest.approx(found["active"], abs=1e-11) and abs(found["other"]) < 1e-11
    answer = await desk.step(
        "attribution.brinson",
        {"benchmark": {**benchmark, "sectors": benchmark["sectors"][:1]}, "sectors": {"SYN-A": "Technology"}},
        await desk.pins(),
    )
    assert answer.error is not None and answer.error.code is Code.INVALID_ARGS and "sum to 1" in answer.error.message


async def test_currency_exposure(desk: Desk) -> None:
    found = await ask(desk, "portfolio.fx_exposure", positions=...)
    usd, cad = found["rows"]
    assert (usd["currency"], usd["value_base"], usd["effect_of_10_percent"]) == ("USD", "1375", "137.5")
    assert (cad["value_base"], cad["effect_of_10_percent"]) == ("132", "0")
    assert found["foreign"] == round(1375 / 1507, 12)


async def test_allocation(desk: Desk) -> None:
    found = await ask(desk, "portfolio.allocation", positions=..., sectors={"SYN-A": "Technology"})
    assert found["nav"] == "1507" and found["hhi"] == 1.0 and found["effective_holdings"] == 1.0
    assert {row["name"]: row["value"] for row in found["by_kind"]} == {"cash": "907", "securities": "600"}
    assert {row["name"]: row["value"] for row in found["by_sector"]} == {"Cash": "907", "Technology": "600"}
    for name in ("by_kind", "by_currency", "by_sector", "by_holding"):
        assert sum(row["weight"] for row in found[name]) == pytest.approx(1.0)


async def test_gains_of_a_holding_are_split_and_reconcile_with_money(desk: Desk) -> None:
    found = await ask(desk, "position.deep_dive", positions=..., symbol="SYN-A")
    assert found["gains"] == {
        "price": "131", "currency": "-28.5", "joint": "-2.5", "trading": "0", "income": "0", "total": "100",
        "invested": "500",
    }  # fmt: skip
    assert D(found["value"]) - D(found["gains"]["invested"]) == D(found["gains"]["total"])
    assert found["series"]["units"] == [50.0, 50.0, 40.0] and found["series"]["value"] == ["650", "726", "600"]
    booked = (await ask(desk, "position.transactions", symbol="SYN-A"))["rows"]
    kinds = [(row["kind"], row["action"], row["qty"]) for row in booked]
    assert kinds == [("lot", "buy", "50"), ("lot", "sell", "-10")]


async def test_the_whole_gain_is_split_into_causes(desk: Desk) -> None:
    found = await ask(desk, "portfolio.gains", positions=...)
    # Ten of the fifty sold as below; forty at 12 that cost 10: 80 × 1.25, and 400 × (1.25 − 1.30).
    # Cash: 500 USD × 0.02, then 500 × −0.07.
    assert (found["realised"], found["unrealised"], found["price"]) == ("25", "100", "125")
    assert (found["total"], found["fx_securities"], found["fx_cash"], found["fx"]) == ("75", "-25", "-25", "-50")
    assert [row["name"] for row in found["rows"]] == ["SYN-A", "cash:USD"] and found["residual"] == "0"
    assert found["reasons"] == {} and sum(D(row["amount"]) for row in found["causes"]) == 75


async def test_dividends_count_at_the_rate_of_their_ex_date_and_the_field_says_so() -> None:
    ledger = LEDGER + (
        "\n2020-01-02 open Income:Dividends:SYN-A\n"
        '2020-01-06 * "Dividend"\n  ex_date: 2020-01-03\n'
        "  Assets:Cash:USD  10.00 USD\n  Income:Dividends:SYN-A  -10.00 USD\n"
    )
    found = await ask(Desk(local_data(ledger, PRICES, RATES)), "position.deep_dive", positions=..., symbol="SYN-A")
    assert found["gains"]["income"] == "13.2"  # × 1.32; × 1.25 on the pay date is 12.5, the 0.7 between is cash's
    assert "ex-date's rate" in (GainSplit.model_fields["income"].description or "")


@pytest.mark.parametrize(
    ("capability", "figure", "args"),
    [
        ("metrics.compute_mwr", "period", {"positions": ...}),
        ("metrics.modified_dietz", "value", {"positions": ...}),
        ("portfolio.gains", "total", {"positions": ...}),
        ("portfolio.gains", "price", {"positions": ...}),
        ("portfolio.allocation", "hhi", {"positions": ...}),
        ("portfolio.fx_exposure", "foreign", {"positions": ...}),
        ("position.deep_dive", "value", {"positions": ..., "symbol": "SYN-A"}),
        ("tax.lot_details", "value_base", {"positions": ...}),
        ("metrics.contribution", "total", {}),
        ("attribution.brinson", "active", {"benchmark": BENCHMARK, "sectors": {"SYN-A": "Shares"}}),
        ("position.deep_dive", "contribution", {"positions": ..., "symbol": "SYN-A"}),
    ],
)
@pytest.mark.parametrize(("prices", "rates"), [(UNPRICED, RATES), (PRICES, NO_RATE)], ids=["no price", "no rate"])
async def test_what_cannot_be_valued_is_null_with_a_reason(
    capability: str, figure: str, args: dict[str, Any], prices: str, rates: str
) -> None:
    found = await ask(Desk(local_data(LEDGER, prices, rates)), capability, **args)
    assert found[figure] is None and found["reasons"][figure]


async def test_rates_that_contradict_each_other_are_a_warning_of_the_return() -> None:
    # 1 EUR is 1.5 CAD, or 1.25 · 1.35 = 1.6875 CAD through the dollar: 1.5 / 1.6875 − 1 = −11.1%.
    ledger = """
2020-01-01 open Assets:Cash
2020-01-01 open Equity:In
2020-01-02 * "in"
  Assets:Cash  100 EUR
  Equity:In
2020-01-02 * "in"
  Assets:Cash  100 USD
  Equity:In
"""
    rates = "2020-01-02,EUR,CAD,1.5\n2020-01-02,EUR,USD,1.25\n2020-01-02,USD,CAD,{}\n"

    async def said(rate: str) -> list[str]:
        desk = Desk(local_data(ledger, "2020-01-02,SYN-A,1,CAD\n", rates.format(rate)))
        pins = await desk.pins()
        answer = await desk.step("metrics.compute_twr", {"positions": await desk.valued(pins)}, pins)
        assert answer.metadata is not None
        return [text for text in answer.metadata.warnings if "contradict" in text]

    [text] = await said("1.35")
    assert "EUR/USD on 2020-01-02 is 12.5% off the rate through CAD" in text
    assert await said("1.2001") == []


async def test_one_value_is_rounded_once() -> None:
    # Three holdings of 1.0000004: the rows say 1 each, together they are 3.0000012.
    names = ("SYN-A", "SYN-B", "SYN-C")
    ledger = "2020-01-01 open Assets:B\n2020-01-01 open Equity:In\n"
    ledger += "".join(f'2020-01-02 * "in"\n  Assets:B  1 {name} {{1.0000004 CAD}}\n  Equity:In\n' for name in names)
    prices = "".join(f"2020-01-0{day},{name},1.0000004,CAD\n" for day in (2, 3) for name in names)
    desk = Desk(local_data(ledger, prices, ""))
    found = await ask(desk, "metrics.compute_twr", positions=...)
    assert found["total_value"] == found["series"]["nav"][-1] == "3.000001"
    assert (await ask(desk, "metrics.compute_mwr", positions=...))["value"] == "3.000001"
    assert (await ask(desk, "portfolio.gains", positions=...))["value"] == "3.000001"


async def test_a_series_that_ends_before_the_day_asked_for_is_no_figure_of_that_day() -> None:
    # 10 shares rise from 60 to 72 and lose their price on the 13th: +20% and a fall of nothing are of the 6th.
    ledger = """
2020-01-01 open Assets:B
2020-01-01 open Equity:In
2020-01-02 * "in kind"
  Assets:B  10 SYN-A {60 CAD}
  Equity:In
"""
    prices = "2020-01-02,SYN-A,60,CAD\n2020-01-03,SYN-A,66,CAD\n2020-01-06,SYN-A,72,CAD\n2020-01-13,SYN-B,1,CAD\n"
    desk = Desk(local_data(ledger, prices, ""))
    why = "no value on 2020-01-13: no price for SYN-A"
    contribution = await ask(desk, "metrics.contribution")
    assert contribution["total"] is None and contribution["rows"] == [] and contribution["reasons"]["total"] == why
    for subject in (None, "SYN-A"):
        risk = await ask(desk, "metrics.risk", symbol=subject)
        assert risk["drawdown"]["depth"] is None and risk["reasons"]["drawdown"] == why
        assert risk["volatility"] is None and risk["reasons"]["volatility"] == why
    history = await ask(desk, "portfolio.historical_nav")
    assert history["dates"][-1] == "2020-01-06"
    assert f"{why}, so the series ends on 2020-01-06" in history["warnings"]
    currencies = await ask(desk, "portfolio.currency_history")
    assert currencies["warnings"] == [f"{why}, so the series ends on 2020-01-06"]
    dar = (await desk.step("macro.compute_dar", {"history": history}, await desk.pins())).value
    assert dar["at_risk"] is None and "the history ends on 2020-01-06" in dar["reasons"]["at_risk"]


async def test_gains_of_what_was_sold_in_days_without_a_value_are_no_figures_of_today() -> None:
    # SYN-X rises from 100 to 110 with the last value of the whole, and is sold for 150 when SYN-Y has no price.
    ledger = f"""{OPEN}
2020-01-02 * "in"
  Assets:Stock  10 SYN-X {{100 USD}}
  Assets:Other  10 SYN-Y {{100 USD}}
  Equity:In
2020-01-15 * "sell"
  Assets:Stock  -10 SYN-X {{100 USD}} @ 150 USD
  Assets:Cash   1500 USD
  Income:Gains
"""
    prices = [f"2020-01-{day},SYN-{name},{close},USD" for day, close in (("02", 100), ("03", 110)) for name in "XY"]
    prices += ["2020-01-15,SYN-X,150,USD", "2020-01-16,SYN-X,151,USD", ""]
    desk = Desk(local_data(ledger, "\n".join(prices), "", base="USD"))
    why = "no value on 2020-01-16: no price for SYN-Y"
    found = await ask(desk, "position.deep_dive", positions=..., symbol="SYN-X")
    assert (found["state"], found["gains"], found["contribution"]) == ("closed", None, None)
    assert found["reasons"]["gains"] == found["reasons"]["contribution"] == why
    assert found["series"]["dates"] == ["2020-01-02", "2020-01-03"]
    # SYN-Y is without a price itself, and its own row says so.
    held = await ask(desk, "position.deep_dive", positions=..., symbol="SYN-Y")
    assert held["gains"] is None and "no price for SYN-Y" in held["reasons"]["gains"]


async def test_a_security_without_prices_is_of_the_currency_it_was_traded_in() -> None:
    # 3,000 USD and 1,000 EUR at 1.10 are 4,100; SYN-Y is bought for 100 USD, sold for 50, and never had a price.
    ledger = f"""{OPEN}
2020-01-02 * "in"
  Assets:Cash  3000 USD
  Equity:In
2020-01-02 * "in"
  Assets:Cash  1000 EUR
  Equity:In
2020-01-03 * "buy"
  Assets:Stock  1 SYN-Y {{100 USD}}
  Assets:Cash
2020-01-03 * "sell"
  Assets:Stock  -1 SYN-Y {{100 USD}} @ 50 USD
  Assets:Cash   50 USD
  Income:Gains
"""
    prices = "2020-01-02,SYN-X,1,USD\n2020-01-03,SYN-X,1,USD\n"
    desk = Desk(local_data(ledger, prices, "2020-01-02,EUR,USD,1.10\n2020-01-03,EUR,USD,1.10\n", base="USD"))
    found = await desk.attribution(await desk.pins())
    assert {row["name"]: row["total"] for row in found["by_currency"]} == {"EUR": 0.0, "USD": round(-50 / 4100, 12)}
    (row,) = (await ask(desk, "portfolio.gains", positions=...))["rows"]
    assert (row["name"], row["currency"], row["total"]) == ("SYN-Y", "USD", "-50")


async def test_a_cost_below_the_last_digit_is_not_named() -> None:
    # 0.00000001 × 0.12 is lost before the first close: 0.0000000012.
    ledger = f"""{OPEN}
2020-01-02 * "in"
  Assets:Cash  1000 USD
  Equity:In
2020-01-02 * "buy"
  Assets:Stock  0.00000001 SYN-X {{60000.12 USD}}
  Assets:Cash
"""
    desk = Desk(local_data(ledger, "2020-01-02,SYN-X,60000,USD\n2020-01-03,SYN-X,60000,USD\n", "", base="USD"))
    warnings = (await ask(desk, "metrics.compute_mwr", positions=...))["warnings"]
    assert not [text for text in warnings if "before the first close" in text]


async def test_a_period_says_from_which_close_it_is_measured() -> None:
    ledger = f"""{OPEN}
2018-12-31 * "in kind"
  Assets:Stock  10 SYN-X {{100 USD}}
  Equity:In
"""
    prices = "2018-12-31,SYN-X,100,USD\n2019-12-30,SYN-X,110,USD\n2020-12-31,SYN-X,132,USD\n"
    desk = Desk(local_data(ledger, prices, "", base="USD"))
    found = await desk.metrics(await desk.pins())
    assert found["starts"] == {"ytd": "2019-12-30", "one_year": "2019-12-30"}
    assert (found["mtd"], found["ytd"], found["one_year"]) == (None, pytest.approx(0.2), pytest.approx(0.2))
    assert found["reasons"]["mtd"] == "no value near 2020-11-30: the last before it is of 2019-12-30"


async def test_no_rating_of_the_whole_weighs_a_holding_by_its_cost() -> None:
    # AAPL's only price is seventeen months old: 10,000 paid for it are no value beside 100 SYN-X at 50.
    ledger = f"""{OPEN}
2010-01-04 * "in kind"
  Assets:Stock  10 AAPL {{1000 USD}}
  Assets:Other  100 SYN-X {{40 USD}}
  Equity:In
"""
    prices = "2010-01-04,AAPL,200,USD\n2010-01-04,SYN-X,40,USD\n2011-06-15,SYN-X,50,USD\n"
    found = await ask(Desk(local_data(ledger, prices, "", base="USD")), "ratings.aggregate", positions=...)
    assert found["overall"] is None and set(found["coverage"].values()) == {None}
    assert "AAPL: no price" in found["reasons"]["overall"] and found["reasons"]["weight"] == found["reasons"]["moat"]
    apple, other = found["holdings"]
    assert apple["symbol"] == "AAPL" and apple["overall"] is not None and other["overall"] is None
    assert apple["weight"] is other["weight"] is None


async def test_a_gain_without_a_rate_is_null_not_one_to_one() -> None:
    found = await ask(Desk(local_data(LEDGER, PRICES, NO_RATE)), "tax.realized_gains")
    assert found["rows"][0]["gain"] == "20" and found["rows"][0]["gain_base"] is None
    assert found["gain_base"] is None and "USD/CAD" in found["reasons"]["gain_base"]


@pytest.mark.parametrize(
    ("account", "on", "verdict", "text"),
    [
        ("SYN-A", "2020-01-06", "pass", None),
        ("SYN-Z", "2020-01-03", "warn", "dividend of SYN-Z on 2020-01-03, which was never held: another symbol?"),
        ("SYN-A", "2020-01-01", "warn", "dividend of SYN-A on 2020-01-01, held since 2020-01-02 only"),
    ],
)
async def test_income_of_what_was_not_held_is_a_finding(account: str, on: str, verdict: str, text: str | None) -> None:
    ledger = f"""{LEDGER}
2019-01-01 open Income:Dividends:{account}
2019-01-01 open Assets:Early
{on} * "Dividend"
  Assets:Early  10.00 USD
  Income:Dividends:{account}
"""
    found = await ask(Desk(local_data(ledger, PRICES, RATES)), "quality.ledger_balance")
    assert found["verdict"] == verdict
    assert [row["text"] for row in found["findings"]] == ([text] if text else [])
    assert {row["verdict"] for row in found["findings"]} <= {"warn"}


async def test_unknown_symbols_are_refused(desk: Desk) -> None:
    pins = await desk.pins()
    for capability, args in (
        ("metrics.risk", {"symbol": "NONE"}),
        ("position.deep_dive", {"symbol": "NONE", "positions": await desk.valued(pins)}),
    ):
        error = (await desk.step(capability, args, pins)).error
        assert error is not None and error.code is Code.INVALID_ARGS and "NONE" in error.message
        assert error.message.endswith("there are SYN-A")


def test_of_many_symbols_the_first_twenty_are_named() -> None:
    error = unknown_symbol("NONE", [f"SYN-{at:02}" for at in range(23, 0, -1)])
    assert error.message.endswith("SYN-19, SYN-20 and 3 more") and "there are SYN-01, SYN-02" in error.message


async def test_risk_of_three_days_is_refused(desk: Desk) -> None:
    found = await ask(desk, "metrics.risk")
    assert found["volatility"] is None and "needed" in found["reasons"]["volatility"]
    assert found["beta"] is None and found["drawdown"]["depth"] is not None


async def test_risk_of_weekly_closes_is_annualised_with_52_weeks() -> None:
    # 2% and −1% in turn, 52 weeks: sd² = 52/51 · 1.5%²; √52 a year, where √252 would say more than twice as much.
    closes = [D(60)]
    for at in range(52):
        closes.append(closes[-1] * (D("0.99") if at % 2 else D("1.02")))
    first = date(2005, 1, 7)
    prices = "".join(f"{first + timedelta(weeks=at)},SYN-A,{close:.12f},USD\n" for at, close in enumerate(closes))
    ledger = """
2005-01-01 open Assets:B
2005-01-01 open Equity:In
2005-01-07 * "in kind"
  Assets:B  10 SYN-A {60 USD}
  Equity:In
"""
    found = await ask(Desk(local_data(ledger, prices, "", base="USD")), "metrics.risk")
    assert found["volatility"] == pytest.approx(0.015 * (52 / 51) ** 0.5 * 52**0.5, rel=1e-6)
    assert (found["frequency"], found["periods_per_year"]) == ("weekly", 52)
    assert found["conventions"]["volatility"].endswith("√52") and "one week" in found["conventions"]["value_at_risk"]
    # Bills returned 0.16 to 0.32% a month in 2005, so about 3% a year: mean excess · 52 over the volatility.
    assert found["sharpe"] == pytest.approx((0.005 * 52 - 0.03) / found["volatility"], abs=0.03)
    every_other = "".join(line + "\n" for line in prices.splitlines()[::2])
    odd = await ask(Desk(local_data(ledger, every_other, "", base="USD")), "metrics.risk")
    assert odd["volatility"] is None and "14 days apart" in odd["reasons"]["volatility"]
    assert odd["frequency"] is None and odd["reasons"]["frequency"] == odd["reasons"]["value_at_risk"]


async def test_risk_of_real_prices_agrees_with_empyrical(example: Desk) -> None:
    found = await ask(example, "metrics.risk", benchmark_id="SP500")
    metrics = await example.metrics(await example.pins())
    index = np.array(metrics["series"]["index"])
    returns = index[1:] / index[:-1] - 1
    assert found["n_obs"] == len(returns) and found["benchmark"] == "SP500"
    assert found["volatility"] == pytest.approx(empyrical.annual_volatility(returns), abs=1e-9)
    assert found["sortino"] == pytest.approx(empyrical.sortino_ratio(returns), abs=1e-6)
    assert found["drawdown"]["depth"] == pytest.approx(empyrical.max_drawdown(returns), abs=1e-9)
    assert found["drawdown"] == metrics["drawdown"]
    assert found["value_at_risk"] == pytest.approx(empyrical.value_at_risk(returns), abs=1e-9)
    assert 0.2 < found["beta"] < 2 and found["sharpe"] is not None and not found["reasons"]
    assert any("leaves out dividends" in text for text in found["warnings"])
    unknown = await ask(example, "metrics.risk", benchmark_id="NIKKEI")
    assert unknown["beta"] is None and unknown["reasons"]["beta"] == "no benchmark NIKKEI here"


async def test_risk_of_one_holding(example: Desk) -> None:
    found = await ask(example, "metrics.risk", symbol="IBM")
    assert found["subject"] == "IBM" and 0.1 < found["volatility"] < 0.5


async def test_factor_exposures_need_two_years(example: Desk) -> None:
    found = await ask(example, "risk.factor_exposures")
    assert found["exposures"] == [] and "24 needed" in found["reasons"]["exposures"]


async def test_fundamentals_and_scores() -> None:
    desk = Example()
    loaded = await ask(desk, "fundamentals.load", positions=...)
    by_symbol = {company["symbol"]: company for company in loaded["companies"]}
    assert by_symbol["AAPL"]["filings"][-1]["accession"] and by_symbol["IBM"]["filings"] == []
    assert "no annual report of IBM" in by_symbol["IBM"]["reason"]
    for name in ("dividend_safety", "moat", "resilience"):
        scores = await ask(desk, f"ratings.{name}", fundamentals=loaded)
        rows = {row["symbol"]: row for row in scores["companies"]}
        assert rows["IBM"]["value"] is None and rows["IBM"]["reason"]
        assert scores["rubric"] == {"id": "equity-quality", "version": 1}
    badges = await ask(desk, "ratings.aggregate", positions=...)
    moat = await ask(desk, "ratings.moat", fundamentals=loaded)
    by_badge = {row["symbol"]: row["scores"].get("moat") for row in badges["holdings"]}
    for row in moat["companies"]:
        if by_badge.get(row["symbol"]):
            assert row["value"] == by_badge[row["symbol"]]["value"]


EMPTIED = f"""{OPEN}
2020-01-02 * "in"
  Assets:Cash  1000 CAD
  Equity:In
2020-01-02 * "buy"
  Assets:Stock  10 SYN-A {{100 CAD}}
  Assets:Cash  -1000 CAD
2020-01-06 * "sold and out"
  Assets:Stock  -10 SYN-A {{}} @ 110 CAD
  Income:Gains
  Equity:In  1100 CAD
"""


@pytest.mark.parametrize("last", ["2020-01-06", "2020-01-31", "2021-07-01"])
async def test_returns_end_on_the_day_everything_was_paid_out(last: str) -> None:
    """1,000 became 1,100 in four days: 10%, however long nothing has been invested since."""
    prices = f"2020-01-02,SYN-A,100,CAD\n2020-01-06,SYN-A,110,CAD\n{last},SYN-B,1,CAD\n"
    desk = Desk(local_data(EMPTIED, prices, ""))
    twr = await ask(desk, "metrics.compute_twr", positions=...)
    dietz = await ask(desk, "metrics.modified_dietz", positions=...)
    mwr = await ask(desk, "metrics.compute_mwr", positions=...)
    assert [twr["twr"], dietz["value"], mwr["period"]] == pytest.approx([0.1, 0.1, 0.1], abs=1e-9)
    assert (dietz["average_capital"], dietz["gain"]) == ("1000", "100")
    assert twr["annualised"] is None and twr["reasons"]["annualised"] == "less than one year"
    said = "everything was paid out on 2020-01-06: figures since inception end there"
    assert (said in twr["warnings"]) is (last > "2020-01-06")
    if last > "2020-01-06":
        late = await ask(desk, "metrics.modified_dietz", positions=..., start=last)
        assert late["value"] is None and late["reasons"]["value"] == "everything was paid out on 2020-01-06"


async def test_a_benchmark_has_each_sector_once(desk: Desk) -> None:
    sector = {"sector": "Technology", "weight": 0.5, "return": 0.1}
    benchmark = {"name": "Made up", "sectors": [sector, {**sector, "return": -0.05}]}
    args = {"benchmark": benchmark, "sectors": {"SYN-A": "Technology"}}
    answer = await desk.step("attribution.brinson", args, await desk.pins())
    assert answer.error is not None and answer.error.code is Code.INVALID_ARGS
    assert answer.error.message.endswith("each sector of the benchmark once, got Technology more than once")
