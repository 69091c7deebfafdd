"""A booked ledger: flat dated rows from which positions and daily histories are folded.

The rows are the ledger's whole output. They are plain columns (date, strings, decimals), so they
can stand in a database table, be filtered by `on <= asof` and be folded again; the same commit
gives the same rows in the same order and therefore the same `content_hash`.

Row kinds, and what `qty` and `amount` mean in each (amounts are in `currency`, signed as the
portfolio feels them: plus is more wealth):

==========  =====================================  ==============================================
kind        qty                                    amount
==========  =====================================  ==============================================
lot         signed change of the lot's units       signed change of the lot's total cost
split       change of the lot's units              0 (a split keeps the total cost); `ratio` set
cash        0                                      change of cash
receivable  0                                      + from the ex-date, − on the pay date
external    0; in kind the units moved             deposit (+) or withdrawal (−), end of day
dividend    0                                      gross dividend, dated on its ex-date
income      0                                      other income (interest), −/+
tax         0                                      expense inside a dividend transaction (−)
commission  0                                      expense inside a trade (−)
expense     0                                      any other expense (−)
==========  =====================================  ==============================================

`lot` and `split` rows carry the lot's state after the row (`lot_qty`, `lot_cost`), so a position
as of a day is the last state of each lot up to that day. Short lots have negative qty and cost.

An `external` row with a symbol is securities brought in or taken out. Its amount is their value at
`price` when the ledger names one; without a price it is their cost, and readers value the units at
that day's close instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Literal, NamedTuple

Kind = Literal[
    "lot",
    "split",
    "cash",
    "receivable",
    "external",
    "dividend",
    "income",
    "tax",
    "commission",
    "expense",
]


class Booking(NamedTuple):
    """One booked row.

    Attributes:
        seq: 0-based position in the whole booked ledger (rows are ordered by date, then seq).
        on: the day it takes effect.
        kind: see the module's table.
        account: the account posted to.
        symbol: security; empty when none is concerned.
        currency: of `amount` (for lots, the cost currency).
        qty: see the module's table.
        amount: see the module's table.
        price: trade price per unit in `price_currency`; lot and in-kind rows only, None when not known.
        price_currency: of `price`, None without one; for a sale it may be another than the cost's.
        ratio: new units per old; split rows only.
        lot: stable lot id, `file:line` of the opening posting plus a counter; empty otherwise.
        acquired: the lot's acquisition date.
        lot_qty: the lot's units after this row.
        lot_cost: the lot's total cost after this row, in `currency`.
        gain: realised gain in `currency`; None unless units were closed at a known price in it.
        pay_date: of a receivable or a dividend, when its cash arrives.
        source: `file:line` of the transaction.
        text: its narration.
    """

    seq: int
    on: date
    kind: Kind
    account: str
    symbol: str
    currency: str
    qty: Decimal
    amount: Decimal
    price: Decimal | None
    price_currency: str | None
    ratio: Decimal | None
    lot: str
    acquired: date | None
    lot_qty: Decimal | None
    lot_cost: Decimal | None
    gain: Decimal | None
    pay_date: date | None
    source: str
    text: str

    def as_row(self) -> dict[str, str | int | None]:
        """Return JSON-ready columns: dates as ISO text, decimals as plain decimal strings."""
        return {name: _cell(value) for name, value in zip(COLUMNS, self, strict=True)}

    @classmethod
    def from_row(cls, row: dict[str, str | int | None]) -> "Booking":
        """Rebuild a booking from `as_row` output (also after JSON)."""
        values: dict[str, object] = dict(row)
        for name in ("on", "acquired", "pay_date"):
            cell = row[name]
            values[name] = date.fromisoformat(cell) if isinstance(cell, str) else None
        for name in ("qty", "amount", "price", "ratio", "lot_qty", "lot_cost", "gain"):
            cell = row[name]
            values[name] = Decimal(cell) if isinstance(cell, str) else None
        return cls(**values)  # pyright: ignore[reportArgumentType]


COLUMNS = Booking._fields


@dataclass(frozen=True, slots=True)
class Lot:
    """An open lot: signed units and the signed total cost in its cost currency."""

    lot: str
    account: str
    symbol: str
    qty: Decimal
    cost: Decimal
    currency: str
    acquired: date


@dataclass(frozen=True, slots=True)
class Receivable:
    """Money earned (ex-date passed) and not yet paid."""

    symbol: str
    currency: str
    amount: Decimal
    pay_date: date


@dataclass(frozen=True, slots=True)
class Positions:
    """What is held at the end of `asof`; cash sums all accounts per currency."""

    asof: date
    lots: tuple[Lot, ...]
    cash: dict[str, Decimal]
    receivables: tuple[Receivable, ...]

    def quantities(self) -> dict[str, Decimal]:
        """Return signed units per symbol."""
        total: dict[str, Decimal] = {}
        for lot in self.lots:
            total[lot.symbol] = total.get(lot.symbol, Decimal(0)) + lot.qty
        return total


@dataclass(frozen=True, slots=True)
class Booked:
    """A whole ledger after booking.

    Attributes:
        rows: ordered by date, then by ledger order.
        content_hash: SHA-256 (64 hex digits) over the rows.
        base: the first `option "operating_currency"`, None without one.
        title: `option "title"`, empty without one.
    """

    rows: tuple[Booking, ...]
    content_hash: str
    base: str | None
    title: str

    @property
    def first_day(self) -> date | None:
        """The day of the first row, None for an empty ledger."""
        return self.rows[0].on if self.rows else None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every security ever held, sorted."""
        return tuple(sorted({row.symbol for row in self.rows if row.kind == "lot"}))

    @property
    def currencies(self) -> tuple[str, ...]:
        """Every currency of cash, cost or income, sorted."""
        return tuple(sorted({row.currency for row in self.rows}))

    def positions(self, asof: date) -> Positions:
        """Return lots, cash and receivables at the end of `asof`. Cost: O(rows)."""
        return fold(self.rows, asof)


