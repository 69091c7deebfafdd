"""A posting while its transaction is booked, and how a transaction is refused."""

from dataclasses import dataclass

from ledger.directives import Amount, Posting
from ledger.inventory import Change


class Refused(Exception):
    """A transaction cannot be booked; the text is the fault, `line` its place."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Leg:
    """What a posting weighs and what it did to lots.

    Attributes:
        root: first part of the account: Assets, Liabilities, Equity, Income or Expenses.
        units: None until the amount is known.
        weight: None likewise.
        changes: of lots; empty for money.
        hole: set while units coming in wait for their unit cost to be interpolated.
    """

    posting: Posting
    root: str
    units: Amount | None
    weight: Amount | None
    changes: list[Change]
    hole: bool = False

    @property
    def holds(self) -> bool:
        """Whether the account holds something, as Assets and Liabilities do."""
        return self.root == "Assets" or self.root == "Liabilities"
