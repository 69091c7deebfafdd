"""The gain in money and its causes: by hand, that they always add up, and what is not known."""

from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest

from analytics.causes import EXCHANGE, UNPRICED, Causes, NotReconciled, Split, split_gain
from analytics.history import History, build
from analytics.holdings import hold
from analytics.market import align
from analytics.realised import disposals
from ledger.booking import book
from ledger.sources import from_text
from tests.analytics.worlds import OPEN, D, World, everything, paperwork, single

EUROS = '2004-01-05 * "euros"\n  Assets:Cash  1000 EUR\n  Equity:In\n'
BUY = '2004-01-05 * "buy"\n  Assets:Stock  100 SYN-A {10 USD}\n  Equity:In\n'


def split(world: World) -> Split:
    return split_gain(build(world.booked.rows, world.market), world.booked.rows)


def by_name(found: Split) -> dict[str, Causes]:
    return {row.name: row for row in found.rows}


def parts(row: Causes) -> tuple[Decimal, ...]:
    return row.price, row.dividends, row.tax, row.income, row.fx, row.costs


def tied_to_lots(world: World, history: History) -> dict[str, tuple[float, float, float]]:
    """Return by symbol what the tax lots say: realised price gain, that of open lots, and currency gain of both."""

    def rate_on(currency: str, on: date) -> Decimal | None:
        day = next(at for at, valued in enumerate(history.dates) if valued >= on)
        return D(repr(float(history.fx[day, history.currencies.index(currency)])))

    last = history.dates[-1]
    found = dict.fromkeys(history.symbols, (0.0, 0.0, 0.0))
    for sold in disposals(world.booked.rows, last, history.base, rate_on):
        assert sold.gain_price_base is not None and sold.gain_currency_base is not None
        realised, unrealised, fx = found[sold.symbol]
        found[sold.symbol] = (realised + float(sold.gain_price_base), unrealised, fx + float(sold.gain_currency_base))
    for lot in hold(world.booked.rows, last, history.base, rate_on).lots:
        at = history.symbols.index(lot.symbol)
        realised, unrealised, fx = found[lot.symbol]
        rate, cost = rate_on(lot.currency, last), lot.cost_base
        assert rate is not None and cost is not None
        price = float(lot.qty) * history.price[-1, at] * float(rate) - float(lot.cost_local * rate)
        found[lot.symbol] = (realised, unrealised + price, fx + float(lot.cost_local * rate - cost))
    return found


@pytest.mark.parametrize(("seed", "days"), [*((seed, 40) for seed in range(50)), (50, 600)])
def test_causes_add_up_to_the_gain_and_each_is_what_was_booked(seed: int, days: int) -> None:
    world = everything(seed, days)
    history = build(world.booked.rows, world.market)
    found = split_gain(history, world.booked.rows)
    assert found.total == history.nav[-1] - sum(history.flow)
    assert found.residual is not None and abs(found.residual) < D("0.0001")
    # Once more from the rows alone, without days: an amount × the rate of the valued day it belongs to.
    last = len(history.dates) - 1
    booked: defaultdict[str, Decimal] = defaultdict(Decimal)
    units: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in world.booked.rows:
        if row.on > history.dates[-1]:
            continue
        day = world.market.dates.index(next(on for on in history.dates if on >= row.on))
        rate = world.market.fx[row.currency][day]
        if row.kind in ("lot", "split"):
            units[row.symbol] += row.qty
        if row.kind == "lot":
            assert row.price is not None and rate is not None
            booked[row.symbol] -= row.qty * row.price * rate
        elif row.kind in ("dividend", "tax", "income", "commission"):
            assert rate is not None
            booked[row.kind] += row.amount * rate
    lots = tied_to_lots(world, history)
    for at, symbol in enumerate(history.symbols):
        worth = float(units[symbol]) * history.price[last, at] * history.fx[last, history.symbol_currency[at]]
        row = by_name(found)[symbol]
        assert float(row.price + row.fx) == pytest.approx(worth + float(booked[symbol]), abs=1e-4)
        assert tuple(map(float, (row.realised, row.unrealised, row.fx))) == pytest.approx(lots[symbol], abs=1e-4)
    for column, kind in (("dividends", "dividend"), ("tax", "tax"), ("income", "income"), ("costs", "commission")):
        added = sum(getattr(row, column) for row in found.rows)
        assert float(added) == pytest.approx(float(booked[kind]), abs=1e-4)


