"""Rows of booked ledgers, whatever store keeps them."""

from collections.abc import Mapping

from topics.errors import Code, TerminalError

# Of the rows a ledger is booked to: raise it when the same ledger text books to other rows. What was stored with a
# lower one is booked again.
ROWS_VERSION = 2
Row = Mapping[str, str | int | None]
COLUMNS = (
    "seq",
    "on",
    "kind",
    "account",
    "symbol",
    "currency",
    "qty",
    "amount",
    "price",
    "price_currency",
    "ratio",
    "lot",
    "acquired",
    "lot_qty",
    "lot_cost",
    "gain",
    "pay_date",
    "source",
    "text",
)


def different_rows(commit: str, stored: str | None, arrived: str) -> TerminalError:
    """Return the error for a commit that was booked to other rows before."""
    return TerminalError(
        Code.INTERNAL, f"ledger commit {commit} is stored with rows of SHA-256 {stored}; now booked to {arrived}"
    )
