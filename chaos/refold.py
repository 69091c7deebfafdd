"""Replay equals live: fold the events of the topics again, from nothing, and compare every row with the changelog's.

The rows of an execution stand in the changelog in the order in which its events were folded. Each is made again from
the row before it (as this replay has it) and one record of the source topics; it must come out byte for byte. The
record is looked for among those of the execution that were not folded yet; records that change nothing (duplicates,
late answers, early timers) make no row and are passed over. Only a signal may count twice: after a crash it is
delivered again, and a timer then also ends what an answer folded meanwhile had begun, whose time is over as well. A
row that no record makes is a difference: state that the log of events does not explain. Pure but for the patterns it
is given.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.checker import ID_BYTES, PREFIX_BYTES, late_places
from chaos.reading import Record
from orchestrator.events import Event
from orchestrator.execution import Execution
from orchestrator.limits import Limits
from orchestrator.machine import advance, cut
from orchestrator.pattern import CompiledPattern
from orchestrator.registry import PatternRegistry
from orchestrator.rows import HEADER, encode_rows
from topics.codec import Undecodable, decode, execution_id_of
from topics.messages import CancelExecution, CapabilityResult, ExecuteRequest, GateOpened, StartExecution, TimerFired
from topics.table import CAPABILITY_RESULTS, EXECUTION_REQUESTS, EXECUTION_SIGNALS

_LETTERS = {EXECUTION_REQUESTS: "r", CAPABILITY_RESULTS: "c", EXECUTION_SIGNALS: "s"}
_KINDS = (ExecuteRequest, CapabilityResult, TimerFired, GateOpened, CancelExecution, StartExecution)


@dataclass(slots=True)
class Refolded:
    """What the replay found.

    Attributes:
        executions: with at least one row.
        rows: header rows that were made again, byte for byte.
        repeated: rows that say what the row before them says: written again by a new owner.
        outranked: rows of a former owner, appended after its successor's marker; they do not count.
        differences: one line for each row no event makes.
    """

    executions: int = 0
    rows: int = 0
    repeated: int = 0
    outranked: int = 0
    differences: list[str] = field(default_factory=list)


def refold(
    events: Iterable[Record], changelog: Sequence[Record], patterns: PatternRegistry, limits: Limits
) -> Refolded:
    """Fold again and compare.

    Args:
        events: records of requests, answers and signals.
        changelog: records of the state table, by partition and offset.
        patterns: those the run had.
        limits: those the run had.
    """
    sources: dict[bytes, list[Event]] = defaultdict(list)
    for record in events:
        try:
            message = decode(record.value, *_KINDS)
        except Undecodable:
            continue
        if isinstance(message, ExecuteRequest):
            key = execution_id_of(message.tenant, message.request_id).encode()
        else:
            key = message.execution_id.encode()  # type: ignore[attr-defined]
        origin = f"{_LETTERS[record.topic]}:{record.offset}"
        sources[key].append(Event(message, record.at_ms, origin))  # type: ignore[arg-type]
    rows: dict[bytes, list[Record]] = defaultdict(list)
    late = late_places(changelog)
    for index, record in enumerate(changelog):
        if index in late:
            continue
        if record.key is not None and len(record.key) >= ID_BYTES and not record.key.startswith(b"@"):
            rows[record.key[:ID_BYTES]].append(record)
    found = Refolded(executions=len(rows), outranked=len(late))
    for key, own in rows.items():
        _Replay(key, sources[key], patterns, limits, found).run(own)
    return found


class _Replay:
    """One execution's replay."""

    def __init__(
        self, key: bytes, events: list[Event], patterns: PatternRegistry, limits: Limits, found: Refolded
    ) -> None:
        self._key = key
        self._events = sorted(events, key=lambda event: event.at_ms)
        self._folded_signals: list[Event] = []
        self._patterns = patterns
        self._limits = limits
        self._found = found
        self._state: Execution | None = None
        self._rows: dict[bytes, bytes] = {}
        self._live: dict[bytes, bytes] = {}

    def run(self, records: Sequence[Record]) -> None:
        """Go through the execution's changelog records in order."""
        for record in records:
            assert record.key is not None
            suffix = record.key[ID_BYTES:]
            if suffix.startswith(b"#"):
                continue
            if record.value is None:
                # Forgotten after its retention, which no event does: nothing of it is compared any more.
                if suffix == HEADER:
                    self._state, self._rows, self._live = None, {}, {}
                continue
            payload = record.value[PREFIX_BYTES:]
            self._live[suffix] = payload
            if suffix == HEADER:
                self._compare(record, payload)

    def _compare(self, record: Record, header: bytes) -> None:
        if self._rows.get(HEADER) == header:
            self._found.repeated += 1
            return
        state = self._state
        if state is not None and state.is_terminal and dict(encode_rows(state, cut(state)))[HEADER] == header:
            self._state = cut(state)
            self._rows = {HEADER: header}
            self._found.rows += 1
            return
        for event in (*self._events, *self._folded_signals):
            for full in (False, True):
                made = self._made(event, full)
                if made is not None and made[1].get(HEADER) == header and self._pages_equal(made[1]):
                    self._state, self._rows = made
                    self._fold(event)
                    self._found.rows += 1
                    return
        where = f"{record.partition}/{record.offset}"
        self._found.differences.append(f"{self._key.decode()}: no event makes the row at {where}: {header[:200]!r}")
        # Nothing after it can be compared, since each row is made from the one before.
        self._events, self._folded_signals = [], []

    def _fold(self, event: Event) -> None:
        if event in self._events:
            self._events.remove(event)
            if isinstance(event.message, (TimerFired, GateOpened, StartExecution)):
                self._folded_signals.append(event)

    def _made(self, event: Event, full: bool) -> tuple[Execution, dict[bytes, bytes]] | None:
        try:
            decision = advance(
                self._state, Event(event.message, event.at_ms, event.origin, full), self._pattern(event), self._limits
            )
        except Exception:
            # Not this event: it does not fit the state the row was made from.
            return None
        after = decision.state
        if after is None:
            return None
        rows = dict(self._rows)
        for suffix, payload in encode_rows(self._state, after):
            if payload is None:
                rows.pop(suffix, None)
            else:
                rows[suffix] = payload
        return after, rows

    def _pages_equal(self, rows: Mapping[bytes, bytes]) -> bool:
        return all(self._live.get(suffix) == payload for suffix, payload in rows.items())

    def _pattern(self, event: Event) -> CompiledPattern | None:
        if self._state is not None and self._state.pattern_digest is not None:
            return self._patterns.by_digest(self._state.pattern_digest, self._state.pattern_versions)
        if isinstance(event.message, ExecuteRequest):
            return self._patterns.newest(event.message.pattern_id)
        return None
