"""What a portfolio is, whatever store keeps it."""

from dataclasses import dataclass
from uuid import UUID

from topics.errors import Code, TerminalError


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One portfolio as its owner sees it.

    Attributes:
        base_ccy: ISO code everything is reported in.
        benchmark_id: None without one.
        booking: `FIFO` or `AVERAGE`, where the ledger's accounts do not say otherwise; never changes.
        ledger_path: main ledger file inside the ledger repository; never changes.
        policy: pricing policy whose packs and calendar value it.
    """

    id: UUID
    name: str
    base_ccy: str
    benchmark_id: str | None
    booking: str
    ledger_path: str
    policy: str


def require_same_ledger(before: Portfolio | None, after: Portfolio) -> None:
    """Refuse to change what booked ledgers, which are kept per commit, were booked with.

    Raises:
        TerminalError: INVALID_INPUT.
    """
    if before is None:
        return
    kept, new = (before.ledger_path, before.booking), (after.ledger_path, after.booking)
    if kept != new:
        raise TerminalError(
            Code.INVALID_INPUT,
            f"portfolio {after.id} is booked from {kept[0]} by {kept[1]}, which cannot become {new[0]} by {new[1]}: "
            "make a new portfolio, under another name",
        )