def test_realised_counts_at_the_rate_of_the_sale_unrealised_at_the_end_and_currency_on_the_cost() -> None:
    # 100 at 10 EUR, rate 1.20. Half is sold for 12 at 1.40: 50 × 2 × 1.40 realised, less a fee of 3 EUR; half is there
    # at 11: 50 × 1 × 1.40 unrealised. Currency: 1,000 × 0.20, whatever the rate was in between.
    # 10 EUR of dividend, 2 EUR of it tax, at 1.50 on the ex-date; paid when the euro is at 1.40: 8 × −0.10 is cash's.
    ledger = """
2004-01-05 * "buy"
  Assets:Stock  100 SYN-A {10 EUR}
  Equity:In
2004-01-07 * "dividend"
  ex_date: 2004-01-06
  Assets:Cash  8 EUR
  Expenses:Tax  2 EUR
  Income:Dividends:SYN-A  -10 EUR
2004-01-07 * "sell"
  Assets:Stock  -50 SYN-A {} @ 12 EUR
  Expenses:Fees   3 EUR
  Assets:Cash   597 EUR
  Income:Gains
"""
    closes = {"2004-01-05": "10", "2004-01-06": "11", "2004-01-07": "11"}
    rates = {"2004-01-05": "1.20", "2004-01-06": "1.50", "2004-01-07": "1.40"}
    found = split(single(OPEN + ledger, closes, rates, base="USD", currency="EUR"))
    rows = by_name(found)
    assert parts(rows["SYN-A"]) == (D("210"), D("15"), D("-3"), 0, D("200"), D("-4.2"))
    assert (rows["SYN-A"].realised, rows["SYN-A"].unrealised) == (D("140"), D("70"))
    assert parts(rows["cash:EUR"]) == (0, 0, 0, 0, D("-0.8"), 0)
    # (550 + 8 + 597) EUR at 1.40, less 1,000 EUR at 1.20.
    assert found.total == D("417") == sum(row.total for row in found.rows)
    assert found.residual == 0


def test_an_exchange_is_measured_against_the_rate_of_its_day() -> None:
    # 1,000 EUR rise from 1.20 to 1.30 and go for 1.25: 100 from the rate, −50 from the exchange.
    ledger = EUROS + '2004-01-06 * "exchange"\n  Assets:Cash  -1000 EUR @ 1.25 USD\n  Assets:Cash  1250 USD\n'
    closes, rates = {"2004-01-05": "1", "2004-01-06": "1"}, {"2004-01-05": "1.20", "2004-01-06": "1.30"}
    rows = by_name(split(single(OPEN + ledger, closes, rates)))
    assert {name: parts(row)[4] for name, row in rows.items()} == {"cash:EUR": D("100"), EXCHANGE: D("-50")}


def test_a_fee_before_the_first_close_is_part_of_the_gain() -> None:
    ledger = """
2004-01-05 * "in"
  Assets:Cash  1000 USD
  Equity:In
2004-01-05 * "buy at 10, close at 11"
  Assets:Stock  50 SYN-A {10 USD}
  Expenses:Fees  5 USD
  Assets:Cash
"""
    found = split(single(OPEN + ledger, {"2004-01-05": "11", "2004-01-06": "12"}))
    assert parts(by_name(found)["SYN-A"]) == (D("100"), 0, 0, 0, 0, D("-5"))
    assert (found.total, found.before_first_close) == (D("95"), D("45"))


def test_interest_and_expenses_stay_with_their_currency_and_a_hidden_fee_with_its_trade() -> None:
    # Sold for 2 × 12, of which 23 arrive.
    ledger = BUY + (
        '2004-01-06 * "interest"\n  Assets:Cash  7 USD\n  Income:Interest\n'
        '2004-01-06 * "custody"\n  Assets:Cash  -4 USD\n  Expenses:Fees\n'
        '2004-01-06 * "sell"\n  Assets:Stock  -2 SYN-A {10 USD} @ 12 USD\n  Assets:Cash  23 USD\n  Income:Gains\n'
    )
    found = split(single(OPEN + ledger, {"2004-01-05": "10", "2004-01-06": "12"}))
    assert parts(by_name(found)["cash:USD"]) == (0, 0, 0, D("7"), 0, D("-4"))
    assert parts(by_name(found)["SYN-A"]) == (D("200"), 0, 0, 0, 0, D("-1"))


