"""What the mathematics cost: a large portfolio over ten years, from booked rows to return and attribution.

500 securities, 2,520 days, three currencies, 3,000 trades, dividends and monthly deposits; prices are made up (symbols
`SYN-*`). Measured is CPU time of this process, because other work on the machine would be in any other.
"""

import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from analytics.attribution import attribute
from analytics.bookings import BookingRow
from analytics.history import build
from analytics.market import FxRow, Market, PriceRow, align
from analytics.returns import compute_twr
from bench.machine import machine

POSITIONS, DAYS, TRADES = 500, 2_520, 3_000
_CURRENCIES = ("CAD", "USD", "EUR")
_FIRST = date(2010, 1, 4)


@dataclass(frozen=True, slots=True)
class _Row:
    """A booked row; see `analytics.bookings`."""

    on: date
    kind: str
    symbol: str
    currency: str
    qty: Decimal
    amount: Decimal
    price: Decimal | None = None
    price_currency: str | None = None
    lot: str = ""
    account: str = "Assets:Shares"
    acquired: date | None = None
    ratio: Decimal | None = None
    pay_date: date | None = None


def run_analytics(positions: int = POSITIONS, days: int = DAYS) -> dict[str, Any]:
    """Measure; returns `{"rows": [{"stage", "cpu_s"}], "peak_mb", "twr", "residual_bp", "machine"}`."""
    rows, prices, rates = _world(positions, days)
    calendar = sorted({row[0] for row in prices})
    taken: list[dict[str, Any]] = []

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()
        found = work()
        taken.append({"stage": stage, "cpu_s": round(time.process_time() - begun, 3)})
        return found

    market: Market = timed("align", lambda: align("CAD", prices, rates, dates=calendar, currencies=_CURRENCIES))
    history = timed("history", lambda: build(rows, market))
    twr = timed("time-weighted return", lambda: compute_twr(history))
    effects = timed("attribution", lambda: attribute(history, twr))
    whole = sum(row["cpu_s"] for row in taken)
    taken.append({"stage": "history to attribution", "cpu_s": round(whole - taken[0]["cpu_s"], 3)})
    taken.append({"stage": "all", "cpu_s": round(whole, 3)})
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return {
        "rows": taken,
        "positions": positions,
        "days": days,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1),
        "twr": twr.twr,
        "residual_bp": effects.residual_bp,
        "machine": machine(),
    }


def _world(positions: int, days: int) -> tuple[list[BookingRow], list[PriceRow], list[FxRow]]:
    dice = random.Random(7)
    calendar: list[date] = []
    on = _FIRST
    while len(calendar) < days:
        if on.weekday() < 5:
            calendar.append(on)
        on += timedelta(days=1)
    names = [f"SYN-{at:03d}" for at in range(positions)]
    money = {name: _CURRENCIES[at % 3] for at, name in enumerate(names)}
    closes = {name: 20.0 + at % 90 for at, name in enumerate(names)}
    cad, usd = 1.5, 1.2
    prices: list[PriceRow] = []
    rates: list[FxRow] = []
    rows: list[BookingRow] = []
    first = calendar[0]
    for name in ("CAD", "USD", "EUR"):
        amount = Decimal(10_000_000)
        rows += [
            _Row(first, "cash", "", name, Decimal(0), amount),
            _Row(first, "external", "", name, Decimal(0), amount),
        ]
    chosen = sorted(dice.choices(range(days), k=TRADES - positions))
    trades = {at: chosen.count(at) for at in set(chosen)}
    for at, day in enumerate(calendar):
        for name in names:
            closes[name] *= 1.0 + dice.gauss(0.0003, 0.015)
            prices.append((day, name, Decimal(f"{closes[name]:.4f}"), money[name]))
        cad, usd = cad * (1 + dice.gauss(0, 0.004)), usd * (1 + dice.gauss(0, 0.004))
        rates += [(day, "EUR", "CAD", Decimal(f"{cad:.4f}")), (day, "EUR", "USD", Decimal(f"{usd:.4f}"))]
        bought = names if not at else dice.choices(names, k=trades.get(at, 0))
        for name in bought:
            price, qty = Decimal(f"{closes[name]:.2f}"), Decimal(dice.randint(10, 100))
            lot = f"bench:{len(rows)}"
            rows.append(_Row(day, "lot", name, money[name], qty, qty * price, price, lot, acquired=day))
            rows.append(_Row(day, "cash", "", money[name], Decimal(0), -qty * price))
        if at and at % 21 == 0:
            rows.append(_Row(day, "cash", "", "CAD", Decimal(0), Decimal(50_000)))
            rows.append(_Row(day, "external", "", "CAD", Decimal(0), Decimal(50_000)))
            for name in names[at % 7 :: 7]:
                rows.append(_Row(day, "cash", "", money[name], Decimal(0), Decimal(25)))
                rows.append(_Row(day, "dividend", name, money[name], Decimal(0), Decimal(25)))
    return rows, prices, rates
