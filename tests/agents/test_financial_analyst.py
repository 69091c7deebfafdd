"""A portfolio small enough to be computed by hand, and the ways a portfolio can lack data."""

import asyncio
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import log
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.local_data import TENANT, USER_ID
from services.local_packs import LocalPacks
from tests.agents.desk import PORTFOLIO_ID, Desk, local_data, request
from topics.errors import Code

LEDGER = """
2020-01-02 open Assets:Cash:CAD
2020-01-02 open Assets:Cash:USD
2020-01-02 open Assets:Shares
2020-01-02 open Equity:Contributions
2020-01-02 open Income:Gains

2020-01-02 * "Deposit"
  Assets:Cash:CAD            1300.00 CAD
  Equity:Contributions      -1300.00 CAD

2020-01-02 * "Exchange"
  Assets:Cash:USD            1000.00 USD @@ 1300.00 CAD
  Assets:Cash:CAD           -1300.00 CAD

2020-01-02 * "Buy"
  Assets:Shares              50 SYN-A {10.00 USD}
  Assets:Cash:USD           -500.00 USD

2020-01-03 * "Deposit"
  Assets:Cash:CAD            132.00 CAD
  Equity:Contributions      -132.00 CAD

2020-01-06 * "Sell"
  Assets:Shares             -10 SYN-A {} @ 12.00 USD
  Assets:Cash:USD            120.00 USD
  Income:Gains
"""
PRICES = "2020-01-02,SYN-A,10,USD\n2020-01-03,SYN-A,11,USD\n2020-01-06,SYN-A,12,USD\n"
RATES = "2020-01-02,USD,CAD,1.30\n2020-01-03,USD,CAD,1.32\n2020-01-06,USD,CAD,1.25\n"
_OPEN = LEDGER.split('2020-01-02 * "Deposit"')[0]
R2, R3 = Fraction(86, 1300), Fraction(-11, 1518)
TWR = (1 + R2) * (1 + R3) - 1


async def test_positions_carry_cost_at_the_rate_of_the_trade_date(desk: Desk) -> None:
    share, cad, usd = await desk.positions(await desk.pins())
    assert (share["kind"], share["symbol"], share["qty_open"]) == ("security", "SYN-A", "40")
    assert (share["cost_local"], share["cost_base"]) == ("400", "520")
    assert [lot["qty"] for lot in share["lots"]] == ["40"]
    assert (cad["kind"], cad["symbol"], cad["qty_open"]) == ("cash", "CAD", "132")
    assert (usd["qty_open"], usd["cost_base"]) == ("620", None)


async def test_values_and_weights_to_the_last_digit(desk: Desk) -> None:
    share, cad, usd = await desk.valued(await desk.pins())
    assert (share["price"], share["price_currency"], share["fx_rate"]) == ("12", "USD", "1.25")
    assert (share["value_local"], share["value_base"], share["unrealized_pl"]) == ("480", "600", "80")
    assert (share["price_age"], share["status"], share["reason"]) == (0, "ok", None)
    assert share["weight"] == round(600 / 1507, 12)
    assert (cad["value_base"], usd["value_base"], usd["cost_base"]) == ("132", "775", "775")


async def test_return_value_and_cost_to_the_last_digit(desk: Desk) -> None:
    found = await desk.metrics(await desk.pins())
    assert found["twr"] == found["inception"] == round(float(TWR), 12)
    assert (found["total_value"], found["total_cost"], found["unrealized_pl"]) == ("1507", "1427", "80")
    assert (found["base_currency"], found["n_obs"], found["net_flows"]) == ("CAD", 2, "1432")
    assert found["series"]["nav"] == ["1300", "1518", "1507"]
    assert found["series"]["flow"] == ["1300", "132", "0"]
    assert found["series"]["index"] == [1.0, round(float(1 + R2), 12), round(float(1 + TWR), 12)]
    assert found["drawdown"]["depth"] == round(float(R3), 12)
    assert found["annualised"] is None and "less than one year" in found["reasons"]["annualised"]
    assert found["mtd"] is None and "history starts" in found["reasons"]["mtd"]


