"""The messages that travel over Kafka, all JSON in UTF-8.

Commands are imperative, facts are past or nouns. Every message names its `type` and version `v`; an unknown
optional field is ignored, an unknown version is rejected. Times inside the engine are the broker's append times in
milliseconds since the epoch (`…_at_ms`); times that people write are RFC 3339 (`submitted_at`).
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from topics.errors import Code
from topics.trace import Trace

Tenant = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
ExecutionId = Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$", description="UUID of the execution")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CommitHash = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Name = Annotated[
    str,
    Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$", description="Text without U+0000"),
]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Refs = dict[str, Sha256]
"""JSON pointer into the value beside it → artifact that stands there. `""` is the whole value."""


class Wire(BaseModel):
    """Base of everything on the wire: frozen, strict, unknown fields ignored, no NaN or infinity."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True
    )


class GatePolicy(StrEnum):
    """What to do when the pack of the day is still warming."""

    REJECT = "reject"
    WAIT = "wait"
    SERVE_STALE = "serve_stale"


class Gate(Wire):
    """The freshness policy of a request.

    Attributes:
        policy: `reject` ends with PACK_WARMING, `wait` parks, `serve_stale` takes the previous fresh pack and labels
            every panel.
        wait_s: seconds to wait at most, for `wait`.
    """

    policy: GatePolicy = GatePolicy.REJECT
    wait_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0


class ExecuteRequest(Wire):
    """Ask for one execution of a pattern. The same (tenant, request_id) is the same execution.

    Attributes:
        asof: day to value at; absent means the newest day that has a pack which has not failed.
        pack_id: run on exactly this pack, even a superseded one (the result carries a warning).
        ledger_commit: run on exactly this commit; absent means the head of the portfolio's branch.
        deadline_s: seconds after the broker took the request at which the execution ends in any case; absent: the
            pattern's or the default, to which what the gate may wait is added.
        submitted_at: when the producer made the request; older than the retention is REQUEST_EXPIRED.
    """

    type: Literal["ExecuteRequest"] = "ExecuteRequest"
    v: Literal[1] = 1
    tenant: Tenant
    request_id: Name
    user_id: UUID
    pattern_id: Name
    portfolio_id: UUID | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    asof: date | None = None
    pack_id: UUID | None = None
    ledger_commit: CommitHash | None = None
    gate: Gate | None = None
    deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    submitted_at: AwareDatetime


class PackStatus(StrEnum):
    """Where a pricing pack stands in its life: warming → fresh → superseded, or failed."""

    WARMING = "warming"
    FRESH = "fresh"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class PackRef(Wire):
    """One revision of the pricing pack of one day.

    Attributes:
        content_sha256: digest over the canonical sorted rows; null until the pack is frozen.
    """

    pack_id: UUID
    policy: str
    asof_date: date
    revision: Annotated[int, Field(ge=1)]
    status: PackStatus
    content_sha256: Sha256 | None = None


class Resolution(Wire):
    """What `context.resolve` answers: the data versions an execution will be pinned to.

    Attributes:
        asof: the target day: the last session of the policy's calendar at or before the day asked for.
        pack: the pack the decision table chose on that day.
        previous_fresh: newest fresh pack of an earlier day, for `serve_stale`; null if there is none.
        ledger_commit_hash: null when the execution has no portfolio.
    """

    asof: date
    portfolio_id: UUID | None = None
    base_ccy: CurrencyCode
    benchmark_id: str | None = None
    ledger_commit_hash: CommitHash | None = None
    pack: PackRef
    previous_fresh: PackRef | None = None
    warnings: tuple[str, ...] = ()

    def pins(self, pack: PackRef, asof_requested: date, *, stale: bool = False) -> "Pins":
        """Return what an execution is pinned to that runs on this answer and a frozen pack.

        Args:
            pack: the one chosen, or another one the gate serves instead.
            asof_requested: day that was asked for.
            stale: whether the pack is not the one of that day.
        """
        return Pins(
            pricing_pack_id=pack.pack_id,
            pack_sha256=pack.content_sha256,
            ledger_commit_hash=self.ledger_commit_hash,
            portfolio_id=self.portfolio_id,
            base_ccy=self.base_ccy,
            benchmark_id=self.benchmark_id,
            asof=pack.asof_date,
            asof_requested=asof_requested,
            stale=stale,
        )


