"""The state machine of an execution, as one literal table.

An execution is a fold over events. Events come from a broker that delivers at least once, in order within a partition
but with no order between topics: a request can come twice, an answer after its step was settled, a cancel before the
request it is about, a timer for a command that has long been answered. The table therefore has a row for *every*
(status, event): none is impossible, and what is late or repeated is said to be so. A row names the handler and the
statuses it may lead to; a handler that leaves its row is a programmer error, which fails that one execution.

Three things make repeats harmless. A settled step, the pins and a terminal status never change. Each outstanding
command remembers the event that emitted it, so that event, delivered again, emits that command again and nothing
else: if the worker died between storing and sending, nothing is lost; if it did not, agents answer twice and the
first success wins. And every id derives from (execution, step, attempt), so a repeated command is the same command.

Time is the event's append time. The deadline is checked before the table is consulted: any event appended at or
after it ends a running execution as `timed_out`. A timer that fires early is armed again.

What cannot succeed may have to be undone first. From then on how it ends is fixed: neither a cancel nor the deadline
changes it, and compensating has a time limit of its own after the deadline, so it ends in any case.

An execution that would begin to work while the limits leave no room is queued instead, with its request checked and its
versions pinned as at any admission; its deadline runs. It begins when StartExecution comes.

    (absent) ── ExecuteRequest ──► resolving ──► waiting_for_pack ──► running ──► succeeded | failed
        │                             │                   │              └──► compensating ──┐
        │                             └───────────────────┴──────────────┴──► rejected | failed | cancelled | timed_out
        └── CancelExecution ──► cancelled_early ── ExecuteRequest ──► cancelled
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.execution import Status
from topics.messages import CancelExecution, CapabilityResult, ExecuteRequest, GateOpened, StartExecution, TimerFired


class Action(StrEnum):
    """What to do with an event; each is one handler of the machine."""

    ADMIT = "admit"
    NOTE_CANCEL = "note_cancel"
    START = "start"
    ANSWER_RESOLVE = "answer_resolve"
    OPEN_GATE = "open_gate"
    ANSWER_STEP = "answer_step"
    SETTLE_DUE = "settle_due"
    ANSWER_COMPENSATION = "answer_compensation"
    SETTLE_COMPENSATION_DUE = "settle_compensation_due"
    CANCEL = "cancel"
    REPEAT_REQUEST = "repeat_request"
    REPEAT = "repeat"
    IGNORE_UNKNOWN = "ignore_unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table.

    Attributes:
        to: statuses the execution may have afterwards; empty when the event changes nothing.
    """

    action: Action
    to: frozenset[Status] = frozenset()


def _row(action: Action, *to: Status) -> Row:
    return Row(action, frozenset(to))


_EARLY, _QUEUED, _RESOLVING, _WAITING, _RUNNING, _COMPENSATING = (
    Status.CANCELLED_EARLY,
    Status.QUEUED,
    Status.RESOLVING,
    Status.WAITING_FOR_PACK,
    Status.RUNNING,
    Status.COMPENSATING,
)
_SUCCEEDED, _FAILED, _REJECTED, _CANCELLED, _TIMED_OUT = (
    Status.SUCCEEDED,
    Status.FAILED,
    Status.REJECTED,
    Status.CANCELLED,
    Status.TIMED_OUT,
)
_REPEAT = _row(Action.REPEAT)
_REPEAT_REQUEST = _row(Action.REPEAT_REQUEST)
_UNKNOWN = _row(Action.IGNORE_UNKNOWN)
_GIVEN_UP = (_COMPENSATING, _FAILED, _CANCELLED, _TIMED_OUT)
_ENDED = (_SUCCEEDED, _FAILED, _REJECTED, _TIMED_OUT)

Table = Mapping[tuple[Status | None, type], Row]

