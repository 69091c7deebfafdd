"""Small invented worlds for tests: a ledger, prices and rates with every feature in them."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from analytics.market import FxRow, Market, PriceRow, align
from ledger.booked import Booked
from ledger.booking import book
from ledger.sources import from_text

D = Decimal
# Accounts of small ledgers by hand, here and in other folders' tests.
OPEN = """
2003-01-01 open Assets:Cash
2003-01-01 open Assets:Stock "FIFO"
2003-01-01 open Assets:Other "FIFO"
2003-01-01 open Equity:In
2003-01-01 open Income:Gains
2003-01-01 open Income:Interest
2003-01-01 open Income:Dividends:SYN-A
2003-01-01 open Expenses:Fees
2003-01-01 open Expenses:Tax
"""


@dataclass(frozen=True)
class World:
    booked: Booked
    prices: list[PriceRow]
    fx: list[FxRow]
    market: Market
    base: str


def weekdays(first: date, count: int) -> list[date]:
    found: list[date] = []
    on = first
    while len(found) < count:
        if on.weekday() < 5:
            found.append(on)
        on += timedelta(days=1)
    return found


def single(
    ledger: str,
    closes: dict[str, str],
    fx: dict[str, str] | None = None,
    *,
    base: str = "USD",
    currency: str = "USD",
    symbol: str = "SYN-A",
) -> World:
    """Return a world of one security; `closes` and `fx` (base per 1 EUR) by ISO day."""
    booked = book(from_text(ledger))
    prices: list[PriceRow] = [(date.fromisoformat(on), symbol, D(close), currency) for on, close in closes.items()]
    rates: list[FxRow] = [(date.fromisoformat(on), "EUR", base, D(rate)) for on, rate in (fx or {}).items()]
    days = sorted(date.fromisoformat(on) for on in closes)
    market = align(base, prices, rates, dates=days, currencies=booked.currencies)
    return World(booked, prices, rates, market, base)


def everything(seed: int, days: int = 60, *, flows: bool = True) -> World:
    """Return a world with trades, shorts, splits, dividends, fees, FX trades and flows."""
    dice = random.Random(seed)
    calendar = weekdays(date(2004, 1, 1), days)
    symbols = {"SYN-A": "USD", "SYN-B": "EUR", "SYN-C": "USD"}
    closes = {name: 20.0 + 10 * at for at, name in enumerate(symbols)}
    rates = {"USD": 1.25, "CAD": 1.6, "JPY": 130.0}
    prices: list[PriceRow] = []
    fx: list[FxRow] = []
    lines = [
        OPEN,
        '2004-01-01 * "opening"\n  Assets:Cash  100000 CAD\n  Equity:In',
        '2004-01-01 * "opening"\n  Assets:Cash  80000 USD\n  Equity:In',
        '2004-01-01 * "opening"\n  Assets:Cash  50000 EUR\n  Equity:In',
    ]
    held = dict.fromkeys(symbols, 0)
    split_on = calendar[days // 2]
    for at, on in enumerate(calendar):
        for name in symbols:
            closes[name] *= 1 + dice.gauss(0, 0.02)
            if name == "SYN-A" and on == split_on:
                closes[name] /= 2
            # Some days some prices are missing and carried.
            if at == 0 or dice.random() > 0.05:
                prices.append((on, name, D(repr(round(closes[name], 4))), symbols[name]))
        for name in rates:
            rates[name] *= 1 + dice.gauss(0, 0.006)
            if at == 0 or dice.random() > 0.05:
                fx.append((on, "EUR", name, D(repr(round(rates[name], 5)))))
        if on == split_on:
            if held["SYN-A"]:
                lines.append(f'{on} custom "split" "SYN-A" 2')
            held["SYN-A"] *= 2
        name = dice.choice(sorted(symbols))
        money = symbols[name]
        paid = D(repr(round(closes[name] * (1 + dice.gauss(0, 0.004)), 2)))
        what = dice.random()
        # Trades may fall on the Saturday after: they belong to the next valuation day.
        when = on + timedelta(days=dice.choice((0, 0, 0, 1)))
        if on == split_on - timedelta(days=1) or (calendar[min(at + 1, days - 1)] == split_on):
            when = on
        if what < 0.35:
            qty = dice.randint(1, 300) * (1 if held[name] >= 0 else -1)
            lines.append(
                f'{when} * "open"\n  Assets:Stock  {qty} {name} {{{paid} {money}}}\n'
                f"  Expenses:Fees  9.95 {money}\n  Assets:Cash"
            )
            held[name] += qty
        elif what < 0.6 and held[name]:
            qty = dice.randint(1, 2 * abs(held[name])) * (-1 if held[name] > 0 else 1)
            lines.append(
                f'{when} * "close, perhaps past zero"\n'
                f"  Assets:Stock  {qty} {name} {{}} @ {paid} {money}\n"
                f"  Assets:Cash  {-qty * paid} {money}\n  Income:Gains"
            )
            held[name] += qty
        elif what < 0.68:
            lines.append(f'{on} * "exchange"\n  Assets:Cash  500 JPY @@ 4.20 EUR\n  Assets:Cash')
        elif what < 0.76 and held["SYN-A"] > 0:
            pay = on + timedelta(days=9)
            lines.append(
                f'{pay} * "dividend"\n  ex_date: {on}\n  Assets:Cash  85 USD\n'
                "  Expenses:Tax  15 USD\n  Income:Dividends:SYN-A"
            )
        elif what < 0.84:
            lines.append(f'{on} * "interest"\n  Assets:Cash  12.34 CAD\n  Income:Interest')
        elif what < 0.94 and flows:
            amount = dice.choice((5000, 3000, -2500))
            lines.append(f'{on} * "flow"\n  Assets:Cash  {amount} EUR\n  Equity:In')
    booked = book(from_text("\n".join(lines) + "\n"))
    market = align("CAD", prices, fx, dates=calendar, currencies=booked.currencies)
    return World(booked, prices, fx, market, "CAD")


def paperwork(seed: int, days: int = 25) -> World:
    """Return a world of one security in euros that moves in every way but a plain trade, valued on some of its days."""
    dice = random.Random(seed)
    lines = [OPEN, '2004-01-01 * "in"\n  Assets:Cash  100000 EUR\n  Equity:In']
    prices: list[PriceRow] = []
    fx: list[FxRow] = []
    held = {"Stock": 0, "Other": 0}
    close, rate = 20.0, 1.2
    for at in range(days):
        on = date(2004, 1, 1) + timedelta(days=at)
        close *= 1 + dice.gauss(0, 0.03)
        rate *= 1 + dice.gauss(0, 0.01)
        paid = D(repr(round(close, 2)))
        here, there = dice.sample(sorted(held), 2)
        units = dice.randint(2, 50)
        out = min(units, held[here])
        what = dice.choice(("buy", "buy", "sell", "in", "out", "move", "move", "split", "two lots", "worthless"))
        legs, change = "", 0
        if what == "buy":
            legs, change = f"{units} SYN-A {{{paid} EUR}}\n  Expenses:Fees  2.5 EUR\n  Assets:Cash", units
        elif what == "in":
            legs, change = f"{units} SYN-A {{7 EUR, 2001-02-0{dice.randint(1, 9)}}}\n  Equity:In", units
        elif what == "split":
            lines.append(f'{on} custom "split" "SYN-A" 2' if any(held.values()) else "")
            close /= 2 if any(held.values()) else 1
            held = {name: 2 * number for name, number in held.items()}
        elif out > 1:
            change = -out
            gains = "\n  Income:Gains"
            legs = f"-{out} SYN-A {{}}"
            if what == "sell":
                legs += f" @ {paid} EUR\n  Assets:Cash  {out * paid} EUR{gains}"
            elif what == "out":
                legs += dice.choice(("", " @ 15 EUR")) + "\n  Equity:In"
            elif what == "move":
                legs += f"\n  Assets:{there}  {out} SYN-A {{}}"
                legs += dice.choice(("", "\n  Assets:Cash  -3 EUR\n  Expenses:Fees  3 EUR"))
                held[there] += out
            elif what == "two lots":
                legs = f"-1 SYN-A {{}}\n  Assets:{here}  -{out - 1} SYN-A {{}}"
                legs += f"\n  Assets:Cash  {out * paid + 3} EUR{gains}"
            else:
                legs += gains
        held[here] += change
        if legs:
            lines.append(f'{on} * "{what}"\n  Assets:{here}  {legs}')
        if dice.random() < 0.6 or at in (0, days - 1):
            prices.append((on, "SYN-A", D(repr(round(close, 4))), "EUR"))
            fx.append((on, "EUR", "USD", D(repr(round(rate, 5)))))
    booked = book(from_text("\n".join(lines) + "\n"))
    market = align("USD", prices, fx, dates=[row[0] for row in prices], currencies=booked.currencies)
    return World(booked, prices, fx, market, "USD")
