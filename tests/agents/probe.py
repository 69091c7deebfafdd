"""An agent whose every behaviour tests can choose, and stores that can be broken."""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

from agents.base import BaseAgent
from agents.capability import capability
from agents.context import CapabilityContext
from agents.fields import Money, Part
from agents.runtime import AgentRuntime
from agents.store_ports import BreakerStore, Cache
from services.local_artifacts import LocalArtifacts


class Reading(Part):
    """What `probe.read` answers."""

    amount: Money
    label: str


class ProbeAgent(BaseAgent):
    """Calls `self.act` and counts."""

    name = "probe"
    version = "2.1.0"

    def __init__(self, act: Callable[[CapabilityContext], Any] = lambda context: None) -> None:
        self.act = act
        self.calls = 0

    def _run(self, context: CapabilityContext) -> Any:
        self.calls += 1
        found = self.act(context)
        if isinstance(found, Exception):
            raise found
        return found

    @capability("probe.read", version=3, pure=True, ttl_s=60, needs=("pack",))
    async def read(self, context: CapabilityContext, label: str, amount: Money | None = None) -> Reading:
        """Read something."""
        context.report(source="probe:1", asof=date(2020, 1, 2), confidence=0.5, warning="careful")
        found = self._run(context)
        return found if found is not None else Reading(amount=amount or 1, label=label)  # type: ignore[arg-type]

    @capability("probe.private", pure=True)
    async def private(self, context: CapabilityContext, key: str = "") -> Any:
        """Answer with the user's own data."""
        found = self._run(context)
        return found if found is not None else f"{context.tenant}/{context.user_id}"

    @capability("probe.public", pure=True, shared=True)
    async def public(self, context: CapabilityContext, key: str = "") -> Any:
        """Answer with data that belongs to nobody."""
        return self._run(context)

    @capability("probe.fetch", upstreams=("vendor",))
    async def fetch(self, context: CapabilityContext, key: str = "") -> Any:
        """Ask an upstream service."""
        return self._run(context)

    @capability("probe.guess")
    async def guess(self, context: CapabilityContext) -> Any:
        """Ask services that were not declared."""
        return self._run(context)

    @capability("probe.wait", timeout_s=0.01)
    async def wait(self, context: CapabilityContext) -> Any:
        """Never answer."""
        await asyncio.Event().wait()

    @capability("probe.echo")
    async def echo(self, context: CapabilityContext, value: Any) -> Any:
        """Answer with the argument."""
        return value


class MemoryCache:
    """A cache in a dict; `down` makes it fail."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.ttls: dict[str, int | None] = {}
        self.down = False
        self.asked = 0

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        if self.down:
            raise ConnectionError("no cache")
        return self.kept.get(key)

    async def set(self, key: str, value: bytes, ttl_s: int | None) -> None:
        if self.down:
            raise ConnectionError("no cache")
        self.kept[key] = value
        self.ttls[key] = ttl_s


class Clock:
    """Milliseconds that only tests move."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self.now = now_ms

    def __call__(self) -> int:
        return self.now


def runtime(
    agent: ProbeAgent,
    *,
    cache: Cache | None = None,
    breaker: BreakerStore | None = None,
    clock: Callable[[], int] | None = None,
    artifacts: LocalArtifacts | None = None,
    **limits: int,
) -> AgentRuntime:
    return AgentRuntime([agent], artifacts or LocalArtifacts(), cache, breaker, clock or Clock(), **limits)
