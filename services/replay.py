"""Making a finished execution again on its pins, and comparing.

The engine runs once more over the recorded inputs and pins. Steps of pure capabilities are computed by the code that
is here, if it is the recorded version; nothing is cached, nothing is written. For all other steps the recorded output
stands in: whoever cannot be asked twice is not asked twice, and effects do not happen again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import orjson

from agents.artifacts import Artifacts, pack
from agents.runtime import AgentRuntime
from agents.store_ports import ArtifactStore
from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.faults import PatternFaults
from orchestrator.pattern import RESOLVE_STEP, UNDO, CompiledPattern
from provenance.comparison import Comparison, How, compare, summed
from provenance.verification import Finding, verify
from services.clock import SystemClock
from services.local_artifacts import LocalArtifacts
from services.runner import run_in_process
from topics.canonical import canonical_bytes, digest, sha256_hex
from topics.errors import Code
from topics.messages import (
    CapabilityRequest,
    CapabilityResult,
    ErrorBody,
    ExecuteRequest,
    ExecutionResult,
    Gate,
    GatePolicy,
    PackRef,
    PackStatus,
    Resolution,
    ResultMetadata,
)
from topics.trace import StepTrace

_DEADLINE_S = 3600.0
_WARMING = UUID(int=0)


@dataclass(frozen=True, slots=True)
class PatternText:
    """A pattern as it was admitted.

    Attributes:
        source: its bytes.
        capabilities: versions it was compiled against.
    """

    source: bytes
    capabilities: Mapping[str, int]


class PatternTexts(Protocol):
    """Where the texts of patterns are kept by digest."""

    async def get(self, digest: str) -> PatternText | None:
        """Return the text; None when it was never kept."""
        ...


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it.

    Attributes:
        comparison: step by step.
        findings: what does not fit in the stored result itself, before anything is recomputed.
        digest: of the stored result.
        recomputed_digest: of the run; None when there was none or it could not be completed.
    """

    execution_id: str
    pattern_id: str
    comparison: Comparison
    digest: str
    recomputed_digest: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> str:
        """`same`, `differs`, `code_version_unavailable` or `incomplete`."""
        return "differs" if self.findings else self.comparison.outcome

    def as_json(self) -> dict[str, Any]:
        """Return it as `dawsos replay --json` and the gateway show it."""
        comparison = asdict(self.comparison)
        return {
            "execution_id": self.execution_id,
            "pattern_id": self.pattern_id,
            "outcome": self.outcome,
            "first_difference": comparison["first"] if self.comparison.outcome == "differs" else None,
            "message": self.comparison.message,
            "digest": self.digest,
            "recomputed_digest": self.recomputed_digest,
            "steps": list(comparison["steps"]),
            "findings": [asdict(each) for each in self.findings],
        }


class OverlayArtifacts:
    """Reads a store, keeps what is written to itself: a recomputation leaves nothing behind."""

    def __init__(self, below: ArtifactStore) -> None:
        self._below = below
        self._own = LocalArtifacts()

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """See `agents.store_ports.ArtifactStore`."""
        return await self._own.put(tenant, user_id, data)

    async def get(self, tenant: str, user_id: UUID, sha256: str) -> bytes | None:
        """See `agents.store_ports.ArtifactStore`."""
        found = await self._own.get(tenant, user_id, sha256)
        return found if found is not None else await self._below.get(tenant, user_id, sha256)

    async def touch(self, tenant: str, user_id: UUID, sha256: str) -> bool:
        """See `agents.store_ports.ArtifactStore`."""
        return await self._own.touch(tenant, user_id, sha256)


