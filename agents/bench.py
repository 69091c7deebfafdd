"""An agent that does nothing, to measure everything around an agent."""

from typing import Any

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext


class BenchAgent(BaseAgent):
    """Capabilities for benchmarks and tests of the engine."""

    name = "bench"

    @capability("bench.noop")
    async def noop(self, context: CapabilityContext, value: Any = None) -> Any:
        """Return the argument as it came."""
        return value
