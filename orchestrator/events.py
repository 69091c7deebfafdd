"""What goes into the engine and what comes out of it."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from orchestrator.execution import Execution
from topics.messages import (
    CancelExecution,
    CapabilityRequest,
    CapabilityResult,
    ExecuteRequest,
    ExecutionResult,
    GateOpened,
    StartExecution,
    TimerFired,
)

EventMessage = ExecuteRequest | CapabilityResult | TimerFired | GateOpened | StartExecution | CancelExecution


@dataclass(frozen=True, slots=True)
class Event:
    """A message as the broker delivered it.

    Attributes:
        at_ms: the broker's append time; the only clock the engine knows.
        origin: topic letter and offset (`r:123`, `c:456`, `s:789`), unique in the partition: the same text means
            the same record, delivered again.
        full: there is no room for one more execution in flight: one that would begin to work with this event (a
            request, a gate that opens) is queued instead. The shell's decision, not a fact of the log; it need not be
            recorded, because the row says `queued` exactly when it was true and mattered.
        fault: what does not fit the contract in a request of which only the identity could be read; it is rejected.
    """

    message: EventMessage
    at_ms: int
    origin: str
    full: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Ask an agent. `request.reply_partition` is 0: the shell knows its own partition number.

    Attributes:
        after_state: to be sent only when the new state is confirmed: what the command does may have to be undone, and
            an execution that forgot it in a crash, and was cancelled then, could not undo it.
    """

    agent: str
    request: CapabilityRequest
    after_state: bool = False


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Publish the execution's result, after its state is durable. For a conflict its execution_id is another one."""

    result: ExecutionResult


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Deliver `TimerFired` for this execution at or after `due_at_ms` (broker time)."""

    due_at_ms: int


@dataclass(frozen=True, slots=True)
class WatchPack:
    """Deliver `GateOpened` when this pack changes its status, or at once if it is no longer warming."""

    pack_id: UUID


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Put what could not be undone before people. Comes with the result of its execution, before it.

    Attributes:
        step_id: the step whose effect may still stand.
        reason: why, for people.
        agent: who was asked; empty when no request could be made.
        request: the undoing that failed; sent again, it undoes the effect. None when its arguments cannot be made.
    """

    step_id: str
    reason: str
    agent: str
    request: CapabilityRequest | None


Emit = SendRequest | PublishResult | StartTimer | WatchPack | DeadLetter


class Note(StrEnum):
    """Why an event changed nothing."""

    DUPLICATE = "duplicate"
    REDELIVERED = "redelivered"
    LATE = "late"
    STALE_ERROR = "stale error"
    UNKNOWN_EXECUTION = "unknown execution"
    UNKNOWN_STEP = "unknown step"
    NOT_DUE = "not due"
    OTHER_PACK = "other pack"
    STILL_WARMING = "still warming"
    NOT_THE_OWNER = "not the owner"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one event.

    Attributes:
        state: the execution after the event; None when it is unchanged.
        emits: in the order they are to be published; possibly empty.
        note: why an event changed nothing; None when it did.
    """

    state: Execution | None
    emits: tuple[Emit, ...] = ()
    note: Note | None = None


class IllegalTransition(RuntimeError):
    """A programmer error: no table row for (status, event), or a handler left its row."""
