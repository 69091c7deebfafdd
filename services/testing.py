"""For people's own tests: ask one capability as the engine would, without an engine."""

import asyncio
from typing import Any
from uuid import UUID

from agents.base import BaseAgent
from agents.runtime import AgentRuntime
from services.clock import SystemClock
from services.local_artifacts import LocalArtifacts
from services.local_data import TENANT, USER_ID
from topics.errors import TerminalError
from topics.messages import CapabilityRequest, Pins

_DEADLINE_MS = 60_000


def ask(agent: BaseAgent, capability: str, /, *, pins: Pins | None = None, **arguments: Any) -> Any:
    """Return a capability's answer as JSON; arguments and answer are checked against their schemas.

    Args:
        agent: made with whatever its constructor asks for.
        capability: one of its capabilities.
        pins: data versions, for a capability that needs some.
        arguments: as JSON, as a pattern would pass them.

    Raises:
        TerminalError: the capability failed; the code is the one an execution would show.
    """
    clock = SystemClock()
    runtime = AgentRuntime([agent], LocalArtifacts(), None, None, clock.now_ms)
    # No version is wanted in particular: the newest.
    version = runtime.version_of(capability, wanted=0) or 1
    request = CapabilityRequest(
        execution_id=str(UUID(int=0)),
        tenant=TENANT,
        user_id=USER_ID,
        step_id="test",
        attempt=1,
        capability=capability,
        version=version,
        args=arguments,
        pins=pins,
        deadline_at_ms=clock.now_ms() + _DEADLINE_MS,
        idempotency_key="test",
        inline_bytes_max=2**53,
    )
    answer = asyncio.run(runtime.handle(request))
    if answer.error is not None:
        raise TerminalError(answer.error.code, answer.error.message, **answer.error.details)
    return answer.value
