"""An agent of your own: one file, found through DAWSOS_AGENTS."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext


class Shorts(BaseModel):
    """Short positions of a portfolio.

    Attributes:
        symbols: sorted.
        value_base: their value in base currency, below zero; None if one has no price.
    """

    count: int
    symbols: list[str]
    value_base: Decimal | None


class ExampleAgent(BaseAgent):
    """Looks at positions that other capabilities made."""

    name = "example"
    version = "1.0.0"

    @capability("example.count_shorts", pure=True)
    async def count_shorts(self, context: CapabilityContext, positions: list[dict[str, Any]]) -> Shorts:
        """Count the short positions among valued positions."""
        shorts = [row for row in positions if Decimal(row["qty_open"]) < 0 and row.get("kind") == "security"]
        values = [None if row.get("value_base") is None else Decimal(row["value_base"]) for row in shorts]
        known = [value for value in values if value is not None]
        return Shorts(
            count=len(shorts),
            symbols=sorted(row["symbol"] for row in shorts),
            value_base=sum(known, Decimal(0)) if len(known) == len(values) else None,
        )
