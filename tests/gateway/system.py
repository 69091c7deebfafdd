"""An agent and patterns the gateway's tests steer, and handles to the running system."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from local.data_dir import DataDir
from local.state import Part, running_state
from services import demo_data
from services.tokens import Role
from settings import Settings
from tests.gateway.collector import Collector
from topics.errors import Code, RetryableError, TerminalError

ALICE, BOB = demo_data.user_id_of("alice"), demo_data.user_id_of("bob")
ACME_USER = UUID(int=77)
GROWTH, INCOME, GLOBAL, SAVINGS = demo_data.PORTFOLIOS


class Steered(BaseAgent):
    """Does what its arguments say."""

    name = "steered"

    @capability("steered.echo", pure=False)
    async def echo(self, context: CapabilityContext, value: Any = None) -> Any:
        """Return the argument."""
        return value

    @capability("steered.sleep", pure=False, timeout_s=110)
    async def sleep(self, context: CapabilityContext, seconds: float) -> float:
        """Take some time."""
        await asyncio.sleep(seconds)
        return seconds

    @capability("steered.fail", pure=False, retry=Retry(attempts_max=1))
    async def fail(self, context: CapabilityContext, code: str, retryable: bool = False) -> None:
        """Fail with a code."""
        if retryable:
            raise RetryableError(Code(code), "as the test wants", retry_after_s=7)
        raise TerminalError(Code(code), "as the test wants")

    @capability("steered.crash", pure=False, retry=Retry(attempts_max=1))
    async def crash(self, context: CapabilityContext) -> None:
        """Have a bug."""
        raise ZeroDivisionError("a secret of the agent")

    @capability("steered.large", pure=False)
    async def large(self, context: CapabilityContext, size: int) -> str:
        """Return a text of this many characters."""
        return "x" * size


def pattern(name: str, inputs: dict[str, Any], *steps: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "id": name,
            "name": name,
            "description": "For tests.",
            "category": "analysis",
            "inputs": inputs,
            "steps": list(steps),
            "outputs": [steps[-1]["as"]],
        }
    )


PATTERNS = {
    "echo": pattern(
        "echo",
        {"value": {"type": "integer", "required": False, "default": 1, "minimum": 0}},
        {"capability": "steered.echo", "as": "answer", "args": {"value": "{{inputs.value}}"}},
    ),
    "slow": pattern(
        "slow",
        {"seconds": {"type": "number", "required": True, "minimum": 0, "maximum": 100}},
        {"capability": "steered.echo", "as": "first", "args": {"value": 1}},
        {"capability": "steered.sleep", "as": "slept", "args": {"seconds": "{{inputs.seconds}}"}},
    ),
    "failing": pattern(
        "failing",
        {
            "code": {"type": "string", "required": True},
            "retryable": {"type": "boolean", "required": False, "default": False},
        },
        {
            "capability": "steered.fail",
            "as": "answer",
            "args": {"code": "{{inputs.code}}", "retryable": "{{inputs.retryable}}"},
        },
    ),
    "crashing": pattern("crashing", {}, {"capability": "steered.crash", "as": "answer", "args": {}}),
    "large": pattern(
        "large",
        {"size": {"type": "integer", "required": True}},
        {"capability": "steered.large", "as": "answer", "args": {"size": "{{inputs.size}}"}},
    ),
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway.

    Attributes:
        environment: of its processes.
        url: where it listens.
        token: (tenant, user id, role) → token.
        collector: gets the spans of its processes.
    """

    settings: Settings
    environment: dict[str, str]
    url: str
    client: httpx.AsyncClient
    token: Callable[[str, UUID, Role], str]
    collector: Collector

    def parts(self) -> dict[str, Part]:
        """Its processes by name, as the supervisor sees them now."""
        state = running_state(DataDir(self.settings.data_dir))
        assert state is not None
        return {part.name: part for part in state.parts}

    def headers(self, tenant: str = "demo", user_id: UUID = ALICE, role: Role = Role.VIEWER) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(tenant, user_id, role)}"}

    async def get(self, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers(**options.pop("who", {})), **options.pop("headers", {})}
        return await self.client.get(path, headers=headers, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers(**options.pop("who", {})), **options.pop("headers", {})}
        return await self.client.delete(path, headers=headers, **options)

    async def execute(self, pattern_id: str, **options: Any) -> httpx.Response:
        headers = {**self.headers(**options.pop("who", {})), **options.pop("headers", {})}
        body = {"pattern_id": pattern_id, **options}
        return await self.client.post("/execute", json=body, headers=headers)

    async def until(self, path: str, enough: Callable[[httpx.Response], bool], **options: Any) -> httpx.Response:
        async with asyncio.timeout(30):
            while not enough(found := await self.get(path, **options)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found


def new_id() -> str:
    return f"test-{uuid4().hex}"
