"""What a portfolio is, whatever store keeps it."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One portfolio as its owner sees it.

    Attributes:
        base_ccy: ISO code everything is reported in.
        benchmark_id: None without one.
        booking: `FIFO` or `AVERAGE`, where the ledger's accounts do not say otherwise.
        ledger_path: main ledger file inside the ledger repository.
        policy: pricing policy whose packs and calendar value it.
    """

    id: UUID
    name: str
    base_ccy: str
    benchmark_id: str | None
    booking: str
    ledger_path: str
    policy: str
