"""Fixture files of patterns: what each step was asked and answered, and the outputs the pattern makes of it.

`record` fills a file in from a real run in this process; `check` runs the pure engine over the recorded answers and
says the first thing that is different. Nothing is waited for: pauses between attempts pass at once.

`{"$output": "step"}` in place of an argument or an output is what that step answered, written once.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.store_ports import ArtifactStore
from orchestrator.catalogue import Catalogue
from orchestrator.pattern import CompiledPattern
from orchestrator.validation import schema_faults, shown
from services.local_data import TENANT, USER_ID
from services.runner import Answers, run_in_process
from topics.canonical import canonical_bytes, digest
from topics.errors import Code, Fault
from topics.messages import (
    CapabilityRequest,
    CapabilityResult,
    ErrorBody,
    ExecuteRequest,
    ExecutionResult,
    ExecutionStatus,
    ResultMetadata,
)

_START_MS = 1_700_000_000_000
# Answers come whole, so that the arguments of later steps do too.
_INLINE_BYTES = 2**53
_OUTPUT = "$output"
_LONG_BYTES = 80


class FixtureFaults(ValueError):
    """A fixture file cannot be used; `faults` has everything wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Files(_Part):
    """Data to record with, as `dawsos try` takes it; paths are relative to the fixture file."""

    ledger: Path
    prices: Path
    fx: Path | None = None
    base: str


class Answer(_Part):
    """How one step answered.

    Attributes:
        args: what it was asked; not compared when absent.
        output: what it answered.
        error: or how it failed, at every attempt.
    """

    args: dict[str, Any] | None = None
    output: Any = None
    error: ErrorBody | None = None


