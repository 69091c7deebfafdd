"""The booked row as analytics reads it: any object with these attributes will do.

The ledger's rows and database records both fit; the meaning of each kind and sign is described
where rows are made (plus is always more wealth). Rows must come ordered by `on`, then `seq`.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Protocol


class BookingRow(Protocol):
    """One dated effect on a portfolio."""

    @property
    def on(self) -> date:
        """Day it takes effect."""
        ...

    @property
    def kind(self) -> str:
        """lot, split, cash, receivable, external, dividend, income, tax, commission, expense."""
        ...

    @property
    def account(self) -> str:
        """Account posted to."""
        ...

    @property
    def symbol(self) -> str:
        """Security, empty if none."""
        ...

    @property
    def currency(self) -> str:
        """Currency of `amount`."""
        ...

    @property
    def qty(self) -> Decimal:
        """Signed change of units (lot and split rows)."""
        ...

    @property
    def amount(self) -> Decimal:
        """Signed amount; for lot rows the change of the lot's total cost."""
        ...

    @property
    def price(self) -> Decimal | None:
        """Price per unit in `price_currency` (lot rows), None when not known; also of units that go in kind at one."""
        ...

    @property
    def price_currency(self) -> str | None:
        """Currency of `price`, None without one; a sale's may be another than `currency`, which is the cost's."""
        ...

    @property
    def gain(self) -> Decimal | None:
        """Realised gain in `currency`; None unless the row closes units that were traded at a known price in it."""
        ...

    @property
    def lot(self) -> str:
        """Lot id, empty if none."""
        ...

    @property
    def acquired(self) -> date | None:
        """The lot's acquisition date."""
        ...

    @property
    def ratio(self) -> Decimal | None:
        """New units per old (split rows)."""
        ...

    @property
    def pay_date(self) -> date | None:
        """When a receivable is paid."""
        ...

    @property
    def source(self) -> str:
        """Where its transaction stands; rows of one transaction share it."""
        ...


def sold(row: BookingRow) -> bool:
    """Return whether a closing row sold the units, or covered a short, for a known price; units that only go have none.

    A sale has a gain, or a price in another currency than its cost's, where the ledger cannot say the gain.
    """
    return row.gain is not None or row.price_currency not in (None, row.currency)


def currencies_of(rows: Iterable[BookingRow]) -> set[str]:
    """Return the currencies that rows need a rate of."""
    return {name for row in rows for name in (row.currency, row.price_currency or row.currency)}
