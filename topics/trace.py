"""The trace: how an answer came about, step by step. Part of every `ExecutionResult`."""

from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True
    )


class StepError(_Part):
    """Why a step did not succeed."""

    code: str
    message: str


StepStatus = Literal[
    "blocked",
    "ready",
    "requested",
    "retry_wait",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
    "compensated",
    "compensation_failed",
]


class CompensationTrace(_Part):
    """How a step was undone, or was not: then its effect may still stand, and a dead letter says so.

    Attributes:
        attempts: made; 0 when its arguments could not be made or its time was up before.
    """

    capability: str
    version: int
    status: Literal["compensated", "compensation_failed"]
    attempts: int = 0
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    error: StepError | None = None


class ItemError(_Part):
    """Why one item of a foreach step did not succeed."""

    index: int
    status: StepStatus
    error: StepError | None = None


class ItemsTrace(_Part):
    """How the items of a foreach step went; the digests of the step cover all of them.

    Attributes:
        count: items of the list; those never started are in no other number.
        attempts: of all items together.
        failures: the first 20 items that did not succeed, or could not be undone.
    """

    count: int
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    compensated: int = 0
    compensation_failed: int = 0
    attempts: int = 0
    failures: tuple[ItemError, ...] = ()


class StepTrace(_Part):
    """One step as it went.

    Attributes:
        as_: name its output has in `state`.
        success: true exactly when status is `succeeded`.
        attempts: attempts made, 0 for a step that never started.
        started_at_ms, finished_at_ms: broker time of first request and of the deciding answer.
        args: the arguments when they take at most 8 KiB; else null, `args_digest` still names them.
        refs: arguments that are artifacts: JSON pointer into `args` → sha256.
        ttl: seconds the output may be cached; null = does not age.
        stale: true when made on a pack that is not the one of the day asked for.
        output: of a step that cannot be computed again (its capability is not pure), when it takes at most 8 KiB and is
            no output of the pattern; of a foreach step the list of its items' outputs. Null otherwise.
        output_ref: the same when it is in the artifact store.
        compensation: how the step was undone, when it had to be; status is then `compensated` or
            `compensation_failed`, everything else says how the step itself went.
        items: of a foreach step; its args are not in the trace, its args digest and output digest are those of the
            lists of its items' digests.
    """

    step_id: str
    as_: str = Field(alias="as")
    capability: str
    version: int
    agent: str | None = None
    agent_version: str | None = None
    status: StepStatus
    success: bool
    skipped: bool = False
    skip_reason: str | None = None
    attempts: int = 0
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    args: dict[str, Any] | None = None
    refs: dict[str, str] = Field(default_factory=dict)
    args_digest: str | None = None
    output_digest: str | None = None
    output: Any = None
    output_ref: str | None = None
    digest: str | None = None
    cache: Literal["hit", "miss", "off"] | None = None
    sources: tuple[str, ...] = ()
    asof: date | None = None
    ttl: int | None = None
    confidence: float | None = None
    stale: bool = False
    warnings: tuple[str, ...] = ()
    error: StepError | None = None
    compensation: CompensationTrace | None = None
    items: ItemsTrace | None = None


class PanelStaleness(_Part):
    """How fresh one output of the pattern is.

    Attributes:
        output: name of the output; one entry for each.
        status: `fresh`, `stale` (older pack than asked for) or `unavailable` (see reason).
    """

    output: str
    capability: str
    asof: date | None = None
    ttl: int | None = None
    stale: bool = False
    status: Literal["fresh", "stale", "unavailable"]
    reason: str | None = None


class Trace(_Part):
    """Everything needed to explain an answer and to make it again.

    Attributes:
        pricing_pack_id … stale: the pins, complete: with the steps' digests they give the execution's digest. Without a
            pack nothing was pinned; then portfolio_id and asof_requested say what was asked for.
        queued_ms: time spent queued because the limits on executions in flight were reached; null when it never was.
        capabilities: version of every capability the execution was admitted with.
        agents_used, capabilities_used, sources: sorted, without repeats.
        steps: in the pattern's order, the resolution of pins first as `$resolve`.
    """

    pattern_id: str
    pattern_digest: str | None = None
    pattern_version: str | None = None
    pricing_pack_id: str | None = None
    pack_sha256: str | None = None
    ledger_commit_hash: str | None = None
    portfolio_id: str | None = None
    base_ccy: str | None = None
    benchmark_id: str | None = None
    asof: date | None = None
    asof_requested: date | None = None
    stale: bool = False
    queued_ms: int | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    capabilities: dict[str, int] = Field(default_factory=dict)
    agents_used: tuple[str, ...] = ()
    capabilities_used: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    per_panel_staleness: tuple[PanelStaleness, ...] = ()
    steps: tuple[StepTrace, ...] = ()
