"""`prices.csv` and `fx.csv` of `dawsos try`: read and checked, every fault at once with file and line.

prices.csv: `date,symbol,close,currency`, one close per day and symbol, on the share basis of its day.
fx.csv: `date,base,quote,rate`, quote units for 1 base.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from agents.ports import PriceRow, RateRow
from ledger.sources import NotText, decoded
from topics.errors import Fault

PRICE_COLUMNS = ("date", "symbol", "close", "currency")
RATE_COLUMNS = ("date", "base", "quote", "rate")
_CURRENCY = re.compile(r"[A-Z]{3}|GBp|ZAc|ILa")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NUMBER_END = Decimal(10**12)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INVERSE_ERROR_MAX = Decimal("1e-9")
_FAULTS_MAX = 100


class FilesRejected(ValueError):
    """Files with faults, all of them (at most 100 per file), as `file:line: message`."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is no text we can read: the line where, and why."""

    line: int
    why: str


@dataclass(slots=True)
class CheckedFile:
    """One file while it is read: its name, and its faults so far."""

    name: str
    faults: list[Fault] = field(default_factory=list)

    def fault(self, line: int, message: str) -> None:
        """Note a fault; after the first hundred only that there are more."""
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(Fault(f"{self.name}:{line}", "", message))
        elif len(self.faults) == _FAULTS_MAX:
            self.faults.append(Fault(f"{self.name}:{line}", "", "and more faults from here on"))


def read_prices(path: Path) -> tuple[list[PriceRow], list[Fault]]:
    """Return the rows ordered by day and symbol, and every fault."""
    return parse_prices(text_of(path), path.name)


def read_rates(path: Path) -> tuple[list[RateRow], list[Fault]]:
    """Return the rows ordered by day and pair, and every fault."""
    return parse_rates(text_of(path), path.name)


def parse_prices(text: str | Unreadable, name: str) -> tuple[list[PriceRow], list[Fault]]:
    """Like `read_prices`, on what `text_of` returned."""
    file = CheckedFile(name)
    rows: list[PriceRow] = []
    seen: dict[tuple[date, str], int] = {}
    currency_of: dict[str, tuple[str, int]] = {}
    for line, cells in records(file, text, PRICE_COLUMNS):
        on = parse_day(file, line, cells[0])
        symbol, currency = cells[1], cells[3]
        close = _positive(file, line, "close", cells[2])
        if not symbol:
            file.fault(line, "expected a symbol, got nothing")
        if _currency(file, line, currency):
            first, where = currency_of.setdefault(symbol, (currency, line))
            if first != currency:
                file.fault(line, f"{symbol} is quoted in {currency} here and in {first} on line {where}")
        if on is None or close is None or not symbol:
            continue
        if (on, symbol) in seen:
            file.fault(line, f"a second close of {symbol} on {on}, the first is on line {seen[on, symbol]}")
            continue
        seen[on, symbol] = line
        rows.append((on, symbol, close, currency))
    if not rows and not file.faults:
        file.fault(1, "expected at least one price, got none")
    return sorted(rows, key=lambda row: row[:2]), file.faults


def parse_rates(text: str | Unreadable, name: str) -> tuple[list[RateRow], list[Fault]]:
    """Like `read_rates`, on what `text_of` returned."""
    file = CheckedFile(name)
    rows: list[RateRow] = []
    seen: dict[tuple[date, str, str], tuple[int, Decimal]] = {}
    for line, cells in records(file, text, RATE_COLUMNS):
        on = parse_day(file, line, cells[0])
        base, quote = cells[1], cells[2]
        fine = _currency(file, line, base, iso=True) and _currency(file, line, quote, iso=True)
        rate = _positive(file, line, "rate", cells[3])
        if fine and base == quote:
            file.fault(line, f"expected two currencies, got {base} twice")
            continue
        if on is None or rate is None or not fine:
            continue
        if (on, base, quote) in seen:
            file.fault(line, f"a second {base}/{quote} rate on {on}, the first is on line {seen[on, base, quote][0]}")
            continue
        back = seen.get((on, quote, base))
        if back is not None and abs(back[1] * rate - 1) > _INVERSE_ERROR_MAX:
            file.fault(line, f"{base}/{quote} {rate} contradicts {quote}/{base} {back[1]} on line {back[0]}")
            continue
        seen[on, base, quote] = (line, rate)
        rows.append((on, base, quote, rate))
    return sorted(rows, key=lambda row: row[:3]), file.faults


def text_of(path: Path) -> str | Unreadable:
    """Return a file's text, or why it cannot be read."""
    try:
        return decoded(path.read_bytes())
    except NotText as error:
        return Unreadable(error.line, str(error))
    except OSError as error:
        return Unreadable(1, f"cannot read it: {error.strerror}")


def records(
    file: CheckedFile, text: str | Unreadable, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells in the order of `columns`, then `optional`) of every record with the right number of cells.

    Optional columns that the file does not have are empty cells.
    """
    if isinstance(text, Unreadable):
        file.fault(text.line, text.why)
        return
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        pick = _header(file, header, columns, optional)
        if pick is None:
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                file.fault(reader.line_num, f"expected {len(header)} cells, got {len(cells)}")
                continue
            yield reader.line_num, pick([cell.strip() for cell in cells])
    except csv.Error as error:
        file.fault(reader.line_num, f"expected comma-separated values: {error}")


def _header(
    file: CheckedFile, header: list[str], columns: tuple[str, ...], optional: tuple[str, ...]
) -> Callable[[list[str]], list[str]] | None:
    expected = f"expected {','.join((*columns, *optional))}"
    unknown = [name for name in header if name not in (*columns, *optional)]
    missing = [name for name in columns if name not in header]
    if unknown:
        file.fault(1, f"unknown column(s) {', '.join(map(repr, unknown))}; {expected}")
    if missing:
        file.fault(1, f"missing column(s) {', '.join(missing)}; {expected}")
    if len(set(header)) != len(header):
        file.fault(1, f"a column stands twice; {expected}")
    if file.faults:
        return None
    order = [header.index(name) if name in header else None for name in (*columns, *optional)]
    return lambda cells: ["" if at is None else cells[at] for at in order]


def parse_day(file: CheckedFile, line: int, text: str) -> date | None:
    """Return a day; None, with a fault, for what is none."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    file.fault(line, f"expected a date like 2005-12-30, got {text!r}")
    return None


def _positive(file: CheckedFile, line: int, what: str, text: str) -> Decimal | None:
    try:
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        number = None
    if number is None:
        file.fault(line, f"expected a number as {what}, got {text!r}")
        return None
    if number >= _NUMBER_END:
        file.fault(line, f"expected a {what} below {_NUMBER_END:,}, got {text[:40]}")
        return None
    if number <= 0:
        file.fault(line, f"expected a {what} above zero, got {text}")
        return None
    return number


def _currency(file: CheckedFile, line: int, text: str, *, iso: bool = False) -> bool:
    if _CURRENCY.fullmatch(text) and not (iso and not text.isupper()):
        return True
    file.fault(line, f"expected a currency code like USD, got {text!r}")
    return False