def test_deposits_on_days_without_a_value_and_a_restart_change_nothing() -> None:
    # A short of 50 goes from 10 to 13 and is worth −50 with its cash; 400 come in; it ends at 11: −50 in all.
    ledger = """
2004-01-05 * "in"
  Assets:Cash  100 USD
  Equity:In
2004-01-05 * "short"
  Assets:Stock  -50 SYN-A {10 USD}
  Assets:Cash
2004-01-14 * "in"
  Assets:Cash  400 USD
  Equity:In
"""
    booked = book(from_text(OPEN + ledger))
    days = [date(2004, 1, day) for day in (5, 6, 14, 20)]
    prices = [(days[at], "SYN-A", D(price), "USD") for at, price in ((0, "10"), (1, "13"), (3, "11"))]
    history = build(booked.rows, align("USD", prices, [], dates=days))
    assert [gap.on for gap in history.gaps] == [days[2]] and history.flow_in_gap == (days[3],)
    found = split_gain(history, booked.rows)
    assert [parts(row)[0] for row in found.rows] == [D("-50")] and found.total == D("-50")


SPLIT_WITH_CASH = """
2004-01-06 * "1 for 10, cash for the fraction"
  Assets:Stock  -100 SYN-A {10 USD}
  Assets:Stock     9 SYN-A {{900 USD, 2004-01-05}}
  Assets:Cash    120 USD
  Income:Gains
"""
DEAR = """
2004-01-05 * "money"
  Assets:Cash  130 USD
  Equity:In
2004-01-05 * "dearer"
  Assets:Stock  10 SYN-A {13 USD}
  Assets:Cash
"""


@pytest.mark.parametrize(
    ("paperwork", "close", "realised", "unrealised"),
    [
        # Brought in at a cost of 4 when it is worth 12: what it gained before was not gained here.
        ('"in kind"\n  Assets:Stock  10 SYN-A {4 USD, 2001-01-05}\n  Equity:In\n', "12", 0, 200),
        # Given away at the close, at a written price, and exchanged for nothing at all.
        ('"gift"\n  Assets:Stock  -40 SYN-A {10 USD}\n  Equity:In\n', "12", 80, 120),
        ('"gift"\n  Assets:Stock  -40 SYN-A {10 USD} @ 11 USD\n  Equity:In\n', "12", 40, 120),
        ('"worthless"\n  Assets:Stock  -40 SYN-A {10 USD}\n  Income:Gains\n', "12", -400, 120),
        # Moved, some of it twice in one transaction; the lots keep their entry, so selling the rest is the same.
        (
            '"move"\n  Assets:Stock  -40 SYN-A {10 USD}\n  Assets:Other  40 SYN-A {10 USD, 2004-01-05}\n'
            "  Assets:Other  -10 SYN-A {10 USD, 2004-01-05}\n  Assets:Stock  10 SYN-A {10 USD, 2004-01-05}\n",
            "12", 0, 200,
        ),
        # 100 become 9 of 900, with 120 for the fraction that cost 100.
        (SPLIT_WITH_CASH.removeprefix("\n2004-01-06 * "), "110", 20, 90),
    ],
)  # fmt: skip
def test_what_moves_without_a_price_is_realised_when_it_leaves(
    paperwork: str, close: str, realised: int, unrealised: int
) -> None:
    ledger = BUY + f"2004-01-06 * {paperwork}"
    found = split(single(OPEN + ledger, {"2004-01-05": "10", "2004-01-06": close}))
    [row] = found.rows
    assert (row.realised, row.unrealised, found.residual) == (realised, unrealised, 0)


@pytest.mark.parametrize("seed", range(40))
def test_causes_add_up_whatever_way_units_move(seed: int) -> None:
    found = split(paperwork(seed))
    assert found.rows and found.residual is not None and abs(found.residual) < D("0.0001")


