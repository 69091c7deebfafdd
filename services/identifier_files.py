"""`symbol,scheme,value,valid_from,valid_to`: what securities are called elsewhere, read and checked.

The two days may be empty, or their columns missing: without a beginning, without an end. Every fault comes at once,
with file and line.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from services.pack_import_request import GivenIdentifier
from services.price_files import CheckedFile, FilesRejected, Unreadable, parse_day, records, text_of
from topics.errors import Fault

COLUMNS, DAYS = ("symbol", "scheme", "value"), ("valid_from", "valid_to")
_EXPECTED = {
    "symbol": "a symbol of at most 200 characters",
    "scheme": "a scheme in lower case like isin, figi or polygon",
    "value": "a code of at most 200 characters",
}


@dataclass(frozen=True, slots=True)
class IdentifierFile:
    """A file without faults of its own.

    Attributes:
        rows: with the line of each.
    """

    name: str
    rows: tuple[tuple[int, GivenIdentifier], ...]

    @property
    def identifiers(self) -> tuple[GivenIdentifier, ...]:
        """The rows in the order of the file."""
        return tuple(row for _, row in self.rows)

    def unknown(self, symbols: Collection[str]) -> FilesRejected:
        """Return the faults of the lines whose security nobody knows."""
        return FilesRejected(
            tuple(
                Fault(f"{self.name}:{line}", "", f"there is no security {row.symbol}")
                for line, row in self.rows
                if row.symbol in symbols
            )
        )


def read_identifiers(path: Path) -> IdentifierFile:
    """Read a file of identifiers.

    Raises:
        FilesRejected: with every fault.
    """
    return parse_identifiers(text_of(path), path.name)


def parse_identifiers(text: str | Unreadable, name: str) -> IdentifierFile:
    """Like `read_identifiers`, on text; None stands for a file that cannot be read."""
    file = CheckedFile(name)
    rows: list[tuple[int, GivenIdentifier]] = []
    meant: dict[tuple[str, str], list[tuple[int, GivenIdentifier]]] = {}
    for line, cells in records(file, text, COLUMNS, DAYS):
        row = _row(file, line, cells)
        if row is None:
            continue
        same = meant.setdefault((row.scheme, row.value), [])
        taken = next((first for first, other in same if row.overlaps(other)), None)
        if taken is not None:
            file.fault(line, f"{row.scheme} {row.value} stands on line {taken} for the same days")
            continue
        same.append((line, row))
        rows.append((line, row))
    if not rows and not file.faults:
        file.fault(1, "expected at least one identifier, got none")
    if file.faults:
        raise FilesRejected(tuple(file.faults))
    return IdentifierFile(name, tuple(rows))


def _row(file: CheckedFile, line: int, cells: list[str]) -> GivenIdentifier | None:
    before = len(file.faults)
    days: list[date | None] = [parse_day(file, line, cell) if cell else None for cell in cells[3:]]
    given = dict(zip(COLUMNS, cells[:3], strict=True))
    try:
        row = GivenIdentifier.model_validate({**given, **dict(zip(DAYS, days, strict=True))})
    except ValidationError as error:
        for each in error.errors():
            if each["type"] == "value_error":
                file.fault(line, str(each["ctx"]["error"]))  # pyright: ignore[reportTypedDictNotRequiredAccess]
            else:
                column = str(each["loc"][0])
                got = repr(given[column][:60]) if given[column] else "nothing"
                file.fault(line, f"expected {_EXPECTED[column]}, got {got}")
        return None
    return row if len(file.faults) == before else None
