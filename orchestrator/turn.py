"""The work of one event on one execution: private copies of what changes, closed into a new `Execution`."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from orchestrator.events import Emit, StartTimer
from orchestrator.execution import (
    Admission,
    Ending,
    Execution,
    Fan,
    Outstanding,
    Parked,
    Status,
    StepRecord,
)
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.references import Scope
from topics.canonical import canonical_bytes
from topics.messages import ErrorBody, Pins, Resolution

# Header rows aim at 4 KiB: this much for finished items, the rest for the head.
TAIL_BYTES_MAX = 2600


class Turn:
    """One event's work. Nothing of the execution it began with is touched.

    Attributes:
        before: the execution before the event.
        admission: never None here: only admitted executions get a turn.
        failure: set once, when the execution cannot succeed any more.
    """

    __slots__ = (
        "_earliest_ms",
        "_shared",
        "admission",
        "at_ms",
        "before",
        "emits",
        "ending",
        "error",
        "failure",
        "fans",
        "finished",
        "gate_until_ms",
        "limits",
        "origin",
        "outstanding",
        "parked",
        "pattern",
        "pins",
        "pins_json",
        "prefix",
        "queued_at_ms",
        "queued_ms",
        "resolution",
        "resolve_attempt_min",
        "resolve_record",
        "resolve_rounds",
        "scope",
        "status",
    )

    def __init__(
        self, before: Execution, admission: Admission, pattern: CompiledPattern, at_ms: int, origin: str, limits: Limits
    ) -> None:
        self.before = before
        self.admission = admission
        self.pattern = pattern
        self.at_ms = at_ms
        self.origin = origin
        self.limits = limits
        self.status = before.status
        self.outstanding = dict(before.outstanding)
        self.finished = dict(before.finished)
        self.prefix = before.prefix
        self.parked: Parked | None = before.parked
        self.resolution: Resolution | None = before.resolution
        self.resolve_record: StepRecord | None = before.resolve_record
        self.resolve_attempt_min = before.resolve_attempt_min
        self.resolve_rounds = before.resolve_rounds
        self.gate_until_ms = before.gate_until_ms
        self.pins: Pins | None = before.pins
        self.pins_json = before.pins_json
        self.ending: Ending | None = before.ending
        self.fans: Mapping[str, Fan] = before.fans
        self.queued_at_ms = before.queued_at_ms
        self.queued_ms = before.queued_ms
        self.error: ErrorBody | None = None
        self.failure: ErrorBody | None = None
        self.emits: list[Emit] = []
        self.scope = Scope(self.finished, admission.inputs, self.pins, before.user_id)
        self._earliest_ms = 0
        self._shared: dict[tuple[int, bool, int, int, bool], Outstanding] = {}

    @property
    def deadline_at_ms(self) -> int:
        """When the execution ends in any case."""
        return self.ending.until_ms if self.ending else self.admission.deadline_at_ms

    def pin(self, pins: Pins) -> None:
        """Fix the data versions."""
        self.pins = pins
        self.pins_json = pins_bytes(pins)
        self.scope = Scope(self.finished, self.admission.inputs, pins, self.before.user_id)

    def fan(self, step_id: str, fan: Fan) -> None:
        """Remember how far a foreach step is."""
        self.fans = {**self.fans, step_id: fan}

    def under_way(self) -> list[str]:
        """Return the ids of the outstanding steps in the pattern's order, which no history can change."""
        if len(self.outstanding) < 2:
            return list(self.outstanding)
        return sorted(self.outstanding, key=self.pattern.place)

    def settle(self, record: StepRecord) -> None:
        """Record how a step ended."""
        self.outstanding.pop(record.step_id, None)
        self.finished[record.step_id] = record
        if self.fans and record.step_id in self.fans:
            self.fans = {name: fan for name, fan in self.fans.items() if name != record.step_id}
        steps, prefix = self.pattern.steps, self.prefix
        while prefix < len(steps) and steps[prefix].id in self.finished:
            prefix += 1
        self.prefix = prefix

    def command(
        self, step_id: str, attempt: int, waiting: bool, started_at_ms: int, due_at_ms: int, lost: bool = False
    ) -> Outstanding:
        """Remember a command under way, and by which event; equal ones share one object."""
        due_at_ms = min(due_at_ms, self.deadline_at_ms)
        key = (attempt, waiting, started_at_ms, due_at_ms, lost)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = Outstanding(attempt, waiting, started_at_ms, due_at_ms, self.origin, lost)
        self.outstanding[step_id] = shared
        self.remind(due_at_ms)
        return shared

    def remind(self, due_at_ms: int) -> None:
        """Make sure a timer fires then, or earlier."""
        if self._earliest_ms == 0 or due_at_ms < self._earliest_ms:
            self._earliest_ms = due_at_ms

    def queue(self) -> Execution:
        """Return the execution as it waits until there is room for it."""
        self.queued_at_ms = self.at_ms
        return self.close(Status.QUEUED)

    def leave_queue(self) -> None:
        """Count the time spent queued, if it was."""
        if self.before.status == Status.QUEUED:
            self.queued_ms = self.before.queued_ms + self.at_ms - self.queued_at_ms

    def close(self, status: Status, rearm: bool = False) -> Execution:
        """Return the running execution after the event; adds the timer it needs to the emits.

        Args:
            status: after the event.
            rearm: the timer that was armed has fired, so a new one is needed in any case.
        """
        timer_at_ms, timer_origin = self.before.timer_at_ms, self.before.timer_origin
        if rearm:
            self.remind(self._next_due_at_ms())
        if self._earliest_ms and (rearm or timer_at_ms == 0 or self._earliest_ms < timer_at_ms):
            timer_at_ms, timer_origin = self._earliest_ms, self.origin
            self.emits.append(StartTimer(timer_at_ms))
        return self._execution(status, timer_at_ms, timer_origin)

    def end(self, status: Status, error: ErrorBody | None, digest: str) -> Execution:
        """Return the execution as this event ended it."""
        self.leave_queue()
        self.outstanding = {}
        self.parked = None
        self.ending = None
        self.fans = {}
        self.error = error
        return self._execution(status, 0, "", digest, self.at_ms, self.origin)

    def _next_due_at_ms(self) -> int:
        due = [self.deadline_at_ms, *(command.due_at_ms for command in self.outstanding.values())]
        return min(due) if self.parked is None else min(*due, self.parked.until_ms)

    def _execution(
        self,
        status: Status,
        timer_at_ms: int,
        timer_origin: str,
        digest: str | None = None,
        finished_at_ms: int | None = None,
        origin: str | None = None,
    ) -> Execution:
        before = self.before
        page_ends, tail_bytes = paged(self.admission, self.finished, before)
        return Execution(
            before.execution_id,
            before.tenant,
            before.user_id,
            status,
            before.started_at_ms,
            self.admission,
            self.resolution,
            self.pins,
            self.parked,
            self.outstanding,
            self.finished,
            self.resolve_record,
            self.resolve_attempt_min,
            self.resolve_rounds,
            self.gate_until_ms,
            self.prefix,
            timer_at_ms,
            timer_origin,
            page_ends,
            tail_bytes,
            self.error,
            digest,
            finished_at_ms,
            origin,
            False,
            self.admission.request_sha256,
            self.pins_json,
            ending=self.ending,
            fans=self.fans,
            queued_at_ms=self.queued_at_ms,
            queued_ms=self.queued_ms,
        )