class Pins(Wire):
    """The data versions of one execution. Fixed when it leaves the gate; never change.

    Attributes:
        asof: day the answer is about (the day of the pack, also when the pack is a stale one).
        stale: true when the pack is not the one of the day asked for (`serve_stale`).
        asof_requested: day that was asked for, or resolved when none was.
    """

    pricing_pack_id: UUID
    pack_sha256: Sha256 | None = None
    ledger_commit_hash: CommitHash | None = None
    portfolio_id: UUID | None = None
    base_ccy: CurrencyCode
    benchmark_id: str | None = None
    asof: date
    asof_requested: date
    stale: bool = False


class ErrorBody(Wire):
    """An error as it travels: for machines the code, for people the message.

    Attributes:
        retryable: whether the same command may succeed later.
        retry_after_s: seconds the upstream asked to wait; null if it said nothing.
        details: further JSON values, by name.
    """

    code: Code
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class Projection(Wire):
    """A sub-path of a large value, sent along so that the engine need not read the value.

    Attributes:
        value: what stands there, if it is small.
        ref: artifact of what stands there, if it is large.
        missing: keys that exist where the path breaks off; null when the path exists.
    """

    value: Any = None
    ref: Sha256 | None = None
    missing: tuple[str, ...] | None = None


class ResultMetadata(Wire):
    """Where a capability's answer comes from.

    Attributes:
        sources: data it rests on, e.g. `ledger:<commit>`, `pricing_pack:<id>`, sorted.
        asof: day the data is about; null when the capability uses no dated data.
        ttl_s: seconds the answer may be cached; null means it does not age (fully pinned).
        confidence: 0 to 1, or null when the capability makes no such claim.
        cache: `hit` keeps the original sources and asof; `off` for capabilities that are not cached.
        started_at_ms, finished_at_ms: the agent's clock.
    """

    agent: str
    agent_version: str
    version: int
    sources: tuple[str, ...] = ()
    asof: date | None = None
    ttl_s: int | None = None
    confidence: float | None = None
    cache: Literal["hit", "miss", "off"] = "off"
    warnings: tuple[str, ...] = ()
    started_at_ms: int
    finished_at_ms: int


ARTIFACT_BYTES_MIN = 8192
"""What is longer becomes an artifact, unless a request says otherwise."""
Picks = dict[str, str]
"""JSON pointer of an artifact in `refs` → dotted path inside it: not the whole is meant, but what stands there."""


class CapabilityRequest(Wire):
    """Ask an agent for one attempt of one step.

    Attributes:
        step_id: `$resolve` for the implicit resolution of pins; `step[17]` for one item of a foreach step;
            `$undo:step` and `$undo:step[17]` for what undoes them.
        args: declared arguments; a value that is an artifact is null here and named in `refs`.
        picks: of an artifact only a part is meant: `{"/item": "17.symbol"}` beside `{"/item": sha256}` in `refs` means
            the value at that dotted path (as in `projections`). Part of what tells two requests apart; null for none.
        idempotency_key: equal for all attempts of a step: `<execution_id>/<step_id>`. The one of an undoing holds that
            of what it undoes: `<execution_id>/$undo:<step_id>`.
        projections: dotted paths the engine will read from the answer if the answer is too large to be inline.
        inline_bytes_max: answers up to this many canonical bytes come inline.
        artifact_bytes_min: longer answers are kept as artifacts, also when they come inline: steps read them by
            reference. Greater where no step does.
        reply_partition: partition of `capability-results` that owns the execution.
    """

    type: Literal["CapabilityRequest"] = "CapabilityRequest"
    v: Literal[1] = 1
    execution_id: ExecutionId
    tenant: Tenant
    user_id: UUID
    step_id: str
    attempt: Annotated[int, Field(ge=1)]
    capability: str
    version: int
    args: dict[str, Any]
    refs: Refs = Field(default_factory=dict)
    picks: Picks | None = None
    pins: Pins | None = None
    deadline_at_ms: int
    idempotency_key: str
    projections: tuple[str, ...] = ()
    inline_bytes_max: int = 8192
    artifact_bytes_min: int = ARTIFACT_BYTES_MIN
    reply_partition: int = 0


