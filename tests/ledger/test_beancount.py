"""Ours against Beancount, which runs as a separate process: same verdicts, same positions.

AVERAGE cannot be compared: Beancount answers "AVERAGE method is not supported"; its worked
examples stand in test_booking.py.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.booked import plain
from ledger.booking import book, book_with_faults
from ledger.sources import from_disk, from_text

Ask = Callable[[str], dict[str, Any]]
HERE = Path(__file__)
DATA = HERE.parents[2] / "data"
END = date(2030, 1, 1)
KINDS = (
    *("open", "open", "open total", "close", "all", "split"),
    *("deposit", "dividend", "exchange", "move", "gift"),
)
METHODS = ("FIFO", "LIFO", "HIFO", "STRICT")


@pytest.fixture(scope="module")
def beancount() -> Iterator[Ask]:
    """Beancount in its own process, asked over pipes."""
    command = [sys.executable, str(HERE.with_name("beancount_oracle.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(text: str) -> dict[str, Any]:
            stdin.write(json.dumps(text) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield ask
        stdin.close()
        process.wait(timeout=20)


@st.composite
def ledgers(draw: st.DrawFn) -> str:
    """Draw a ledger that Beancount accepts: trades, shorts, fees, splits, dividends, exchanges, moves, withdrawals."""
    method = draw(st.sampled_from(METHODS))
    lines = [
        f'2004-01-01 open Assets:Stock "{method}"',
        f'2004-01-01 open Assets:Other "{method}"',
        "2004-01-01 open Income:Dividends:SYN-A",
        "2004-01-01 open Income:Dividends:SYN-B",
        "2004-01-01 open Expenses:Tax",
        "2004-01-01 open Assets:Cash",
        "2004-01-01 open Income:Gains",
        "2004-01-01 open Expenses:Fees",
        "2004-01-01 open Equity:In",
    ]
    on = date(2004, 1, 2)
    # Per symbol the open lots as (units, unit cost, date), to write only what is possible.
    held: dict[str, list[tuple[Decimal, Decimal, date]]] = {"SYN-A": [], "SYN-B": []}
    cents = st.decimals("0.01", "900", places=2)
    units = st.decimals("0.001", "500", places=3)
    used: set[Decimal] = set()
    # Per symbol what was moved to the other account first.
    moved: dict[str, Decimal] = {}
    for _ in range(draw(st.integers(1, 14))):
        on += timedelta(days=draw(st.integers(1, 40)))
        symbol = draw(st.sampled_from(sorted(held)))
        lots = held[symbol]
        total = sum((lot[0] for lot in lots), Decimal(0))
        kind = draw(st.sampled_from(KINDS))
        price = draw(cents.filter(lambda value: value not in used))
        used.add(price)  # equal costs would leave HIFO's order open
        if kind in ("split", "move", "gift") and (method != "STRICT" or not lots):
            continue
        if kind == "move" and lots[-1][0] * moved.setdefault(symbol, lots[-1][0]) < 0:
            continue  # a short moved to where longs are would have to close one of them
        lines.append(f'{on} * "{kind}"')
        if kind.startswith("open"):
            qty = draw(units) * (-1 if total < 0 or (not lots and draw(st.booleans())) else 1)
            if kind == "open total":
                qty = qty.to_integral_value().copy_sign(qty) or Decimal(1).copy_sign(qty)
                lines.append(f"  Assets:Stock  {qty} {symbol} {{{{{price * abs(qty)} USD}}}}")
            else:
                lines.append(f"  Assets:Stock  {qty} {symbol} {{{price} USD}}")
            if draw(st.booleans()):
                lines.append("  Expenses:Fees  4.95 USD")
            lines.append("  Assets:Cash")
            lots.append((qty, price, on))
        elif kind in ("close", "all") and lots:
            part = draw(units) % abs(total) if kind == "close" else abs(total)
            if method == "STRICT":
                at = draw(st.integers(0, len(lots) - 1))
                lot_qty, lot_cost, lot_on = lots[at]
                part, spec = abs(lot_qty), f"{{{lot_cost} USD, {lot_on}}}"
                del lots[at]
            else:
                spec = "{}"
            part = part or abs(total)
            sign = "-" if total > 0 else ""
            lines.append(f"  Assets:Stock  {sign}{part} {symbol} {spec} @ {price} USD")
            cash = (part * price).quantize(Decimal("0.01")) * (1 if total > 0 else -1)
            lines += [f"  Assets:Cash  {cash} USD", "  Income:Gains"]
            if method != "STRICT":
                # Only the sum matters for what may be written next.
                left = abs(total) - part
                lots[:] = [(left.copy_sign(total), price, on)] if left else []
        elif kind == "dividend":
            lines += [
                f"  ex_date: {on - timedelta(days=9)}",
                f"  Assets:Cash  {price} USD",
                "  Expenses:Tax  0.15 USD",
                f"  Income:Dividends:{symbol}",
            ]
        elif kind == "exchange":
            lines += [f"  Assets:Cash  {price} EUR @ 1.3 USD", f"  Assets:Cash  {-price * Decimal('1.3')} USD"]
        elif kind in ("move", "gift"):
            lot_qty, lot_cost, lot_on = lots.pop()
            lot = f"{symbol} {{{lot_cost} USD, {lot_on}}}"
            lines.append(f"  Assets:Stock  {-lot_qty} {lot}")
            lines.append(f"  Assets:Other  {lot_qty} {lot}" if kind == "move" else "  Equity:In")
        elif kind == "split":
            lines += [f"  Assets:Stock  {-q} {symbol} {{{c} USD, {d}}}" for q, c, d in lots]
            lots[:] = [(q * 4, c / 4, d) for q, c, d in lots]
            lines += [f"  Assets:Stock  {q} {symbol} {{{c} USD, {d}}}" for q, c, d in lots]
        else:  # a deposit, or nothing left to close
            lines += [f"  Assets:Cash  {price} USD", "  Equity:In"]
    return "\n".join(line for line in lines if line) + "\n"


def ours(text: str) -> dict[str, Any]:
    """Return our positions in the oracle's shape; lots of equal cost and day together."""
    positions = book(from_text(text)).positions(END)
    lots: dict[tuple[str, str, str, str], Decimal] = {}
    for lot in positions.lots:
        unit = plain(lot.cost / lot.qty)
        key = (lot.symbol, unit, lot.currency, lot.acquired.isoformat())
        lots[key] = lots.get(key, Decimal(0)) + lot.qty
    return {
        "lots": sorted([*key, plain(qty)] for key, qty in lots.items()),
        "cash": {name: str(amount) for name, amount in positions.cash.items()},
    }


