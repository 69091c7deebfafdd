"""What a filed report is, whatever store keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Filing:
    """One annual report as filed.

    Attributes:
        fiscal_year: the year it is about; a later filing of the same year is a restatement.
        filed_on: day from which it was known.
        report: its figures, JSON values by name.
    """

    symbol: str
    fiscal_year: int
    filed_on: date
    report: Mapping[str, object]