TABLE: Table = {
    (None, ExecuteRequest): _row(Action.ADMIT, _QUEUED, _RESOLVING, _RUNNING, *_ENDED),
    (None, CapabilityResult): _UNKNOWN,
    (None, TimerFired): _UNKNOWN,
    (None, GateOpened): _UNKNOWN,
    (None, StartExecution): _UNKNOWN,
    (None, CancelExecution): _row(Action.NOTE_CANCEL, _EARLY),
    #
    (_EARLY, ExecuteRequest): _row(Action.ADMIT, _QUEUED, _RESOLVING, _RUNNING, _CANCELLED, *_ENDED),
    (_EARLY, CapabilityResult): _UNKNOWN,
    (_EARLY, TimerFired): _UNKNOWN,
    (_EARLY, GateOpened): _UNKNOWN,
    (_EARLY, StartExecution): _UNKNOWN,
    (_EARLY, CancelExecution): _REPEAT,
    #
    (_QUEUED, ExecuteRequest): _REPEAT_REQUEST,
    (_QUEUED, CapabilityResult): _REPEAT,
    (_QUEUED, TimerFired): _row(Action.SETTLE_DUE),
    (_QUEUED, GateOpened): _REPEAT,
    (_QUEUED, StartExecution): _row(Action.START, _RESOLVING, _RUNNING, _SUCCEEDED, _FAILED),
    (_QUEUED, CancelExecution): _row(Action.CANCEL, _CANCELLED),
    #
    (_RESOLVING, ExecuteRequest): _REPEAT_REQUEST,
    (_RESOLVING, CapabilityResult): _row(Action.ANSWER_RESOLVE, _RESOLVING, _WAITING, _RUNNING, *_ENDED),
    (_RESOLVING, TimerFired): _row(Action.SETTLE_DUE, _RESOLVING, _FAILED),
    (_RESOLVING, GateOpened): _REPEAT,
    (_RESOLVING, StartExecution): _REPEAT,
    (_RESOLVING, CancelExecution): _row(Action.CANCEL, _CANCELLED),
    #
    (_WAITING, ExecuteRequest): _REPEAT_REQUEST,
    (_WAITING, CapabilityResult): _REPEAT,
    (_WAITING, TimerFired): _row(Action.SETTLE_DUE, _WAITING, _REJECTED),
    (_WAITING, GateOpened): _row(Action.OPEN_GATE, _WAITING, _QUEUED, _RESOLVING, _RUNNING, *_ENDED),
    (_WAITING, StartExecution): _REPEAT,
    (_WAITING, CancelExecution): _row(Action.CANCEL, _CANCELLED),
    #
    (_RUNNING, ExecuteRequest): _REPEAT_REQUEST,
    (_RUNNING, CapabilityResult): _row(Action.ANSWER_STEP, _RUNNING, _SUCCEEDED, _FAILED, _COMPENSATING),
    (_RUNNING, TimerFired): _row(Action.SETTLE_DUE, _RUNNING, _SUCCEEDED, _FAILED, _COMPENSATING),
    (_RUNNING, GateOpened): _REPEAT,
    (_RUNNING, StartExecution): _REPEAT,
    (_RUNNING, CancelExecution): _row(Action.CANCEL, _CANCELLED, _COMPENSATING),
    #
    (_COMPENSATING, ExecuteRequest): _REPEAT_REQUEST,
    (_COMPENSATING, CapabilityResult): _row(Action.ANSWER_COMPENSATION, *_GIVEN_UP),
    (_COMPENSATING, TimerFired): _row(Action.SETTLE_COMPENSATION_DUE, *_GIVEN_UP),
    (_COMPENSATING, GateOpened): _REPEAT,
    (_COMPENSATING, StartExecution): _REPEAT,
    (_COMPENSATING, CancelExecution): _REPEAT,
    #
    (_SUCCEEDED, ExecuteRequest): _REPEAT_REQUEST,
    (_SUCCEEDED, CapabilityResult): _REPEAT,
    (_SUCCEEDED, TimerFired): _REPEAT,
    (_SUCCEEDED, GateOpened): _REPEAT,
    (_SUCCEEDED, StartExecution): _REPEAT,
    (_SUCCEEDED, CancelExecution): _REPEAT,
    #
    (_FAILED, ExecuteRequest): _REPEAT_REQUEST,
    (_FAILED, CapabilityResult): _REPEAT,
    (_FAILED, TimerFired): _REPEAT,
    (_FAILED, GateOpened): _REPEAT,
    (_FAILED, StartExecution): _REPEAT,
    (_FAILED, CancelExecution): _REPEAT,
    #
    (_REJECTED, ExecuteRequest): _REPEAT_REQUEST,
    (_REJECTED, CapabilityResult): _REPEAT,
    (_REJECTED, TimerFired): _REPEAT,
    (_REJECTED, GateOpened): _REPEAT,
    (_REJECTED, StartExecution): _REPEAT,
    (_REJECTED, CancelExecution): _REPEAT,
    #
    (_CANCELLED, ExecuteRequest): _REPEAT_REQUEST,
    (_CANCELLED, CapabilityResult): _REPEAT,
    (_CANCELLED, TimerFired): _REPEAT,
    (_CANCELLED, GateOpened): _REPEAT,
    (_CANCELLED, StartExecution): _REPEAT,
    (_CANCELLED, CancelExecution): _REPEAT,
    #
    (_TIMED_OUT, ExecuteRequest): _REPEAT_REQUEST,
    (_TIMED_OUT, CapabilityResult): _REPEAT,
    (_TIMED_OUT, TimerFired): _REPEAT,
    (_TIMED_OUT, GateOpened): _REPEAT,
    (_TIMED_OUT, StartExecution): _REPEAT,
    (_TIMED_OUT, CancelExecution): _REPEAT,
}
