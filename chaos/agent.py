"""The agent whose steps chaos runs are made of: answers that can be computed beforehand, and trouble on purpose.

Every value it returns follows from its arguments, so the checker knows what a succeeded execution must have
answered. What a capability with an effect did is written to a table of its own, which the checker counts.
"""

import asyncio
import random
from typing import Any

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from topics.errors import Code, RetryableError, TerminalError

# Long enough for a service that is killed and started again, short enough for a deadline of two minutes.
_PATIENT = Retry(attempts_max=9, backoff_s=0.3, factor=2.0, cap_s=6.0)
_SHAKY_SHARE = 0.15
_ITEM_PADDING = "·" * 200


class ChaosAgent(BaseAgent):
    """Steps for chaos runs."""

    name = "chaos"

    @capability("chaos.add", pure=True, retry=_PATIENT, timeout_s=10)
    async def add(self, context: CapabilityContext, left: int, right: int) -> int:
        """Return the sum; pure, so Redis may answer for it."""
        return left + right

    @capability("chaos.total", pure=True, retry=_PATIENT, timeout_s=10)
    async def total(self, context: CapabilityContext, values: list[int]) -> int:
        """Return the sum of a list."""
        return sum(values)

    @capability("chaos.work", retry=_PATIENT, timeout_s=5)
    async def work(self, context: CapabilityContext, value: int, ms: int = 5) -> int:
        """Return the argument after a while."""
        await asyncio.sleep(ms / 1000)
        return value

    @capability("chaos.shaky", retry=Retry(attempts_max=10, backoff_s=0.05, factor=1.5, cap_s=2.0), timeout_s=5)
    async def shaky(self, context: CapabilityContext, value: int) -> int:
        """Return the argument, or fail as a service does that is overloaded for a moment."""
        if random.random() < _SHAKY_SHARE:
            raise RetryableError(Code.UPSTREAM_FAILED, "chaos.shaky: not now", retry_after_s=0.1)
        return value

    @capability("chaos.numbers", retry=_PATIENT, timeout_s=10)
    async def numbers(self, context: CapabilityContext, count: int, padded: bool = False) -> list[dict[str, Any]]:
        """Return `{"n": 0}`, `{"n": 1}`, …; padded ones make a list that goes to the artifact store."""
        padding = {"padding": _ITEM_PADDING} if padded else {}
        return [{"n": number, **padding} for number in range(count)]

    @capability("chaos.large", retry=_PATIENT, timeout_s=15)
    async def large(self, context: CapabilityContext, seed: int, kilobytes: int) -> dict[str, Any]:
        """Return a value that is too large to be inline; each seed makes another one."""
        line = f"{seed:012d} {context.execution_id} "
        return {"seed": seed, "filler": line * (kilobytes * 1024 // len(line) + 1)}

    @capability("chaos.weigh", retry=_PATIENT, timeout_s=15)
    async def weigh(self, context: CapabilityContext, value: dict[str, Any]) -> int:
        """Return the seed of a large value after reading all of it."""
        filler = value["filler"]
        line = f"{value['seed']:012d} {context.execution_id} "
        if filler != line * (len(filler) // len(line)):
            raise TerminalError(Code.INTERNAL, "a stored value came back with other bytes")
        return value["seed"]

    @capability("chaos.priced", needs=("pack",), retry=_PATIENT, timeout_s=10)
    async def priced(self, context: CapabilityContext) -> str:
        """Return the day of the pack the execution is pinned to."""
        assert context.pins is not None
        return context.pins.asof.isoformat()

    @capability("chaos.refuse", timeout_s=5)
    async def refuse(self, context: CapabilityContext) -> int:
        """Fail for good, so that what was done before has to be undone."""
        raise TerminalError(Code.INVALID_INPUT, "chaos.refuse: this step fails on purpose")