async def test_attribution_is_linked_by_carino_and_adds_up(desk: Desk) -> None:
    found = await desk.attribution(await desk.pins())

    def k(r: Fraction) -> float:
        return log(1 + r) / float(r)

    k2, k3 = k(R2) / k(TWR), k(R3) / k(TWR)
    local = float(Fraction(1, 20)) * k2 + float(Fraction(66, 1518)) * k3
    fx = float(Fraction(2, 130)) * k2 + float(Fraction(-147, 3036)) * k3
    interaction = float(Fraction(1, 1300)) * k2 + float(Fraction(-7, 3036)) * k3
    assert found["local_return"] == pytest.approx(local, abs=1e-12)
    assert found["fx_return"] == pytest.approx(fx, abs=1e-12)
    assert found["interaction"] == pytest.approx(interaction, abs=1e-12)
    assert found["trading"] == pytest.approx(0, abs=1e-12)
    assert found["total"] == found["twr"] == round(float(TWR), 12)
    assert found["residual_bp"] < 0.1
    assert sum(row["total"] for row in found["by_position"]) == pytest.approx(found["total"], abs=1e-11)
    assert sum(row["total"] for row in found["by_currency"]) == pytest.approx(found["total"], abs=1e-11)


async def test_an_earlier_day_sees_nothing_of_later_ones(desk: Desk) -> None:
    pins = await desk.pins(date(2020, 1, 3))
    found = await desk.metrics(pins)
    assert found["total_value"] == "1518" and found["twr"] == round(float(R2), 12)
    assert found["asof"] == "2020-01-03"


@pytest.mark.parametrize("capability", ["metrics.compute_twr", "metrics.currency_attribution"])
async def test_positions_that_do_not_reconcile_are_refused(desk: Desk, capability: str) -> None:
    pins = await desk.pins()
    rows = await desk.valued(pins)
    value = Decimal(rows[0]["value_base"])
    within = [{**rows[0], "value_base": str(value + Decimal("0.1507"))}, *rows[1:]]
    assert (await desk.step(capability, {"positions": within}, pins)).error is None
    beyond = [{**rows[0], "value_base": str(value + Decimal("0.1509"))}, *rows[1:]]
    error = (await desk.step(capability, {"positions": beyond}, pins)).error
    assert error is not None and error.code is Code.RECONCILIATION_FAILED and not error.retryable
    assert "1507" in error.message and "bp apart" in error.message


async def test_a_missing_price_is_null_with_a_reason_never_zero() -> None:
    desk = Desk(local_data(LEDGER, PRICES.replace("2020-01-06,SYN-A,12,USD", "2020-01-13,SYN-B,1,USD"), RATES))
    pins = await desk.pins()
    assert pins.asof == date(2020, 1, 13)
    share = (await desk.valued(pins))[0]
    assert share["status"] == "missing" and share["value_base"] is None and share["price"] is None
    assert share["weight"] is None and "no price for SYN-A" in share["reason"]
    found = await desk.metrics(pins)
    assert found["total_value"] is None and "SYN-A" in found["reasons"]["total_value"]
    assert found["twr"] is None and "SYN-A" in found["reasons"]["twr"]
    attribution = await desk.attribution(pins)
    assert attribution["total"] is None and attribution["reason"] and attribution["by_position"] == []