async def replay(
    result: ExecutionResult,
    text: PatternText | None,
    catalogue: Catalogue,
    runtime: AgentRuntime,
    artifacts: OverlayArtifacts,
) -> Replay:
    """Recompute every pure step of a finished execution and compare.

    Args:
        result: as stored, outputs behind references or put back in their places.
        text: of its pattern; None when it is not kept any more.
        catalogue: what is offered here.
        runtime: agents with their services, without a cache, on `artifacts`.
        artifacts: where recorded values are read.
    """
    plain = orjson.loads(result.model_dump_json(by_alias=True))
    findings = verify(plain).findings

    def done(comparison: Comparison, recomputed: str | None = None) -> Replay:
        return Replay(result.execution_id, result.pattern_id, comparison, result.digest, recomputed, findings)

    if result.trace.pattern_digest is None or not result.trace.steps:
        reason = f"it was {result.status.value} before any step"
        return done(replace(summed(()), message=reason))
    if text is None:
        message = f"the text of pattern {result.pattern_id} ({result.trace.pattern_digest}) is not here"
        return done(replace(summed(()), outcome="code_version_unavailable", message=message))
    try:
        where = f"{result.pattern_id} as recorded"
        pattern = compile_pattern(text.source, catalogue.pinned(result.trace.capabilities), where)
    except PatternFaults as error:
        message = f"pattern {result.pattern_id} no longer compiles: {error}"
        return done(replace(summed(()), outcome="code_version_unavailable", message=message))
    if pattern.digest != result.trace.pattern_digest:
        message = f"expected a pattern with digest {result.trace.pattern_digest}, got {pattern.digest}"
        return done(replace(summed(()), outcome="differs", message=message))
    recorded = _Recorded(result, pattern, catalogue, runtime, artifacts)
    again = await run_in_process(_request(result), pattern, recorded, SystemClock())
    trace = orjson.loads(again.trace.model_dump_json(by_alias=True))
    comparison = compare(plain["trace"], trace, recorded.how)
    await recorded.ask_directly(comparison)
    if recorded.direct:
        steps = [recorded.direct.get(step.step_id, step) for step in comparison.steps]
        comparison = summed(steps)
    complete = comparison.outcome == "same" and result.status == again.status
    return done(comparison, again.digest if complete else None)


def _request(result: ExecutionResult) -> ExecuteRequest:
    trace = result.trace
    return ExecuteRequest(
        tenant=result.tenant,
        request_id=f"replay-{uuid4()}",
        user_id=result.user_id,
        pattern_id=result.pattern_id,
        portfolio_id=None if trace.portfolio_id is None else UUID(trace.portfolio_id),
        inputs=dict(trace.inputs),
        gate=Gate(policy=GatePolicy.SERVE_STALE if trace.stale else GatePolicy.REJECT),
        deadline_s=_DEADLINE_S,
        submitted_at=datetime.now(UTC),
    )