def test_units_before_a_split_of_the_same_interval_count_at_the_close_of_theirs() -> None:
    # 40 given away on Tuesday, 2:1 on Wednesday, no price before Thursday: 40 are 80 at 6.
    ledger = BUY + (
        '2004-01-06 * "gift"\n  Assets:Stock  -40 SYN-A {10 USD}\n  Equity:In\n2004-01-07 custom "split" "SYN-A" 2\n'
    )
    found = split(single(OPEN + ledger, {"2004-01-05": "10", "2004-01-08": "6"}))
    [row] = found.rows
    assert (row.realised, row.unrealised, found.residual) == (80, 120, 0)


def test_lots_moved_to_another_account_are_sold_there_with_their_own_entry() -> None:
    # 100 at 10 and 10 at 13 go to the other broker; there the dear ones are sold at 12.
    ledger = (
        BUY
        + DEAR
        + (
            '2004-01-06 * "move"\n  Assets:Stock  -110 SYN-A {}\n  Assets:Other  110 SYN-A {}\n'
            '2004-01-07 * "sell"\n  Assets:Other  -10 SYN-A {13 USD} @ 12 USD\n  Assets:Cash  120 USD\n  Income:Gains\n'
        )
    )
    found = split(single(OPEN + ledger, {"2004-01-05": "10", "2004-01-06": "11", "2004-01-07": "12"}))
    row = by_name(found)["SYN-A"]
    assert (row.realised, row.unrealised) == (-10, 200)


def test_lots_sold_together_without_a_price_gain_what_came_in() -> None:
    # 5 at 10 and 5 at 12 go for 150 in all, whatever the close is.
    ledger = """
2004-01-05 * "two lots"
  Assets:Stock  5 SYN-A {10 USD}
  Assets:Stock  5 SYN-A {12 USD}
  Equity:In
2004-01-06 * "both"
  Assets:Stock  -5 SYN-A {10 USD}
  Assets:Stock  -5 SYN-A {12 USD}
  Expenses:Fees  1 USD
  Assets:Cash  149 USD
  Income:Gains
"""
    world = single(OPEN + ledger, {"2004-01-05": "11", "2004-01-06": "14"})
    assert {row.price for row in world.booked.rows if row.qty < 0} == {None}
    assert parts(by_name(split(world))["SYN-A"]) == (D("40"), 0, 0, 0, 0, D("-1"))


def test_a_merger_is_known_only_together() -> None:
    # 100 SYN-A went from 10 to 12 and become 50 SYN-B, which close at 25: 1,250 for 1,200.
    ledger = BUY + '2004-01-06 * "merger"\n  Assets:Stock  -100 SYN-A {10 USD}\n  Assets:Stock  50 SYN-B {20 USD}\n'
    booked = book(from_text(OPEN + ledger))
    days = [date(2004, 1, day) for day in (5, 6)]
    prices = [(days[0], "SYN-A", D(10), "USD"), (days[1], "SYN-A", D(12), "USD"), (days[1], "SYN-B", D(25), "USD")]
    found = split_gain(build(booked.rows, align("USD", prices, [], dates=days)), booked.rows)
    # SYN-A left at its close, SYN-B came in at its own, and what that does not explain is known only together.
    assert {row.name: (row.realised, row.unrealised) for row in found.rows} == {
        "SYN-A": (200, 0), UNPRICED: (50, 0), "SYN-B": (0, 0),
    }  # fmt: skip


def test_a_split_and_a_move_between_accounts_gain_nothing() -> None:
    ledger = BUY + (
        '2004-01-06 custom "split" "SYN-A" 2\n'
        '2004-01-06 * "move"\n  Assets:Stock  -100 SYN-A {}\n  Assets:Other  100 SYN-A {}\n'
    )
    found = split(single(OPEN + ledger, {"2004-01-05": "10", "2004-01-06": "5"}))
    assert [parts(row) for row in found.rows] == [(0, 0, 0, 0, 0, 0)]