async def test_a_missing_rate_is_null_with_a_reason_never_one() -> None:
    desk = Desk(local_data(LEDGER, PRICES, "2020-01-02,EUR,CAD,1.45\n"))
    pins = await desk.pins()
    share, cad, usd = await desk.valued(pins)
    assert share["fx_rate"] is None and share["value_base"] is None and "USD/CAD" in share["reason"]
    assert share["price"] == "12" and share["cost_base"] is None
    assert usd["status"] == "missing" and cad["value_base"] == "132"
    found = await desk.metrics(pins)
    assert found["total_value"] is None and "USD/CAD" in found["reasons"]["total_value"]
    assert found["total_cost"] is None and found["unrealized_pl"] is None
    assert found["drawdown"] == {"depth": None, "peak": None, "trough": None, "recovery": None, "current": None}


async def test_the_largest_numbers_are_written_to_their_last_decimal() -> None:
    ledger = _OPEN + (
        '2020-01-02 * "Buy"\n  Assets:Shares  999999999999 SYN-A {999999999999.99 USD}\n  Equity:Contributions\n'
    )
    desk = Desk(local_data(ledger, "2020-01-02,SYN-A,999999999999.99,USD\n", RATES, base="USD"))
    found = await desk.metrics(await desk.pins())
    assert found["total_value"] == found["series"]["nav"][0] == str(999999999999 * 99999999999999)[:-2] + ".01"


@pytest.mark.parametrize("rates", [RATES, "2020-01-02,EUR,CAD,1.45\n"])
async def test_deposits_on_days_without_a_value_are_not_left_out_of_a_sum(rates: str) -> None:
    ledger = LEDGER.split('2020-01-06 * "Sell"')[0].replace("2020-01-03", "2020-01-13")
    desk = Desk(local_data(ledger, PRICES.replace("2020-01-06,SYN-A,12,USD", "2020-01-13,SYN-B,1,USD"), rates))
    found = await desk.metrics(await desk.pins())
    assert found["net_flows"] is None and "2020-01-13: no" in found["reasons"]["net_flows"]


async def test_a_carried_price_is_stale_and_says_how_old_it_is() -> None:
    prices = PRICES.replace("2020-01-06,SYN-A,12,USD", "2020-01-06,SYN-B,5,USD")
    desk = Desk(local_data(LEDGER, prices, RATES))
    pins = await desk.pins()
    answer = await desk.step("pricing.apply_pack", {"positions": await desk.positions(pins)}, pins)
    share = answer.value[0]
    assert (share["status"], share["price"], share["price_age"]) == ("stale", "11", 3)
    assert answer.metadata is not None and any("SYN-A" in text for text in answer.metadata.warnings)


async def test_cash_at_a_carried_rate_is_stale_and_says_how_old_it_is() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES.replace("2020-01-06,USD,CAD,1.25\n", "")))
    pins = await desk.pins()
    _, cad, usd = await desk.valued(pins)
    assert (cad["status"], usd["status"], usd["fx_rate"]) == ("ok", "stale", "1.32")
    assert usd["reason"] == "USD/CAD rate is 3 days old"


async def test_a_price_carried_over_a_split_is_on_the_new_share_basis() -> None:
    ledger = LEDGER.split('2020-01-06 * "Sell"')[0] + '2020-01-06 custom "split" "SYN-A" 2\n'
    prices = "2020-01-02,SYN-A,10,USD\n2020-01-03,SYN-A,11,USD\n2020-01-06,SYN-B,5,USD\n"
    desk = Desk(local_data(ledger, prices, RATES))
    share = (await desk.valued(await desk.pins()))[0]
    assert (share["qty_open"], share["price"], share["value_local"]) == ("100", "5.5", "550")
    assert (await desk.metrics(await desk.pins()))["reconciliation_bp"] < 0.001


async def test_a_short_position_has_a_negative_value_and_weight() -> None:
    ledger = LEDGER.split('2020-01-03 * "Deposit"')[0].replace(" 50 SYN-A", "-50 SYN-A").replace("-500.00", "500.00")
    desk = Desk(local_data(ledger, PRICES, RATES))
    pins = await desk.pins()
    share, usd = await desk.valued(pins)
    assert (share["qty_open"], share["value_base"], share["cost_base"]) == ("-50", "-750", "-650")
    assert share["unrealized_pl"] == "-100" and share["weight"] == round(-750 / 1125, 12)
    assert usd["qty_open"] == "1500"
    found = await desk.metrics(pins)
    assert found["total_value"] == "1125" and found["twr"] == round(1125 / 1300 - 1, 12)


