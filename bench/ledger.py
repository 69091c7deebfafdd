"""The ledger alone: text of many transactions parsed and booked, in a process of its own.

Run by `dawsos bench ledger [--json]`. CPU time, so that other processes count as little as they can; memory is the
process's peak resident size, interpreter, text and rows included.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from services.garbage import look_for_garbage_rarely

SYMBOLS = 50
TRANSACTIONS = 100_000
_DAY = timedelta(days=1)
_FEE = Decimal("4.95")


def ledger_text(transactions: int) -> str:
    """Return a ledger: per ten transactions five purchases with a fee, three sales, a dividend and a deposit.

    Fifty securities, twenty transactions a day, FIFO. The same count gives the same text.
    """
    return "\n\n".join(_entries(transactions)) + "\n"


def _entries(transactions: int) -> Iterator[str]:
    yield 'option "operating_currency" "USD"'
    yield "\n".join(
        f"2000-01-01 open {account}"
        for account in (
            "Assets:Cash",
            "Assets:Stock",
            "Equity:Contributions",
            "Expenses:Fees",
            "Income:Gains",
            *(f"Income:Dividends:{_symbol(at)}" for at in range(SYMBOLS)),
        )
    )
    on = date(2000, 1, 3)
    yield f'{on} * "opening deposit"\n  Assets:Cash  100000000.00 USD\n  Equity:Contributions'
    held = [0] * SYMBOLS
    for at in range(transactions - 1):
        on += _DAY * (at % 20 == 0)
        which = at * 7 % SYMBOLS
        symbol, price, turn = _symbol(which), Decimal(1000 + at * 37 % 9000) / 100, at % 10
        if turn < 5 or held[which] < 5:
            held[which] += 10
            yield (
                f'{on} * "Broker" "buy"\n  Assets:Stock  10 {symbol} {{{price} USD}}\n'
                f"  Expenses:Fees  {_FEE} USD\n  Assets:Cash  {-(10 * price + _FEE)} USD"
            )
        elif turn < 8:
            held[which] -= 5
            yield (
                f'{on} * "Broker" "sell"\n  Assets:Stock  -5 {symbol} {{}} @ {price} USD\n'
                f"  Assets:Cash  {5 * price} USD\n  Income:Gains"
            )
        elif turn == 8:
            yield (
                f'{on} * "dividend"\n  ex_date: {on - 7 * _DAY}\n  Assets:Cash  12.34 USD\n'
                f"  Income:Dividends:{symbol}  -12.34 USD"
            )
        else:
            yield f'{on} * "deposit"\n  Assets:Cash  100.00 USD\n  Equity:Contributions  -100.00 USD'


def _symbol(at: int) -> str:
    return f"SYN-{at:03d}"


def measure(transactions: int = TRANSACTIONS) -> dict[str, Any]:
    """Parse and book in a new process and return its figures.

    Returns: `rows` with one row: transactions, booked rows, CPU seconds, transactions per CPU second, peak MB.
    """
    command = [sys.executable, "-m", "bench.ledger", str(transactions)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"rows": [json.loads(done.stdout)]}


def _child(transactions: int) -> dict[str, Any]:
    from ledger.booking import book
    from ledger.sources import from_text

    look_for_garbage_rarely()  # as worker processes do
    text = ledger_text(transactions)
    started = time.process_time()
    booked = book(from_text(text))
    seconds = time.process_time() - started
    # Linux says kilobytes, macOS bytes.
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return {
        "transactions": transactions,
        "bookings": len(booked.rows),
        "cpu_s": round(seconds, 2),
        "transactions_per_s": round(transactions / seconds),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit,
    }


if __name__ == "__main__":
    print(json.dumps(_child(int(sys.argv[1]))))