def pins_bytes(pins: Pins) -> bytes:
    """Return the canonical bytes of pins, as digests take them."""
    return canonical_bytes(pins.model_dump(mode="json"))


def items(admission: Admission, finished: Mapping[str, StepRecord], start: int) -> Iterator[bytes]:
    """Yield the encoded items from index `start` on: the admission first, then records as they were settled.

    Cost: O(items yielded), however many came before them.
    """
    if start == 0:
        yield admission.encoded
    records: Any = finished.values()
    newest = len(finished) - max(0, start - 1)
    for record in reversed(tuple(islice(reversed(records), newest))):
        yield record.encoded


def paged(admission: Admission, finished: Mapping[str, StepRecord], before: Execution) -> tuple[tuple[int, ...], int]:
    """Return where the pages end and how many bytes are left for the header.

    The rest is spilled as one page as soon as it is too long for the header, so a page is written once and the cost
    of an event does not depend on how much came before it.
    """
    known = 0 if before.admission is None else 1 + len(before.finished)
    new = 1 + len(finished) - known
    tail_bytes = before.tail_bytes
    if new == 1 and known:
        values: Any = finished.values()
        tail_bytes += len(next(reversed(values)).encoded) + 1
    elif new:
        tail_bytes += sum(len(item) + 1 for item in items(admission, finished, known))
    if tail_bytes <= TAIL_BYTES_MAX:
        return before.page_ends, tail_bytes
    return (*before.page_ends, 1 + len(finished)), 0