SHORT_ONLY = _OPEN + '2020-01-02 * "Short"\n  Assets:Shares  -50 SYN-A {10 USD}\n  Equity:Contributions\n'
LOST = _OPEN + (
    '2020-01-02 * "Deposit"\n  Assets:Cash:USD  50 USD\n  Equity:Contributions\n'
    '2020-01-02 * "Short"\n  Assets:Shares  -50 SYN-A {10 USD}\n  Assets:Cash:USD\n'
)


@pytest.mark.parametrize(
    ("ledger", "value", "twr", "reason"),
    [
        (SHORT_ONLY, "-750", None, "the value was not above zero on 2020-01-02"),
        (LOST, "-62.5", -1.0, "everything was lost on 2020-01-03"),
    ],
)
async def test_a_portfolio_below_zero_has_a_value_but_no_attribution(
    ledger: str, value: str, twr: float | None, reason: str
) -> None:
    desk = Desk(local_data(ledger, PRICES, RATES))
    pins = await desk.pins()
    found = await desk.metrics(pins)
    assert (found["total_value"], found["twr"], found["drawdown"]["depth"]) == (value, twr, twr)
    assert twr is not None or found["reasons"]["twr"] == found["reasons"]["drawdown"] == reason
    attribution = await desk.attribution(pins)
    assert attribution["total"] is None and attribution["reason"].startswith(reason)


async def test_a_portfolio_before_its_first_booking_is_empty_not_an_error() -> None:
    prices = "2019-12-30,SYN-A,9,USD\n" + PRICES
    desk = Desk(local_data(LEDGER, prices, RATES))
    pins = await desk.pins(date(2019, 12, 30))
    assert await desk.positions(pins) == []
    found = await desk.metrics(pins)
    assert found["total_value"] == "0" and found["twr"] is None and found["reasons"]["twr"] == "nothing was held"
    assert (await desk.attribution(pins))["total"] is None


async def test_bookings_before_the_start_make_up_the_opening_value() -> None:
    desk = Desk(local_data(LEDGER, PRICES, RATES, start=date(2020, 1, 3)))
    found = await desk.metrics(await desk.pins())
    assert found["start"] == "2020-01-03" and found["twr"] == round(float(R3), 12)
    assert found["total_cost"] == "1427"


async def test_someone_elses_portfolio_answers_exactly_like_an_unknown_one(desk: Desk) -> None:
    pins = await desk.pins()
    unknown = uuid4()

    async def error(portfolio_id: object, tenant: str, user_id: object) -> tuple[object, str]:
        args = {"portfolio_id": str(portfolio_id), "asof": None, "pack_id": None, "ledger_commit": None}
        answer = await desk.runtime.handle(request("context.resolve", args, tenant=tenant, user_id=user_id))
        assert answer.error is not None
        return answer.error.code, answer.error.message.replace(str(portfolio_id), "ID")

    mine_missing = await error(unknown, TENANT, USER_ID)
    assert mine_missing[0] is Code.UNKNOWN_PORTFOLIO
    assert await error(PORTFOLIO_ID, TENANT, uuid4()) == mine_missing
    assert await error(PORTFOLIO_ID, "other", USER_ID) == mine_missing
    # Forged pins do not help: every capability asks for the portfolio as the request's user.
    args = {"portfolio_id": str(PORTFOLIO_ID)}
    answer = await desk.step("ledger.positions", args, pins, user_id=uuid4())
    assert answer.error is not None and answer.error.code is Code.UNKNOWN_PORTFOLIO


