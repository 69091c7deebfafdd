"""An agent whose only call blocks the loop of its process for good: what `test_liveness.py` has restarted."""

import time
from typing import Any

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext


class Frozen(BaseAgent):
    """Blocks."""

    name = "frozen"

    @capability("frozen.block", timeout_s=5, retry=Retry(attempts_max=1))
    async def block(self, context: CapabilityContext) -> Any:
        """Never return, and let nothing else run."""
        while True:
            time.sleep(60)  # noqa: ASYNC251

    @capability("frozen.answer")
    async def answer(self, context: CapabilityContext) -> int:
        """Answer at once."""
        return 42
