"""What the rows of one transaction say of its trades: money they moved beyond units × price, and which had no price.

Where lots have no price of their own (a merger, a spin-off, several lots sold for one amount) they count at the close,
and what they really moved is known only for the interval, not for the transaction.
"""

from collections.abc import Sequence
from decimal import Decimal

from analytics.bookings import BookingRow
from analytics.numbers import ZERO

UNPRICED = "trades without a price"


def priced(rows: Sequence[BookingRow]) -> bool:
    """Whether every lot of a transaction has a price, so that what is left over is its own."""
    return all(row.price is not None for row in rows if row.kind == "lot")


def unpriced_symbols(rows: Sequence[BookingRow]) -> set[str]:
    """Return what a transaction trades without a price; nothing where nothing is paid.

    That is in kind (against Equity), or from one account to another.
    """
    kinds = {row.kind for row in rows}
    lots = [row for row in rows if row.kind == "lot"]
    if kinds - {"lot", "external"} or (len({row.symbol for row in lots}) > 1 and "external" not in kinds):
        return {row.symbol for row in lots if row.price is None}
    return set()


def left_over(rows: Sequence[BookingRow]) -> dict[str, Decimal]:
    """Return per currency the money a transaction moved that neither trades, flows, income nor costs explain."""
    left: dict[str, Decimal] = {}
    for row in rows:
        currency, amount = row.currency, -row.amount
        if row.kind in ("cash", "receivable"):
            amount = row.amount
        elif row.kind in ("lot", "split"):
            amount = row.qty * (row.price or ZERO) if row.kind == "lot" else ZERO
            currency = row.price_currency or currency
        left[currency] = left.get(currency, ZERO) + amount
    return {currency: amount for currency, amount in left.items() if amount}