async def test_arguments_that_contradict_the_pins_are_refused(desk: Desk) -> None:
    pins = await desk.pins()
    answer = await desk.step("ledger.positions", {"portfolio_id": str(uuid4())}, pins)
    assert answer.error is not None and answer.error.code is Code.UNKNOWN_PORTFOLIO
    other = str(uuid4())
    answer = await desk.step("pricing.apply_pack", {"positions": [], "pack_id": other}, pins)
    assert answer.error is not None and answer.error.code is Code.INVALID_ARGS and other in answer.error.message


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        ({"asof": "2019-01-01"}, Code.NO_PACK, "2019-01-01"),
        ({"pack_id": "00000000-0000-4000-8000-00000000dead"}, Code.UNKNOWN_PACK, "dead"),
        ({"ledger_commit": "a" * 40}, Code.UNKNOWN_LEDGER_COMMIT, "a" * 40),
        ({"ledger_commit": "main"}, Code.INVALID_ARGS, "/ledger_commit"),
        ({"asof": "yesterday"}, Code.INVALID_ARGS, "/asof"),
        ({"portfolio_id": "mine"}, Code.INVALID_ARGS, "/portfolio_id"),
    ],
)
async def test_what_cannot_be_resolved_says_why(desk: Desk, args: dict[str, str], code: Code, text: str) -> None:
    given = {"portfolio_id": str(PORTFOLIO_ID), "asof": None, "pack_id": None, "ledger_commit": None, **args}
    answer = await desk.runtime.handle(request("context.resolve", given))
    assert answer.error is not None and answer.error.code is code and text in answer.error.message
    assert not answer.error.retryable


async def test_without_a_portfolio_the_base_currency_is_cad(desk: Desk) -> None:
    args = {"portfolio_id": None, "asof": "2020-01-05", "pack_id": None, "ledger_commit": None}
    answer = await desk.runtime.handle(request("context.resolve", args))
    assert answer.error is None
    assert answer.value["base_ccy"] == "CAD" and answer.value["ledger_commit_hash"] is None
    assert answer.value["asof"] == "2020-01-03"
    assert answer.value["previous_fresh"]["asof_date"] == "2020-01-02"


async def test_an_invalid_ledger_names_every_fault_with_file_and_line() -> None:
    ledger = LEDGER + '\n2020-01-07 * "Unbalanced"\n  Assets:Cash:CAD   1 CAD\n  Assets:Cash:USD   1 USD\n\nnonsense\n'
    desk = Desk(local_data(ledger, PRICES, RATES))
    args = {"portfolio_id": str(PORTFOLIO_ID), "asof": None, "pack_id": None, "ledger_commit": None}
    answer = await desk.runtime.handle(request("context.resolve", args))
    assert answer.error is not None and answer.error.code is Code.LEDGER_INVALID
    faults = answer.error.details["faults"]
    assert len(faults) == 2 and all(fault.startswith("main.beancount:") for fault in faults)


async def test_answers_name_their_sources(desk: Desk) -> None:
    pins = await desk.pins()
    answer = await desk.step("metrics.compute_twr", {"positions": await desk.valued(pins)}, pins)
    assert answer.metadata is not None
    assert answer.metadata.sources == (f"ledger:{pins.ledger_commit_hash}", f"pricing_pack:{pins.pricing_pack_id}")
    assert (answer.metadata.agent, answer.metadata.asof) == ("financial_analyst", pins.asof)


async def test_the_books_are_read_once_pins_are_chosen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[UUID] = []
    series = LocalPacks.series

    async def counted(packs: LocalPacks, pack_id: UUID, *question: Any) -> Any:
        read.append(pack_id)
        return await series(packs, pack_id, *question)

    monkeypatch.setattr(LocalPacks, "series", counted)
    pins = await desk.pins()
    await asyncio.sleep(0.01)
    assert read == [pins.pricing_pack_id]
    await desk.positions(pins)
    assert read == [pins.pricing_pack_id]
