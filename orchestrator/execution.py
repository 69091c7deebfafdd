"""One execution as a value. `advance` makes a new one from the old; nothing is changed in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from topics.errors import Code
from topics.messages import (
    ErrorBody,
    ExecuteRequest,
    Gate,
    PackRef,
    PackStatus,
    Pins,
    Projection,
    Resolution,
    ResultMetadata,
)


class Status(StrEnum):
    """Where an execution stands. Admission and start happen in one event, so `admitted` is never stored."""

    CANCELLED_EARLY = "cancelled_early"
    """Set by a cancel that came before its request; left when the request comes or the retention ends. People see it as
    `cancelled` (`orchestrator.view`)."""
    QUEUED = "queued"
    """Set when the limits on executions in flight leave no room; left by StartExecution, a cancel or the deadline."""
    RESOLVING = "resolving"
    """Set at admission of a pattern that needs pins; left when `context.resolve` has answered."""
    WAITING_FOR_PACK = "waiting_for_pack"
    """Set when the pack is warming and the policy is `wait`; left by GateOpened or the wait's end."""
    RUNNING = "running"
    """Set when the pins are fixed; left when all steps are settled, one fails, or time is up."""
    COMPENSATING = "compensating"
    """Set when it cannot succeed and steps have to be undone; left when all are, or their time is up."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


IN_FLIGHT = frozenset({Status.RESOLVING, Status.RUNNING, Status.COMPENSATING})
"""What counts against the limits: an execution that waits for its pack, or in the queue, does no work."""
TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.REJECTED, Status.CANCELLED, Status.TIMED_OUT})


class StepStatus(StrEnum):
    """How a step was settled. Blocked and requested steps have no record: they are absent or outstanding."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    COMPENSATED = "compensated"
    """Of an undo: what the step had done is undone."""
    COMPENSATION_FAILED = "compensation_failed"
    """Of an undo: it failed for good; people must look at it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What an execution was admitted with. Never changes.

    Attributes:
        request_sha256: over the canonical request without `submitted_at`; another body under one id is a conflict.
        pattern_digest: None when the pattern is unknown.
        inputs: after defaults.
        origin: the event that carried the request.
        versions: names the capability versions, as `CompiledPattern.versions`; empty if not known.
        encoded: its row, made once.
    """

    request: ExecuteRequest
    request_sha256: str
    pattern_digest: str | None
    inputs: Mapping[str, Any]
    portfolio_id: UUID | None
    gate: Gate
    at_ms: int
    deadline_at_ms: int
    origin: str
    versions: str = ""
    encoded: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A step that was asked for and has no deciding answer yet. One object may stand for many steps.

    Attributes:
        attempt: the newest attempt.
        waiting: true between a failed attempt and the next one.
        started_at_ms: when the first attempt was asked for.
        due_at_ms: when the attempt times out, or when the next attempt starts.
        origin: the event that emitted the command; delivered again, it emits the command again.
        lost: nobody knows what an earlier attempt did: it got no answer in time, or an error that may pass.
    """

    attempt: int
    waiting: bool
    started_at_ms: int
    due_at_ms: int
    origin: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Parked:
    """An execution that waits for its pack, at most until `until_ms`."""

    pack_id: UUID
    until_ms: int
    origin: str


@dataclass(frozen=True, slots=True)
class Fan:
    """A foreach step under way.

    Attributes:
        count: items there are.
        started, settled: so many of them, in their order.
    """

    count: int
    started: int
    settled: int
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution will end when everything that has to be undone is undone.

    Attributes:
        error: why it ends.
        until_ms: when it ends in any case.
        step: index of the step that is undone now or next; -1 after the first one. Steps are undone from the
            last to the first.
        item: of a foreach step, the item that is undone next; None before its first.
    """

    status: Status
    error: ErrorBody | None
    until_ms: int
    step: int
    item: int | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A settled step. Never changes.

    Attributes:
        value: the output when it is inline; None also for a step without output.
        inline: whether `value` is the output.
        ref: artifact of the output, when there is one.
        projections: sub-paths of an output that is not inline.
        args_bytes: canonical size of the arguments; 0 if they were never made.
        lost: it has no output, but nobody knows what it did; only kept for steps that can be undone.
        count: items of a foreach step; its output is the list of theirs.
        encoded: its row, made once.
    """

    step_id: str
    status: StepStatus
    attempts: int
    started_at_ms: int | None
    finished_at_ms: int
    value: Any = None
    inline: bool = False
    ref: str | None = None
    projections: Mapping[str, Projection] = field(default_factory=dict)
    args_bytes: int = 0
    args_digest: str | None = None
    output_digest: str | None = None
    digest: str | None = None
    metadata: ResultMetadata | None = None
    error: ErrorBody | None = None
    skip_reason: str | None = None
    lost: bool = False
    count: int | None = None
    encoded: bytes = field(default=b"", compare=False, repr=False)

    @property
    def has_output(self) -> bool:
        """Whether dependants can read an output."""
        return self.inline or self.ref is not None or (self.count is not None and self.status == StepStatus.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a pattern between two events.

    Attributes:
        outstanding: step id → command under way.
        finished: step id → record, in the order the steps were settled.
        resolve_record: answer of `context.resolve` while the gate is not passed; then it moves to `finished`.
        resolve_attempt_min: answers to earlier attempts of `$resolve` are out of date.
        prefix: number of leading steps that are settled (a sequential step starts when this is its index).
        resolve_rounds: how often pins were asked for; bounded.
        gate_until_ms: end of the wait for a pack, set when it begins; 0 before.
        pins_json: canonical bytes of the pins, made once.
        reason: why it was cancelled early.
        timer_at_ms: earliest timer asked for; 0 for none. `timer_origin`: the event that asked.
        page_ends: how many items (admission, then records) stand in pages 0, 1, …; the rest stands in the header.
        tail_bytes: size of that rest.
        origin: of the event that ended it.
        cut: only the terminal record is left; the result is confirmed.
        ending: set while it is compensating.
        fans: foreach steps under way, by step id.
        queued_at_ms: when it was queued last; 0 if it never was.
        queued_ms: how long it was queued, in all, before that; once it is started or ended, including that.
    """

    execution_id: str
    tenant: str
    user_id: UUID
    status: Status
    started_at_ms: int
    admission: Admission | None = None
    resolution: Resolution | None = None
    pins: Pins | None = None
    parked: Parked | None = None
    outstanding: Mapping[str, Outstanding] = field(default_factory=dict)
    finished: Mapping[str, StepRecord] = field(default_factory=dict)
    resolve_record: StepRecord | None = None
    resolve_attempt_min: int = 1
    resolve_rounds: int = 1
    gate_until_ms: int = 0
    prefix: int = 0
    timer_at_ms: int = 0
    timer_origin: str = ""
    page_ends: tuple[int, ...] = ()
    tail_bytes: int = 0
    error: ErrorBody | None = None
    digest: str | None = None
    finished_at_ms: int | None = None
    origin: str | None = None
    cut: bool = False
    request_sha256: str | None = None
    pins_json: bytes = field(default=b"", compare=False, repr=False)
    reason: str = ""
    ending: Ending | None = None
    fans: Mapping[str, Fan] = field(default_factory=dict)
    queued_at_ms: int = 0
    queued_ms: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether nothing but duplicates and late events can follow."""
        return self.status in TERMINAL

    @property
    def waiting_for_pack(self) -> UUID | None:
        """The pack it is parked for, or None."""
        return self.parked.pack_id if self.parked else None

    def waits_for(self, pack: PackRef) -> bool:
        """Whether news of this pack concern it: it is parked for it, or for any revision of the day this one is of."""
        if self.parked is None or pack.pack_id == self.parked.pack_id:
            return self.parked is not None
        wanted = self.resolution.pack if self.resolution else None
        if wanted is None or self.admission is None or self.admission.request.pack_id is not None:
            return False
        same_day = (pack.policy, pack.asof_date) == (wanted.policy, wanted.asof_date)
        return same_day and pack.status == PackStatus.FRESH

    @property
    def pattern_digest(self) -> str | None:
        """Digest of the pattern it runs; None if unknown, or when only the terminal record is left."""
        return self.admission.pattern_digest if self.admission else None

    @property
    def pattern_versions(self) -> str:
        """What names the versions of its capabilities; empty if not known."""
        return self.admission.versions if self.admission else ""

    @property
    def asof(self) -> date | None:
        """Day the answer is about, once pinned."""
        return self.pins.asof if self.pins else None

    @property
    def asof_requested(self) -> date | None:
        """Day that was asked for, or that the resolution chose when none was; None while there is neither."""
        if self.pins is not None:
            return self.pins.asof_requested
        asked = self.admission.request.asof if self.admission else None
        if asked is None and self.resolution is not None:
            return self.resolution.asof
        return asked

    @property
    def ends_at_ms(self) -> int | None:
        """When it ends in any case: at its deadline, or when the time to compensate is up."""
        if self.admission is None:
            return None
        return self.ending.until_ms if self.ending else self.admission.deadline_at_ms

    def next_due_at_ms(self) -> int | None:
        """Return when the next timer must fire, or None. Timers can be rebuilt from this alone.

        Cost: O(outstanding steps).
        """
        if self.admission is None or self.is_terminal:
            return None
        due = self.ends_at_ms or 0
        if self.parked is not None and self.parked.until_ms < due:
            due = self.parked.until_ms
        for command in self.outstanding.values():
            if command.due_at_ms < due:
                due = command.due_at_ms
        return due

    def expires_at_ms(self, retention_s: float) -> int | None:
        """Return when a finished or early-cancelled execution may be forgotten; None while it runs."""
        if self.finished_at_ms is None:
            return None
        return self.finished_at_ms + round(retention_s * 1000)


def early_cancel_of(execution: Execution) -> ErrorBody:
    """Return what an execution ends with whose cancel came before its request."""
    return ErrorBody(code=Code.CANCELLED, message=execution.reason or "cancelled before it began")
