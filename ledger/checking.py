"""A summary of a ledger for people: what is in it, and every fault."""

from dataclasses import dataclass
from datetime import date

from ledger.booking import book_loaded
from ledger.directives import Fault, Transaction
from ledger.loading import load
from ledger.sources import Tree


@dataclass(frozen=True, slots=True)
class Summary:
    """What a ledger holds.

    Attributes:
        files: read through includes, sorted.
        transactions: number of transactions parsed.
        bookings: number of booked rows.
        first, last: days of the first and last booked row; None without rows.
        faults: empty when the ledger can be booked.
        content_hash: of the booked rows; only meaningful without faults.
    """

    title: str
    base: str | None
    files: tuple[str, ...]
    transactions: int
    bookings: int
    symbols: tuple[str, ...]
    currencies: tuple[str, ...]
    first: date | None
    last: date | None
    faults: tuple[Fault, ...]
    content_hash: str


def check(tree: Tree, booking: str | None = None) -> Summary:
    """Load and book a ledger and say what it holds; never raises for faults of the text."""
    loaded = load(tree)
    booked, faults = book_loaded(loaded, booking)
    files = {entry.file for entry in loaded.directives} | {tree.main}
    return Summary(
        title=booked.title,
        base=booked.base,
        files=tuple(sorted(files)),
        transactions=sum(isinstance(entry, Transaction) for entry in loaded.directives),
        bookings=len(booked.rows),
        symbols=booked.symbols,
        currencies=booked.currencies,
        first=booked.first_day,
        last=booked.rows[-1].on if booked.rows else None,
        faults=faults,
        content_hash=booked.content_hash,
    )
