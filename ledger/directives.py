"""What a ledger text says, one frozen type per Beancount directive of the supported subset.

Directives are data: the parser makes them, booking folds them, nothing changes them. Numbers are
`Decimal` exactly as written (the number of decimals matters: Beancount derives the balancing
tolerance from it). Every directive knows its file and line, so that a fault can name them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

Meta = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in a ledger, as a value: faults are collected and reported all at once.

    Attributes:
        file: path inside the ledger tree.
        line: 1-based line; 0 when the whole file is meant.
        message: what was expected and what stands there.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class LedgerRejected(ValueError):
    """The ledger has faults; `faults` holds all of them in file and line order."""

    def __init__(self, faults: tuple[Fault, ...]):
        self.faults = faults
        shown = "\n".join(str(fault) for fault in faults[:20])
        more = f"\n… and {len(faults) - 20} more" if len(faults) > 20 else ""
        super().__init__(f"{len(faults)} ledger fault(s):\n{shown}{more}")


class Amount(NamedTuple):
    """A number of a commodity, e.g. `150.00 USD`."""

    number: Decimal
    currency: str


class CostSpec(NamedTuple):
    """What stands in braces after an amount.

    Attributes:
        number: cost per unit, or of the whole posting when `total`; None for `{}`.
        currency: None when not written.
        acquired: lot date, None when not written.
        label: lot label, None when not written.
        total: written with double braces.
    """

    number: Decimal | None
    currency: str | None
    acquired: date | None
    label: str | None
    total: bool


class Posting(NamedTuple):
    """One leg of a transaction; `units` is None when its amount is to be interpolated.

    Attributes:
        price: per unit, or of the whole posting when `price_total`.
    """

    account: str
    units: Amount | None
    cost: CostSpec | None
    price: Amount | None
    price_total: bool
    line: int


class Open(NamedTuple):
    """An account begins; `currencies` empty means any, `booking` None means the default."""

    on: date
    file: str
    line: int
    account: str
    currencies: tuple[str, ...]
    booking: str | None


class Close(NamedTuple):
    """An account ends: later postings to it are faults."""

    on: date
    file: str
    line: int
    account: str


class Commodity(NamedTuple):
    """A commodity is declared; only its metadata carries meaning."""

    on: date
    file: str
    line: int
    symbol: str
    meta: Meta


class Price(NamedTuple):
    """A price quote; kept for users of the text, valuation takes prices from packs."""

    on: date
    file: str
    line: int
    symbol: str
    amount: Amount


class Balance(NamedTuple):
    """An assertion on an account and its sub-accounts at the open of the day."""

    on: date
    file: str
    line: int
    account: str
    amount: Amount
    tolerance: Decimal | None


class Split(NamedTuple):
    """`custom "split"`: `ratio` new units for each old one, from the open of the day."""

    on: date
    file: str
    line: int
    symbol: str
    ratio: Decimal


class Transaction(NamedTuple):
    """A dated set of postings whose weights sum to zero within tolerance."""

    on: date
    file: str
    line: int
    payee: str
    narration: str
    tags: frozenset[str]
    links: frozenset[str]
    meta: Meta
    postings: tuple[Posting, ...]


AnyDirective = Open | Close | Commodity | Price | Balance | Split | Transaction


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file's directives in file order, its options and includes, and its faults."""

    directives: tuple[AnyDirective, ...]
    options: tuple[tuple[str, str, int], ...]
    includes: tuple[tuple[str, int], ...]
    faults: tuple[Fault, ...]
