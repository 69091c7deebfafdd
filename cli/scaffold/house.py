"""Our own agent: DAWSOS_AGENTS=house:HouseAgent makes it part of the engine."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext


class Concentration(BaseModel):
    """How much of the securities' value lies in the largest of them; this text and the next line are documentation."""

    symbols: list[str] = Field(description="The largest positions, largest first")
    share: Decimal | None = Field(description="Their share of the value of all securities, 0 to 1")
    reason: str | None = Field(default=None, description="Why there is no share")


class HouseAgent(BaseAgent):
    """What our house adds."""

    name = "house"
    version = "1.0.0"

    @capability("house.concentration", pure=True)
    async def concentration(
        self, context: CapabilityContext, positions: list[dict[str, Any]], top: int = 2
    ) -> Concentration:
        """Say how much of the portfolio's value lies in its largest positions."""
        held = [row for row in positions if row.get("kind") == "security"]
        unpriced = sorted(row["symbol"] for row in held if row.get("value_base") is None)
        if unpriced:
            return Concentration(symbols=[], share=None, reason=f"no value: {', '.join(unpriced)}")
        values = {row["symbol"]: abs(Decimal(row["value_base"])) for row in held}
        total = sum(values.values(), Decimal(0))
        if not total:
            return Concentration(symbols=[], share=None, reason="no securities")
        largest = sorted(values, key=lambda symbol: (-values[symbol], symbol))[:top]
        share = sum((values[symbol] for symbol in largest), Decimal(0)) / total
        return Concentration(symbols=largest, share=round(share, 6))
