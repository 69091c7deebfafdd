"""Prices and rates of a pricing pipeline, from files: CSV, Parquet, and the European Central Bank's own tables.

Every fault of a file comes at once, as `file:line: message`. What a file is, its name and first line say:

prices   `date,symbol,close,currency` in any order, one close per day and symbol, on the share basis of its day;
         `GBX`, `ZAc`, `ILA` for prices in hundredths
rates    `date,base,quote,rate`, quote units for 1 base
         or the ECB's `Date,USD,JPY,…`: units for 1 EUR, `N/A` where there is none; also inside the ECB's zip
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from agents.ports import PriceRow, RateRow
from ledger.sources import NotText, decoded
from services.price_files import PRICE_COLUMNS, RATE_COLUMNS, FilesRejected, parse_prices, parse_rates
from topics.errors import Fault

ECB_PIVOT = "EUR"
_FILE_BYTES_MAX = 512 * 1024 * 1024
_FAULTS_MAX = 100


class ParquetMissing(RuntimeError):
    """A Parquet file was given and pyarrow is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: reading Parquet needs pyarrow, which is not installed; install it, or give the file as CSV"
        )


@dataclass(frozen=True, slots=True)
class MarketFile:
    """A file as read: its name and the SHA-256 of its bytes, for the provenance of packs."""

    name: str
    sha256: str
    text: str


def read_market_file(path: Path, columns: tuple[str, ...]) -> MarketFile:
    """Read a file; Parquet and zip become the CSV text they hold.

    Args:
        path: of the file.
        columns: what a Parquet file's columns are called.

    Raises:
        FilesRejected: it cannot be read.
        ParquetMissing: see there.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _rejected(path.name, 1, f"cannot read it: {error.strerror}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise _rejected(path.name, 1, f"expected at most {_FILE_BYTES_MAX} bytes, got {len(data)}")
    return market_text(path.name, data, columns)


def market_text(name: str, data: bytes, columns: tuple[str, ...]) -> MarketFile:
    """Like `read_market_file`, on bytes that came from anywhere."""
    digest = sha256(data).hexdigest()
    if data[:4] == b"PAR1":
        return MarketFile(name, digest, _from_parquet(name, data, columns))
    if data[:2] == b"PK":
        data = _only_member(name, data)
    try:
        return MarketFile(name, digest, decoded(data))
    except NotText as error:
        raise _rejected(name, error.line, str(error)) from None


def prices_of(file: MarketFile) -> list[PriceRow]:
    """Return the rows by day and symbol.

    Raises:
        FilesRejected: with every fault.
    """
    rows, faults = parse_prices(file.text, file.name)
    if faults:
        raise FilesRejected(tuple(faults))
    return rows


def rates_of(file: MarketFile) -> list[RateRow]:
    """Return the rows by day and pair; see the module for the two forms.

    Raises:
        FilesRejected: with every fault.
    """
    first = file.text.lstrip().partition("\n")[0].lower()
    if first.startswith("date,") and "rate" not in [cell.strip() for cell in first.split(",")]:
        return _ecb_rates(file)
    rows, faults = parse_rates(file.text, file.name)
    if faults:
        raise FilesRejected(tuple(faults))
    return rows


def _ecb_rates(file: MarketFile) -> list[RateRow]:
    """Read the ECB's table: a day per line, a currency per column, units of it for one euro."""
    rows: list[RateRow] = []
    faults: list[Fault] = []
    reader = csv.reader(io.StringIO(file.text), strict=True)
    currencies = [cell.strip() for cell in next(reader, [])][1:]
    wrong = [name for name in currencies if name and not (len(name) == 3 and name.isascii() and name.isupper())]
    if wrong or not any(currencies):
        raise _rejected(file.name, 1, f"expected Date and ISO currencies, got {', '.join(wrong) or 'no currency'}")
    seen: set[date] = set()
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            found = _ecb_line(cells, currencies)
            if isinstance(found, str):
                faults.append(Fault(f"{file.name}:{reader.line_num}", "", found))
            elif found[0] in seen:
                faults.append(Fault(f"{file.name}:{reader.line_num}", "", f"{found[0]} stands there twice"))
            else:
                seen.add(found[0])
                rows.extend((found[0], ECB_PIVOT, currency, rate) for currency, rate in found[1])
            if len(faults) >= _FAULTS_MAX:
                break
    except csv.Error as error:
        faults.append(Fault(f"{file.name}:{reader.line_num}", "", f"expected comma-separated values: {error}"))
    if faults:
        raise FilesRejected(tuple(faults))
    return sorted(rows)


def _ecb_line(cells: list[str], currencies: list[str]) -> tuple[date, list[tuple[str, Decimal]]] | str:
    try:
        on = date.fromisoformat(cells[0].strip())
    except ValueError:
        return f"expected a date like 2005-12-30, got {cells[0]!r}"
    rates: list[tuple[str, Decimal]] = []
    for currency, cell in zip(currencies, cells[1:], strict=False):
        text = cell.strip()
        if not currency or text in ("", "N/A"):
            continue
        try:
            rate = Decimal(text)
        except ArithmeticError:
            rate = Decimal(0)
        if not rate.is_finite() or rate <= 0:
            return f"expected a rate above zero or N/A for {currency}, got {text!r}"
        rates.append((currency, rate))
    return on, rates


def _only_member(name: str, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            if len(members) != 1:
                raise _rejected(name, 1, f"expected a zip with one file, got {len(members)}")
            if members[0].file_size > _FILE_BYTES_MAX:
                raise _rejected(name, 1, f"expected at most {_FILE_BYTES_MAX} bytes unpacked")
            return archive.read(members[0])
    except zipfile.BadZipFile:
        raise _rejected(name, 1, "expected a zip file, it is damaged") from None


def _from_parquet(name: str, data: bytes, columns: tuple[str, ...]) -> str:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise ParquetMissing(name) from None
    try:
        table: Any = parquet.read_table(io.BytesIO(data))
    except pa.ArrowException as error:
        raise _rejected(name, 1, f"expected a Parquet file: {error}") from None
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise _rejected(name, 1, f"missing column(s) {', '.join(missing)}; expected {','.join(columns)}")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(_cells(row, columns) for row in table.select(list(columns)).to_pylist())
    return text.getvalue()


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> Iterator[str]:
    """Spell a row as CSV does: days without a time, numbers without an exponent."""
    for column in columns:
        value = row[column]
        if isinstance(value, float):
            yield format(Decimal(repr(value)), "f")
        elif isinstance(value, Decimal):
            yield format(value, "f")
        elif hasattr(value, "date"):
            yield value.date().isoformat()
        else:
            yield "" if value is None else str(value)


def _rejected(name: str, line: int, message: str) -> FilesRejected:
    return FilesRejected((Fault(f"{name}:{line}", "", message),))


__all__ = [
    "PRICE_COLUMNS",
    "RATE_COLUMNS",
    "MarketFile",
    "ParquetMissing",
    "market_text",
    "prices_of",
    "rates_of",
    "read_market_file",
]
