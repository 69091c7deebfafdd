"""Rows of booked ledgers, whatever store keeps them."""

from collections.abc import Mapping

from topics.errors import Code, TerminalError

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
