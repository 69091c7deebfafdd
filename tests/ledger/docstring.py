"""Ledgers in docstrings: the test's own docstring is the ledger it is about."""

from collections.abc import Callable
from inspect import cleandoc

from ledger.booked import Booked
from ledger.booking import book, book_with_faults
from ledger.directives import Fault
from ledger.sources import from_text

ACCOUNTS = """
2004-01-01 open Assets:Cash
2004-01-01 open Assets:Stock {booking}
2004-01-01 open Equity:Contributions
2004-01-01 open Income:Gains
2004-01-01 open Income:Interest
2004-01-01 open Income:Dividends:SYN-A
2004-01-01 open Expenses:Fees
2004-01-01 open Expenses:Tax
2004-01-01 * "deposit"
  Assets:Cash              1,000,000.00 USD
  Equity:Contributions
"""


def ledger(booking: str = "") -> Callable[[Callable[[Booked], None]], Callable[[], None]]:
    """Give the test its docstring booked, with the usual accounts opened and funded before it."""

    def wrap(test: Callable[[Booked], None]) -> Callable[[], None]:
        header = ACCOUNTS.format(booking=f'"{booking}"' if booking else "")

        def run() -> None:
            test(book(from_text(header + cleandoc(test.__doc__ or ""))))

        run.__name__ = test.__name__
        return run

    return wrap


def faults_of(test: Callable[[tuple[Fault, ...]], None]) -> Callable[[], None]:
    """Give the test the faults of its docstring, taken as a whole file."""

    def run() -> None:
        _, faults = book_with_faults(from_text(cleandoc(test.__doc__ or "")))
        test(faults)

    run.__name__ = test.__name__
    return run