def fold(rows: Iterable[Booking], asof: date) -> Positions:
    """Fold date-ordered rows up to and including `asof` into positions."""
    lots: dict[str, Booking] = {}
    cash: dict[str, Decimal] = {}
    owed: dict[tuple[str, str, date], Decimal] = {}
    for row in rows:
        if row.on > asof:
            break
        if row.kind in ("lot", "split"):
            lots[row.lot] = row
        elif row.kind == "cash":
            cash[row.currency] = cash.get(row.currency, Decimal(0)) + row.amount
        elif row.kind == "receivable" and row.pay_date is not None:
            key = (row.symbol, row.currency, row.pay_date)
            owed[key] = owed.get(key, Decimal(0)) + row.amount
    return Positions(
        asof=asof,
        lots=tuple(
            Lot(row.lot, row.account, row.symbol, row.lot_qty, row.lot_cost, row.currency, acquired)
            for row in lots.values()
            if row.lot_qty and row.lot_cost is not None and (acquired := row.acquired) is not None
        ),
        cash={currency: amount for currency, amount in sorted(cash.items()) if amount},
        receivables=tuple(
            Receivable(symbol, currency, amount, pay)
            for (symbol, currency, pay), amount in sorted(owed.items())
            if amount
        ),
    )


def content_hash(rows: Sequence[Booking]) -> str:
    """Return SHA-256 over the rows' cells, one line per row, cells separated by U+001F."""
    seal = sha256()
    for row in rows:
        seal.update(_LINE.join(_cells(row)).encode())
        seal.update(b"\n")
    return seal.hexdigest()


_LINE = "\x1f"


def _cells(row: Booking) -> tuple[str, ...]:
    """Return the row's columns in `COLUMNS` order as text; absent ones are empty."""
    return (
        str(row.seq),
        row.on.isoformat(),
        row.kind,
        row.account,
        row.symbol,
        row.currency,
        plain(row.qty) if row.qty else "0",
        plain(row.amount),
        _price(row),
        "" if row.ratio is None else plain(row.ratio),
        row.lot,
        "" if row.acquired is None else row.acquired.isoformat(),
        "" if row.lot_qty is None else plain(row.lot_qty),
        "" if row.lot_cost is None else plain(row.lot_cost),
        "" if row.gain is None else plain(row.gain),
        "" if row.pay_date is None else row.pay_date.isoformat(),
        row.source,
        row.text,
    )


def _price(row: Booking) -> str:
    """Return the price; its currency only where it is not the row's, so that all other rows keep the hash they had."""
    if row.price is None:
        return ""
    foreign = row.price_currency if row.price_currency != row.currency else None
    return f"{plain(row.price)} {foreign}" if foreign else plain(row.price)


def _cell(value: object) -> str | int | None:
    """Return a value's one spelling: `1.50` and `1.5` are the same quantity."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros after the point."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
