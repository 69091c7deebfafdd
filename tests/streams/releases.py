"""The next release of the tests' agent and patterns; `python -m tests.streams.releases` runs its orchestrator.

`probe.echo` has a new version and still the former one, `probe.list` has only a new version, `probe.leave` is gone, and
so is its pattern; the pattern `pinned` has another text, the others are as before.
"""

import asyncio
from typing import Any

from agents.capability import capability
from agents.context import CapabilityContext
from agents.runtime import catalogue_of
from orchestrator.catalogue import Catalogue
from orchestrator.registry import PatternRegistry
from tests.streams.system import PATTERNS, Probe, pattern, serve


class NextProbe(Probe):
    """Answers what the tests want, in the next release."""

    leave = None  # pyright: ignore[reportAssignmentType]

    @capability("probe.echo")
    async def echo(self, context: CapabilityContext, value: Any = None) -> Any:
        """Return the argument, as in the former release."""
        return value

    @capability("probe.echo", version=2)
    async def echo_loudly(self, context: CapabilityContext, value: Any = None, mark: str = "!") -> Any:
        """Return the argument, with a mark."""
        return f"{value}{mark}"

    @capability("probe.list", version=2)
    async def names(self, context: CapabilityContext, count: int) -> list[dict[str, str]]:
        """Return something else than the former release."""
        return [{"name": "another"}] * count


NEXT_PATTERNS = {
    **{name: text for name, text in PATTERNS.items() if name != "slow_then_leave"},
    "pinned": pattern(
        "pinned",
        {"capability": "probe.pinned", "as": "pinned", "args": {}},
        {"capability": "probe.echo", "as": "answer", "args": {"value": "{{state.pinned.stale}}", "mark": "?"}},
    ),
}


def next_catalogue() -> Catalogue:
    return Catalogue.from_json(catalogue_of([NextProbe]))


def next_registry() -> PatternRegistry:
    return PatternRegistry.compile(NEXT_PATTERNS.items(), next_catalogue())


if __name__ == "__main__":
    asyncio.run(serve(next_registry(), next_catalogue()))
