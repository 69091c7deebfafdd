"""What a ledger text says, one frozen type per Beancount directive of the supported subset.

Directives are data: the parser makes them, booking folds them, nothing changes them. Numbers are
`Decimal` exactly as written (the number of decimals matters: Beancount derives the balancing
tolerance from it). Every directive knows its file and line, so that a fault can name them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

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


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of a commodity, e.g. `150.00 USD`."""

    number: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class CostSpec:
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


@dataclass(frozen=True, slots=True)
class Posting:
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


@dataclass(frozen=True, slots=True)
class Directive:
    """What all directives share: date, file and 1-based line."""

    on: date
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Open(Directive):
    """An account begins; `currencies` empty means any, `booking` None means the default."""

    account: str
    currencies: tuple[str, ...]
    booking: str | None


@dataclass(frozen=True, slots=True)
class Close(Directive):
    """An account ends: later postings to it are faults."""

    account: str


@dataclass(frozen=True, slots=True)
class Commodity(Directive):
    """A commodity is declared; only its metadata carries meaning."""

    symbol: str
    meta: Meta = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Price(Directive):
    """A price quote; kept for users of the text, valuation takes prices from packs."""

    symbol: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class Balance(Directive):
    """An assertion on an account and its sub-accounts at the open of the day."""

    account: str
    amount: Amount
    tolerance: Decimal | None


@dataclass(frozen=True, slots=True)
class Split(Directive):
    """`custom "split"`: `ratio` new units for each old one, from the open of the day."""

    symbol: str
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class Transaction(Directive):
    """A dated set of postings whose weights sum to zero within tolerance."""

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