def test_without_a_rate_the_split_is_unknown_and_the_total_is_not() -> None:
    # The last rate is fifteen days old when the euros go: what of the 50 is their rise and what the exchange?
    ledger = EUROS + '2004-01-20 * "exchange"\n  Assets:Cash  -1000 EUR @ 1.25 USD\n  Assets:Cash  1250 USD\n'
    closes = {"2004-01-05": "1", "2004-01-20": "1"}
    found = split(single(OPEN + ledger, closes, {"2004-01-05": "1.20"}))
    assert (found.total, found.rows, found.residual) == (D("50"), (), None)
    assert found.reason == "no EUR/USD rate on 2004-01-20, when EUR were moved"


def test_without_any_price_of_the_day_an_unpriced_sale_is_unknown() -> None:
    ledger = BUY + (
        '2004-01-20 * "two lots"\n  Assets:Stock  -60 SYN-A {10 USD}\n  Assets:Stock  -40 SYN-A {10 USD}\n'
        "  Assets:Cash  1500 USD\n  Income:Gains\n"
    )
    booked = book(from_text(OPEN + ledger))
    days = [date(2004, 1, 5), date(2004, 1, 20)]
    history = build(booked.rows, align("USD", [(days[0], "SYN-A", D(10), "USD")], [], dates=days))
    found = split_gain(history, booked.rows)
    assert found.total == D("500") and not found.rows and "no price of SYN-A on 2004-01-20" in found.reason


def test_causes_that_miss_the_gain_are_refused() -> None:
    world = single(OPEN + BUY, {"2004-01-05": "10", "2004-01-06": "11"})
    history = build(world.booked.rows, world.market)
    with pytest.raises(NotReconciled, match=r"the causes sum to 100\S*, the gain is 100\.01"):
        split_gain(history, world.booked.rows, D("1100.01"))


def test_interest_that_comes_with_a_sale_is_income() -> None:
    # 1,150 come in for 100 × 10 at 11: 100 are gained, 50 are interest.
    sale = (
        '2004-01-06 * "sell"\n  Assets:Stock  -100 SYN-A {10 USD} @ 11 USD\n  Income:Interest  -50 USD\n'
        "  Assets:Cash  1150 USD\n  Income:Gains\n"
    )
    found = split(single(OPEN + BUY + sale, {"2004-01-05": "10", "2004-01-06": "12"}))
    assert parts(by_name(found)["SYN-A"]) == (D("100"), 0, 0, 0, 0, 0)
    assert parts(by_name(found)["cash:USD"]) == (0, 0, 0, D("50"), 0, 0)


def test_a_sale_in_another_currency_gains_what_the_tax_lots_say() -> None:
    # Bought for 1,000 EUR at 1.20; 50 of 100 are sold for 550 USD when 1 EUR is 1.00: 550 − 500·1.00 price, and
    # 500·(1.00 − 1.20) currency. The rest is at 11 EUR: 550 − 500, and −100.
    sale = (
        '2004-01-05 * "buy"\n  Assets:Stock  100 SYN-A {10 EUR}\n  Equity:In\n'
        '2004-01-06 * "sell"\n  Assets:Stock  -50 SYN-A {} @ 11 USD\n  Expenses:Fees  3 USD\n'
        "  Assets:Cash  547 USD\n  Income:Gains\n"
    )
    closes = {"2004-01-05": "10", "2004-01-06": "11"}
    world = single(OPEN + sale, closes, {"2004-01-05": "1.20", "2004-01-06": "1.00"}, currency="EUR")
    row = by_name(split(world))["SYN-A"]
    assert (row.realised, row.unrealised, row.fx, row.costs) == (D("50"), D("50"), D("-200"), D("-3"))
    assert tied_to_lots(world, build(world.booked.rows, world.market))["SYN-A"] == (50.0, 50.0, -200.0)


def test_a_sale_paid_in_yet_another_currency_than_its_price_is_an_exchange() -> None:
    # 100 at 11 USD are 1,100 USD; 1,050 EUR come, worth 1,155.
    sale = '2004-01-06 * "sell"\n  Assets:Stock  -100 SYN-A {} @ 11 USD\n  Assets:Cash  1050 EUR\n  Income:Gains\n'
    closes = {"2004-01-05": "10", "2004-01-06": "11"}
    found = split(single(OPEN + BUY + sale, closes, {"2004-01-05": "1.10", "2004-01-06": "1.10"}))
    assert by_name(found)["SYN-A"].realised == D("100")
    assert by_name(found)[EXCHANGE].fx == D("55")