def comparable(cash: dict[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in cash.items()}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=ledgers())
def test_positions_agree(beancount: Ask, text: str) -> None:
    theirs = beancount(text)
    assert theirs["errors"] == []
    mine = ours(text)
    assert mine["lots"] == theirs["lots"]
    assert comparable(mine["cash"]) == comparable(theirs["cash"])


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    amount=st.decimals("1", "999", places=3),
    places=st.integers(0, 3),
    off=st.sampled_from(["0", "0.0004", "0.0005", "0.0006", "0.004", "0.005", "0.006", "0.05", "0.5"]),
    shape=st.sampled_from(["plain", "cost", "price", "total price"]),
    multiplier=st.sampled_from(["", "0.5", "1.2"]),
)
def test_verdicts_on_nearly_balanced_transactions_agree(
    beancount: Ask, amount: Decimal, places: int, off: str, shape: str, multiplier: str
) -> None:
    amount = amount.quantize(Decimal(1).scaleb(-places))
    other = amount + Decimal(off)
    first = {
        "plain": f"{amount} USD",
        "cost": f"10.5 SYN-A {{{amount} USD}}",
        "price": f"{amount} EUR @ 1.3 USD",
        "total price": f"{amount} EUR @@ {amount} USD",
    }[shape]
    due = {"plain": other, "cost": other * Decimal("10.5"), "price": other * Decimal("1.3")}
    option = f'option "tolerance_multiplier" "{multiplier}"\n' if multiplier else ""
    text = (
        f"{option}2004-01-01 open Assets:A\n2004-01-01 open Equity:In\n"
        f'2004-01-02 * "x"\n  Assets:A  {first}\n  Equity:In  {-due.get(shape, other)} USD\n'
    )
    _, faults = book_with_faults(from_text(text))
    assert [str(fault) for fault in faults if "balance" not in fault.message] == []
    assert bool(faults) == bool(beancount(text)["errors"]), text


@pytest.mark.parametrize("account", ["Assets:B", "Assets:C"])
@pytest.mark.parametrize(
    ("posting", "other", "accepted"),
    [
        ("0 ACME {10 USD}", "0 USD", False),
        ("0 ACME {10 USD}", "", False),
        ("0.00 ACME {10 USD, 2004-01-02}", "0 USD", False),
        ("0 ACME {10 USD} @ 5 USD", "0 USD", False),
        ("0 ACME {}", "0 USD", True),
        ("0 ACME {}", "-5 USD", False),
        ("0 ACME {} @@ 5 USD", "0 USD", True),
        ("0 USD", "0 CAD", True),
        ("0 USD @@ 5 CAD", "-5 CAD", False),
    ],
)
def test_verdicts_on_nothing_agree(beancount: Ask, account: str, posting: str, other: str, accepted: bool) -> None:
    text = f"""
2004-01-01 open Assets:B
2004-01-01 open Assets:C
2004-01-01 open Equity:In
2004-01-02 * "three"
  Assets:B  3 ACME {{10 USD}}
  Equity:In  -30 USD
2004-01-03 * "nothing"
  {account}  {posting}
  Equity:In  {other}
"""
    booked, faults = book_with_faults(from_text(text))
    assert (not faults, beancount(text)["errors"] == []) == (accepted, accepted)
    assert [(lot.account, lot.qty) for lot in booked.positions(END).lots] == [("Assets:B", 3)]


@pytest.mark.parametrize(
    "name",
    [
        "example/ledger.beancount",
        "demo/ledger/alice/growth.beancount",
        "demo/ledger/bob/global.beancount",
        "demo/ledger/bob/savings.beancount",
    ],
)
def test_bundled_ledgers_pass_bean_check(name: str) -> None:
    check = Path(sys.executable).with_name("bean-check")
    done = subprocess.run([check, DATA / name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name",
    [
        "demo/ledger/alice/growth.beancount",
        "demo/ledger/bob/global.beancount",
        "demo/ledger/bob/savings.beancount",
    ],
)
def test_bundled_ledgers_hold_what_beancount_says(beancount: Ask, name: str) -> None:
    theirs = beancount((DATA / name).read_text())
    positions = book(from_disk(DATA / name)).positions(END)
    held = {symbol: qty for symbol, qty in positions.quantities().items() if qty}
    said: dict[str, Decimal] = {}
    for symbol, _, _, _, qty in theirs["lots"]:
        said[symbol] = said.get(symbol, Decimal(0)) + Decimal(qty)
    assert held == said
    assert comparable({k: str(v) for k, v in positions.cash.items()}) == comparable(theirs["cash"])