@dataclass(slots=True)
class _Recorded:
    """Answers requests: pure ones by computing, all others from the record."""

    result: ExecutionResult
    pattern: CompiledPattern
    catalogue: Catalogue
    runtime: AgentRuntime
    artifacts: OverlayArtifacts
    how: dict[str, tuple[How, str]] = field(default_factory=dict)
    direct: dict[str, Any] = field(default_factory=dict)

    async def handle(self, request: CapabilityRequest) -> CapabilityResult:
        """Answer a request. Raises nothing but a cancellation."""
        if request.step_id == RESOLVE_STEP:
            return await self._resolution(request)
        target = self.pattern.target(request.step_id)
        if target is None or request.step_id.startswith(UNDO):
            return _refused(request, Code.CANCELLED, "undoing is not repeated")
        step = self._traced(target.step.id)
        item = target.item
        if step is None or step.digest is None or (item is not None and self._failed_item(step, item)):
            return self._as_recorded(request, step, item)
        why = self.unavailable(step)
        if why is None and self._is_pure(step):
            self._note(step.step_id, "recomputed", "")
            return await self.runtime.handle(request)
        found = await self._stored(step, item)
        if found is None:
            kept = "its output was not kept: it is no output of the pattern, or too long for the trace"
            self._note(step.step_id, "unavailable" if why else "not_kept", why or kept)
            code = Code.CODE_VERSION_UNAVAILABLE if why else Code.ARTIFACT_NOT_FOUND
            return _refused(request, code, why or kept)
        self._note(step.step_id, "unavailable" if why else "stored", why or "")
        return await self._answer(request, found)

    async def ask_directly(self, comparison: Comparison) -> None:
        """Recompute steps the run did not reach from the arguments the trace gives."""
        for compared in comparison.steps:
            step = self._traced(compared.step_id)
            if compared.verdict != "not_reached" or step is None or step.args is None or step.digest is None:
                continue
            if not self._is_pure(step):
                continue
            if (why := self.unavailable(step)) is not None:
                self.direct[step.step_id] = replace(compared, verdict="code_version_unavailable", message=why)
                continue
            answer = await self.runtime.handle(self._direct_request(step))
            if answer.error is not None:
                message = f"succeeded when it was recorded, now it is {answer.error.code}: {answer.error.message}"
                self.direct[step.step_id] = replace(compared, verdict="differs", message=message)
                continue
            same = answer.digest == step.output_digest
            self.direct[step.step_id] = replace(
                compared,
                verdict="same" if same else "differs",
                message=""
                if same
                else f"answered {step.output_digest}, now {answer.digest}, to the recorded arguments",
                recomputed=answer.digest,
            )

    def unavailable(self, step: StepTrace) -> str | None:
        """Return why a step's code is not here; None when it is, or when it is not needed."""
        offered = self.runtime.version_of(step.capability, step.version)
        if offered is None:
            return f"no agent here offers {step.capability}"
        if offered != step.version:
            return f"{step.capability} was recorded in version {step.version}; version {offered} is here"
        return None

    def _is_pure(self, step: StepTrace) -> bool:
        spec = self.catalogue.find(step.capability)
        return spec is not None and spec.pure

    def _note(self, step_id: str, how: How, why: str) -> None:
        self.how.setdefault(step_id, (how, why))

    def _traced(self, step_id: str) -> StepTrace | None:
        return next((step for step in self.result.trace.steps if step.step_id == step_id), None)

    def _failed_item(self, step: StepTrace, item: int) -> bool:
        return step.items is not None and any(failure.index == item for failure in step.items.failures)

    def _as_recorded(self, request: CapabilityRequest, step: StepTrace | None, item: int | None) -> CapabilityResult:
        """Fail as the record says it failed."""
        error = step.error if step else None
        if step is not None and step.items is not None and item is not None:
            error = next((each.error for each in step.items.failures if each.index == item), error)
        if error is None:
            return _refused(request, Code.CANCELLED, "was not carried out when it was recorded")
        code = Code(error.code) if error.code in Code.__members__ else Code.INTERNAL
        return _refused(request, code, error.message)

    async def _stored(self, step: StepTrace, item: int | None) -> bytes | None:
        """Return a recorded output as canonical bytes, or None; never other bytes than those recorded."""
        found = await self._recorded_output(step, item)
        if found is None or item is not None:
            return found
        return found if sha256_hex(found) == step.output_digest else None

    async def _recorded_output(self, step: StepTrace, item: int | None) -> bytes | None:
        index = "" if item is None else f"/{item}"
        name = next((name for name, own in self.pattern.outputs.items() if own == step.step_id), None)
        if name is not None:
            sha256 = self.result.refs.get(f"/data/{name}{index}")
            if sha256 is not None:
                return await self._artifact(sha256)
            if name in self.result.data:
                value = self.result.data[name]
                if item is None:
                    return canonical_bytes(value)
                return canonical_bytes(value[item]) if isinstance(value, list) and item < len(value) else None
        if step.output_ref is not None and item is None:
            return await self._artifact(step.output_ref)
        if item is not None:
            listed = step.output
            return canonical_bytes(listed[item]) if isinstance(listed, list) and item < len(listed) else None
        if step.output is not None or step.output_digest == digest(None):
            return canonical_bytes(step.output)
        return None

    async def _artifact(self, sha256: str) -> bytes | None:
        return await self.artifacts.get(self.result.tenant, self.result.user_id, sha256)

    async def _answer(self, request: CapabilityRequest, data: bytes) -> CapabilityResult:
        packed = await pack(
            Artifacts(self.artifacts, len(data) + 1, lambda: 0),
            request.tenant,
            request.user_id,
            data,
            orjson.loads(data),
            request.inline_bytes_max,
            request.projections,
            artifact_bytes_min=request.artifact_bytes_min,
        )
        return _answered(request, packed.value, sha256_hex(data), packed.refs, packed.projections)

    async def _resolution(self, request: CapabilityRequest) -> CapabilityResult:
        trace = self.result.trace
        if trace.pricing_pack_id is None or trace.asof is None or trace.base_ccy is None:
            return _refused(request, Code.CANCELLED, "the execution had no pins")
        requested = trace.asof_requested or trace.asof
        pinned = _pack(UUID(trace.pricing_pack_id), trace.asof, PackStatus.FRESH, trace.pack_sha256)
        resolution = Resolution(
            asof=requested,
            portfolio_id=None if trace.portfolio_id is None else UUID(trace.portfolio_id),
            base_ccy=trace.base_ccy,
            benchmark_id=trace.benchmark_id,
            ledger_commit_hash=trace.ledger_commit_hash,
            pack=_pack(_WARMING, requested, PackStatus.WARMING, None) if trace.stale else pinned,
            previous_fresh=pinned if trace.stale else None,
        )
        value = orjson.loads(resolution.model_dump_json())
        return _answered(request, value, digest(value), {}, {})

    def _direct_request(self, step: StepTrace) -> CapabilityRequest:
        from topics.messages import Pins

        trace = self.result.trace
        pins = None
        if trace.pricing_pack_id is not None:
            names = Pins.model_fields
            given = {name: getattr(trace, name) for name in names}
            pins = Pins.model_validate_json(orjson.dumps(given, default=str))
        return CapabilityRequest(
            execution_id=self.result.execution_id,
            tenant=self.result.tenant,
            user_id=self.result.user_id,
            step_id=step.step_id,
            attempt=1,
            capability=step.capability,
            version=step.version,
            args=step.args or {},
            refs=step.refs,
            pins=pins,
            deadline_at_ms=SystemClock().now_ms() + int(_DEADLINE_S * 1000),
            idempotency_key=f"{self.result.execution_id}/{step.step_id}",
            inline_bytes_max=0,
        )