class CapabilityResult(Wire):
    """An agent's answer to one attempt: a value or an error.

    Attributes:
        value: the answer when it is small enough (or needed as an output); else null and `refs` names it.
        refs: `{"": sha256}` when the whole value is in the artifact store.
        digest: SHA-256 of the value's canonical bytes; null with an error.
        projections: the asked paths, only when the value is not inline.
    """

    type: Literal["CapabilityResult"] = "CapabilityResult"
    v: Literal[1] = 1
    execution_id: ExecutionId
    tenant: Tenant
    step_id: str
    attempt: int
    value: Any = None
    refs: Refs = Field(default_factory=dict)
    digest: Sha256 | None = None
    projections: dict[str, Projection] = Field(default_factory=dict)
    metadata: ResultMetadata | None = None
    error: ErrorBody | None = None


class TimerFired(Wire):
    """A due time has come. The engine settles everything that is due; an early one is armed again."""

    type: Literal["TimerFired"] = "TimerFired"
    v: Literal[1] = 1
    execution_id: ExecutionId
    tenant: Tenant
    due_at_ms: int


class GateOpened(Wire):
    """The pack an execution waits for has changed its status."""

    type: Literal["GateOpened"] = "GateOpened"
    v: Literal[1] = 1
    execution_id: ExecutionId
    tenant: Tenant
    pack: PackRef


class StartExecution(Wire):
    """There is room for a queued execution. Has no effect on one that is not queued."""

    type: Literal["StartExecution"] = "StartExecution"
    v: Literal[1] = 1
    execution_id: ExecutionId
    tenant: Tenant


class CancelExecution(Wire):
    """End an execution. Idempotent; has no effect on a finished one."""

    type: Literal["CancelExecution"] = "CancelExecution"
    v: Literal[1] = 1
    execution_id: ExecutionId
    tenant: Tenant
    user_id: UUID
    reason: str = ""


class PackAnnouncement(Wire):
    """An external pipeline has loaded all rows of a warming pack and asks for it to be frozen.

    Attributes:
        content_sha256: digest the pipeline computed over its rows; freezing fails if ours differs.
    """

    type: Literal["PackAnnouncement"] = "PackAnnouncement"
    v: Literal[1] = 1
    pack_id: UUID
    policy: str
    asof_date: date
    revision: Annotated[int, Field(ge=1)]
    content_sha256: Sha256


class PackEvent(Wire):
    """A pricing pack has changed its status. Written by the outbox only, after the change was committed."""

    type: Literal["PackEvent"] = "PackEvent"
    v: Literal[1] = 1
    pack: PackRef
    seq: Annotated[int, Field(ge=1, description="order of status changes over all packs")]


class PatternVersion(Wire):
    """The exact text of a pattern, kept so that executions finish on the version they began with.

    Attributes:
        source: the pattern file's text, byte for byte.
        digest: SHA-256 of the canonical pattern.
        capabilities: versions the pattern was compiled against; not covered by the digest.
    """

    type: Literal["PatternVersion"] = "PatternVersion"
    v: Literal[1] = 1
    digest: Sha256
    pattern_id: str
    source: str
    capabilities: dict[str, int]


class ExecutionStatus(StrEnum):
    """How an execution ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class ExecutionResult(Wire):
    """The one answer to a request.

    Attributes:
        data: pattern outputs by name; null with a reason in the trace for skipped ones.
        charts: Vega-Lite specs, when the pattern has an output of that name.
        refs: outputs too large to be inline: JSON pointer into this message → artifact.
        digest: over pattern digest, inputs, pins and step digests; equal for equal answers.
    """

    type: Literal["ExecutionResult"] = "ExecutionResult"
    v: Literal[1] = 1
    execution_id: ExecutionId
    request_id: str
    tenant: Tenant
    user_id: UUID
    pattern_id: str
    status: ExecutionStatus
    data: dict[str, Any] = Field(default_factory=dict)
    charts: list[Any] = Field(default_factory=list)
    refs: Refs = Field(default_factory=dict)
    error: ErrorBody | None = None
    trace: Trace
    digest: Sha256
    started_at_ms: int
    finished_at_ms: int


Message = Annotated[
    ExecuteRequest
    | CapabilityRequest
    | CapabilityResult
    | TimerFired
    | GateOpened
    | StartExecution
    | CancelExecution
    | PackAnnouncement
    | PackEvent
    | PatternVersion
    | ExecutionResult,
    Field(discriminator="type"),
]