class Expected(_Part):
    """How the execution ends.

    Attributes:
        error: code of the execution's error.
        data: outputs by name.
    """

    status: ExecutionStatus = ExecutionStatus.SUCCEEDED
    error: Code | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Fixture(_Part):
    """A request, recorded answers by step id (`each[0]` for an item), and what comes of them.

    Attributes:
        pattern: id of a known pattern, or path of a file, relative to the fixture file.
        files: data to record with; the bundled example when absent.
    """

    pattern: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    asof: date | None = None
    portfolio_id: UUID | None = None
    files: Files | None = None
    steps: dict[str, Answer] = Field(default_factory=dict)
    expected: Expected | None = None

    def text(self) -> bytes:
        """Return the file's text."""
        short = self.model_copy(deep=True)
        long = {text: name for name, step in self.steps.items() if len(text := orjson.dumps(step.output)) > _LONG_BYTES}
        for values in short.places():
            for key, value in values.items():
                if (step_id := long.get(orjson.dumps(value))) is not None:
                    values[key] = {_OUTPUT: step_id}
        document = short.model_dump(mode="json", exclude_defaults=True)
        # A step without arguments, or one that answered null, says so all the same.
        document["steps"] = {
            name: step.model_dump(mode="json", exclude_unset=True) for name, step in short.steps.items()
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"

    def places(self) -> Iterator[dict[str, Any]]:
        """Yield the objects whose values may be a step's whole output."""
        yield from (step.args for step in self.steps.values() if step.args)
        if self.expected is not None:
            yield self.expected.data


class _Different(Exception):
    """The first difference; ends the run."""


def read_fixture(path: Path) -> Fixture:
    """Read a fixture file.

    Raises:
        FixtureFaults: everything wrong with it.
    """
    try:
        fixture = Fixture.model_validate_json(path.read_bytes())
    except OSError as error:
        raise FixtureFaults([Fault(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except ValidationError as error:
        faults = [
            Fault(str(path), "".join(f"/{part}" for part in each["loc"]), each["msg"])
            for each in error.errors(include_url=False)
        ]
        raise FixtureFaults(faults) from None
    for values in fixture.places():
        for key, value in values.items():
            if isinstance(value, dict) and value.keys() == {_OUTPUT}:
                if (step := fixture.steps.get(value[_OUTPUT])) is None:
                    raise FixtureFaults([Fault(str(path), "", f"{_OUTPUT} names no step: {value[_OUTPUT]!r}")])
                values[key] = step.output
    return fixture


async def check(fixture: Fixture, pattern: CompiledPattern, catalogue: Catalogue) -> str | None:
    """Run the engine over a fixture's answers and return the first difference in words; None when there is none.

    Arguments are compared when a step is asked, in the order of asking, and have to fit the capability's schema, as
    recorded outputs have to; then the end of the execution and its outputs.
    """
    if fixture.expected is None:
        return "nothing is recorded yet: `dawsos patterns test --record` fills it in"
    player = _Player(fixture, catalogue)
    try:
        result = await run_in_process(_request(fixture, pattern), pattern, player, _LeapingClock())
    except _Different as difference:
        return str(difference)
    idle = [name for name in fixture.steps if name not in player.asked]
    if idle:
        return f"step {idle[0]} was not carried out; the fixture holds an answer of it"
    found = _expected(result)
    if found.status is not fixture.expected.status:
        why = f" ({result.error.message})" if result.error else ""
        return f"expected the execution to end {fixture.expected.status}, it {found.status}{why}"
    if found.error is not fixture.expected.error:
        return f"expected the error {fixture.expected.error}, got {found.error}"
    return first_difference(fixture.expected.data, found.data, "/data")


async def record(
    fixture: Fixture, pattern: CompiledPattern, runtime: Answers, artifacts: ArtifactStore, portfolio_id: UUID
) -> Fixture:
    """Run a pattern for real and return the fixture with what it did.

    Args:
        fixture: what to ask for; earlier answers are not looked at.
        pattern: the one it names.
        runtime: agents that answer.
        artifacts: where they leave large answers.
        portfolio_id: used where the pattern needs a portfolio and the fixture names none.
    """
    asked = fixture
    if pattern.needs_pins and fixture.portfolio_id is None:
        asked = fixture.model_copy(update={"portfolio_id": portfolio_id})
    if "portfolio_id" in pattern.inputs_schema.get("properties", {}) and "portfolio_id" not in asked.inputs:
        named = str(asked.portfolio_id or portfolio_id)
        asked = asked.model_copy(update={"inputs": {**asked.inputs, "portfolio_id": named}})
    recorder = _Recorder(runtime, artifacts)
    result = await run_in_process(_request(asked, pattern, datetime.now(UTC)), pattern, recorder)
    return asked.model_copy(update={"steps": dict(sorted(recorder.steps.items())), "expected": _expected(result)})


def first_difference(expected: Any, found: Any, place: str = "") -> str | None:
    """Return the first place where two JSON values differ: `<pointer>: expected …, got …`; None if they are equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            at = f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in found:
                return f"{at}: expected {shown(expected[key])}, it is missing"
            if key not in expected:
                return f"{at}: not expected, got {shown(found[key])}"
            if (difference := first_difference(expected[key], found[key], at)) is not None:
                return difference
        return None
    if isinstance(expected, list) and isinstance(found, list):
        for index, (left, right) in enumerate(zip(expected, found, strict=False)):
            if (difference := first_difference(left, right, f"{place}/{index}")) is not None:
                return difference
        if len(expected) != len(found):
            return f"{place}: expected {len(expected)} items, got {len(found)}"
        return None
    if expected == found and isinstance(expected, bool) == isinstance(found, bool):
        return None
    return f"{place}: expected {shown(expected)}, got {shown(found)}"


def _expected(result: ExecutionResult) -> Expected:
    return Expected(status=result.status, error=result.error and result.error.code, data=_json(result.data))


def _json(value: Any) -> Any:
    """Return a value as it would come out of a file."""
    return orjson.loads(canonical_bytes(value))


def _request(fixture: Fixture, pattern: CompiledPattern, at: datetime | None = None) -> ExecuteRequest:
    return ExecuteRequest(
        tenant=TENANT,
        request_id="fixture",
        user_id=USER_ID,
        pattern_id=pattern.id,
        portfolio_id=fixture.portfolio_id,
        inputs=fixture.inputs,
        asof=fixture.asof,
        submitted_at=at or datetime.fromtimestamp(_START_MS / 1000, UTC),
    )


class _Recorder:
    """Answers from agents, and notes what they answered."""

    def __init__(self, runtime: Answers, artifacts: ArtifactStore) -> None:
        self.steps: dict[str, Answer] = {}
        self._runtime = runtime
        self._artifacts = artifacts

    async def handle(self, request: CapabilityRequest) -> CapabilityResult:
        answer = await self._runtime.handle(request.model_copy(update={"inline_bytes_max": _INLINE_BYTES}))
        args = _json(request.args)
        if answer.error is not None:
            self.steps[request.step_id] = Answer(args=args, error=answer.error)
            return answer
        output = answer.value
        if (whole := answer.refs.get("")) is not None and output is None:
            data = await self._artifacts.get(request.tenant, request.user_id, whole)
            output = orjson.loads(data or b"null")
        self.steps[request.step_id] = Answer(args=args, output=_json(output))
        return answer.model_copy(update={"value": output, "refs": {}, "projections": {}})


class _Player:
    """Answers from a fixture, and compares what is asked."""

    def __init__(self, fixture: Fixture, catalogue: Catalogue) -> None:
        self.asked: set[str] = set()
        self._steps = fixture.steps
        self._catalogue = catalogue

    async def handle(self, request: CapabilityRequest) -> CapabilityResult:
        step, args = request.step_id, _json(request.args)
        self.asked.add(step)
        recorded = self._steps.get(step)
        if recorded is None:
            raise _Different(f"step {step} asked for {request.capability}; the fixture holds no answer of it")
        if recorded.args is not None and (difference := first_difference(recorded.args, args, "/args")) is not None:
            raise _Different(f"step {step} asked {request.capability} for something else: {difference}")
        spec = self._catalogue.find(request.capability)
        if spec is not None and recorded.error is None:
            self._fits(step, spec.input_schema, args, "args", request)
            self._fits(step, spec.output_schema, recorded.output, "output", request)
        return CapabilityResult(
            execution_id=request.execution_id,
            tenant=request.tenant,
            step_id=step,
            attempt=request.attempt,
            value=recorded.output,
            digest=None if recorded.error else digest(recorded.output),
            error=recorded.error,
            metadata=ResultMetadata(
                agent="fixture", agent_version="", version=request.version, started_at_ms=0, finished_at_ms=0
            ),
        )

    def _fits(self, step: str, schema: Any, value: Any, what: str, request: CapabilityRequest) -> None:
        if schema and (faults := schema_faults(schema, value, "", f"/{what}")):
            own = f"{request.capability} v{request.version}"
            first = f"{faults[0].pointer}: {faults[0].message}"
            raise _Different(f"step {step}: the schema of {own} does not allow its {what}: {first}")


class _LeapingClock:
    """Time that passes only when somebody waits for it, and then at once."""

    def __init__(self) -> None:
        self._now_ms = _START_MS

    def now_ms(self) -> int:
        return self._now_ms

    async def wait_until(self, at_ms: int) -> None:
        # Answers that are under way come first.
        for _ in range(10):
            await asyncio.sleep(0)
        self._now_ms = max(self._now_ms, at_ms)