def _pack(pack_id: UUID, asof: date, status: PackStatus, sha256: str | None) -> PackRef:
    return PackRef(pack_id=pack_id, policy="recorded", asof_date=asof, revision=1, status=status, content_sha256=sha256)


def _answered(
    request: CapabilityRequest, value: Any, output_digest: str, refs: Mapping[str, str], projections: Mapping[str, Any]
) -> CapabilityResult:
    return CapabilityResult(
        execution_id=request.execution_id,
        tenant=request.tenant,
        step_id=request.step_id,
        attempt=request.attempt,
        value=value,
        refs=dict(refs),
        digest=output_digest,
        projections=dict(projections),
        metadata=ResultMetadata(
            agent="record", agent_version="", version=request.version, started_at_ms=0, finished_at_ms=0
        ),
    )


def _refused(request: CapabilityRequest, code: Code, message: str) -> CapabilityResult:
    return CapabilityResult(
        execution_id=request.execution_id,
        tenant=request.tenant,
        step_id=request.step_id,
        attempt=request.attempt,
        error=ErrorBody(code=code, message=message),
    )


def exit_outcome(replays: Sequence[Replay]) -> str:
    """Return the worst outcome of several: a difference before anything that could not be checked."""
    found = {each.outcome for each in replays}
    return next((each for each in ("differs", "code_version_unavailable", "incomplete") if each in found), "same")
