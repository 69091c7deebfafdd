"""Small executions of every shape, run by the real engine and runtime in this process, at fixed times."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from agents.base import BaseAgent
from agents.capability import Retry, capability
from agents.context import CapabilityContext
from agents.runtime import AgentRuntime, catalogue_of
from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.pattern import CompiledPattern
from services.local_artifacts import LocalArtifacts
from services.runner import run_in_process
from topics.canonical import digest
from topics.errors import Code, TerminalError
from topics.messages import ExecuteRequest, ExecutionResult, PackRef, PackStatus, Resolution

START_MS = 1_700_000_000_000
USER = UUID("00000000-0000-4000-8000-000000000001")
PORTFOLIO = UUID("00000000-0000-4000-8000-0000000000aa")
PACK = UUID(int=1)


class FixedClock:
    """Time that passes only when somebody waits for it, and then at once."""

    def __init__(self) -> None:
        self.now = START_MS

    def now_ms(self) -> int:
        return self.now

    async def wait_until(self, at_ms: int) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.now = max(self.now, at_ms)


class Stage(BaseAgent):
    """Answers that follow from the arguments, and some that do not."""

    name = "stage"

    def __init__(self, pack: UUID = PACK, rate: str = "1.25", noise: str = "one") -> None:
        self.pack = pack
        self.rate = rate
        self.noise = noise
        self.undone: list[Any] = []
        self.calls: list[str] = []

    @capability("context.resolve")
    async def resolve(
        self,
        context: CapabilityContext,
        portfolio_id: UUID | None = None,
        asof: date | None = None,
        pack_id: UUID | None = None,
        ledger_commit: str | None = None,
    ) -> Resolution:
        """Choose pins."""
        self.calls.append("resolve")
        pack = PackRef(
            pack_id=pack_id or self.pack,
            policy="p",
            asof_date=date(2024, 5, 17),
            revision=1,
            status=PackStatus.FRESH,
            content_sha256=digest(str(pack_id or self.pack)),
        )
        return Resolution(
            asof=pack.asof_date, portfolio_id=portfolio_id, base_ccy="CAD", ledger_commit_hash=ledger_commit, pack=pack
        )

    @capability("stage.echo", pure=True)
    async def echo(self, context: CapabilityContext, value: Any = None) -> Any:
        """Return what came."""
        self.calls.append("echo")
        return value

    @capability("stage.convert", pure=True, needs=("pack",))
    async def convert(self, context: CapabilityContext, amount: str) -> dict[str, str]:
        """Convert by the rate of the pack."""
        self.calls.append("convert")
        assert context.pins is not None
        context.report(source=f"pricing_pack:{context.pins.pricing_pack_id}", asof=context.pins.asof)
        return {"amount": amount, "rate": self.rate}

    @capability("stage.noise")
    async def noisy(self, context: CapabilityContext, value: Any = None) -> Any:
        """Answer what nobody can compute again."""
        self.calls.append("noise")
        return {"noise": self.noise, "value": value}

    @capability("stage.long_noise")
    async def long_noise(self, context: CapabilityContext) -> dict[str, str]:
        """The same, too long to be inline."""
        self.calls.append("long_noise")
        return {"noise": self.noise * 9000}

    @capability("stage.fail", retry=Retry(attempts_max=1))
    async def fail(self, context: CapabilityContext, value: Any = None, when: Any = True) -> Any:
        """Refuse."""
        self.calls.append("fail")
        if when == value or when is True:
            raise TerminalError(Code.MISSING_FX, "no rate")
        return value

    @capability("stage.undo")
    async def undo(self, context: CapabilityContext, value: Any = None) -> None:
        """Take back."""
        self.undone.append(value)


def step(name: str, as_: str, **more: Any) -> dict[str, Any]:
    return {"capability": f"stage.{name}", "as": as_, **more}


def document(*steps: dict[str, Any], outputs: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    made = outputs if outputs is not None else list(dict.fromkeys(each["as"] for each in steps))
    return {"id": "p", "name": "P", "steps": list(steps), "outputs": made, **fields}


def compiled(source: Mapping[str, Any]) -> CompiledPattern:
    return compile_pattern(json.dumps(source).encode(), Catalogue.from_json(catalogue_of([Stage])), "p.json")


async def run(
    source: Mapping[str, Any], agent: Stage | None = None, artifacts: LocalArtifacts | None = None, **fields: Any
) -> ExecutionResult:
    clock = FixedClock()
    runtime = AgentRuntime([agent or Stage()], artifacts or LocalArtifacts(), None, None, clock.now_ms)
    request = ExecuteRequest(
        tenant="t",
        request_id=fields.pop("request_id", "r"),
        user_id=USER,
        pattern_id="p",
        submitted_at=datetime.fromtimestamp(START_MS / 1000, UTC),
        **fields,
    )
    return await run_in_process(request, compiled(source), runtime, clock)


def parsed(result: ExecutionResult) -> dict[str, Any]:
    """The result as it travels, parsed."""
    return json.loads(result.model_dump_json(by_alias=True, exclude_none=True))


INNER = {
    "id": "inner",
    "name": "Inner",
    "inputs": {"x": {"type": "integer", "required": True}},
    "steps": [step("echo", "doubled", args={"value": ["{{inputs.x}}", "{{inputs.x}}"]})],
    "outputs": ["doubled"],
}
EVERYTHING = document(
    step("echo", "first", args={"value": {"amount": "10.50", "n": "{{inputs.n}}", "none": None}}),
    step("convert", "converted", args={"amount": "{{state.first.amount}}"}),
    step("noise", "noise", args={"value": 1.5}),
    step("echo", "skipped", args={"value": 1}, condition="inputs.n > 100"),
    step("echo", "each", args={"value": "{{item}}"}, foreach="inputs.list"),
    step("fail", "some", args={"value": "{{item}}", "when": 2}, foreach="inputs.list", on_error="continue"),
    step("fail", "substitute", args={}, on_error={"value": {"rate": None}}),
    step("echo", "long", args={"value": "{{inputs.text}}"}),
    {"capability": "pattern.inner", "as": "nested", "args": {"x": "{{inputs.n}}"}},
    inputs={
        "n": {"type": "integer", "default": 3},
        "list": {"type": "array", "default": [1, 2, 3]},
        "text": {"type": "string", "default": "short"},
    },
    patterns={"inner": INNER},
)
