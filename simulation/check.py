"""What must hold after every event of a run. The first thing that does not ends the run.

Looked at are the log as anybody can read it, and the memory of the worker that owns a partition. Rows are read here
with a decoder of their own (JSON, eight bytes of prefix); the engine is only asked to fold events again, to see that
replay equals live.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka.partitioner import murmur2

from orchestrator.events import Event as Fact
from orchestrator.execution import Execution, Status
from orchestrator.machine import advance, cut
from orchestrator.rows import encode_rows
from simulation.log import Cause, Record
from simulation.loop import Process
from streams.durable.fence import epoch_of
from topics.messages import CapabilityResult, ExecuteRequest, TimerFired
from topics.table import (
    CAPABILITY_RESULTS,
    DEAD_LETTERS,
    EXECUTION_REQUESTS,
    EXECUTION_RESULTS,
    EXECUTION_SIGNALS,
    STATE_CHANGELOG,
)

if TYPE_CHECKING:
    from simulation.orchestrator import Event, Orchestrator
    from simulation.world import World

_PREFIX = 8
_ID = 36
_TERMINAL = frozenset({"succeeded", "failed", "rejected", "cancelled", "timed_out"})
_OWNED_TOPICS = frozenset({CAPABILITY_RESULTS, EXECUTION_SIGNALS, EXECUTION_RESULTS, STATE_CHANGELOG})
_LETTERS = {EXECUTION_REQUESTS: "r", CAPABILITY_RESULTS: "c", EXECUTION_SIGNALS: "s"}
# When a timer's signal did not settle what is due, the processor looks again so much later, by its own clock.
_LOOK_AGAIN_MS = 5_000 + 500
_ONCE = (ExecuteRequest, CapabilityResult)


class Broken(BaseException):
    """An invariant does not hold. No `except Exception` of a worker catches it.

    Attributes:
        invariant: its name.
        key: execution it is about, if it is about one.
    """

    def __init__(self, invariant: str, text: str, key: bytes | None = None) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text
        self.key = key


@dataclass(slots=True)
class _Row:
    """The row of a key that survives: the one with the highest prefix."""

    prefix: bytes
    payload: bytes | None
    owner: int


@dataclass(slots=True)
class _Replica:
    """One execution as folding its events again from nothing gives it."""

    state: Execution | None = None
    origins: set[str] = field(default_factory=set)


class Check:
    """The invariants of one run.

    Args:
        world: that is looked at.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._rows: list[dict[bytes, _Row]] = [{} for _ in range(world.plan.partitions)]
        self._homes: dict[bytes, int] = {}
        self._take_overs = 0
        self._owner: dict[tuple[Process, int], int] = {}
        self._newest = [0] * world.plan.partitions
        self._replicas: dict[bytes, _Replica] = {}
        self._done: set[tuple[str, int, int]] = set()
        self._signals: dict[bytes, set[int]] = {}
        self.results: dict[str, bytes] = {}
        self.folds = 0

    def _broken(self, invariant: str, text: str, key: bytes | None = None) -> Broken:
        error = Broken(invariant, text, key)
        self._world.halt(error)
        return error

    # --- the log -------------------------------------------------------------------------------------------------

    def appended(self, record: Record) -> None:
        """Look at a record that has just been appended."""
        topic, key = record.topic, record.key
        if topic in _OWNED_TOPICS and record.writer is not None and key is not None and not key.startswith(b"@"):
            home = self._home(key[:_ID])
            if record.partition != home:
                raise self._broken("answers on the owner partition", f"{_at(record)}, {key!r} lives on {home}", key)
        if topic == STATE_CHANGELOG:
            self._row(record)
        elif topic == EXECUTION_RESULTS:
            self._result(record)

    def _home(self, key: bytes) -> int:
        home = self._homes.get(key)
        if home is None:
            home = self._homes[key] = (murmur2(key) & 0x7FFFFFFF) % self._world.plan.partitions
        return home

    def _row(self, record: Record) -> None:
        key, partition, writer = record.key, record.partition, record.writer
        assert key is not None
        assert writer is not None
        epoch = epoch_of(_prefix(record))
        if key.startswith(b"@"):
            self._take_overs += 1
            self._owner[writer, partition] = self._take_overs
            # Also one that is overtaken while its marker is on its way: nothing of those before it counts any more.
            self._newest[partition] = max(self._newest[partition], epoch)
        elif epoch < self._newest[partition]:
            # The owner does not know it and folds its event itself; whoever comes next must not know it either.
            self._rank(record)
        else:
            self._survives(record)

    def _rank(self, record: Record) -> tuple[_Row | None, _Row]:
        """Return the row that survives so far and the one that a record makes; see that their ranks are right."""
        key, partition, writer = record.key, record.partition, record.writer
        assert key is not None
        assert writer is not None
        prefix = _prefix(record)
        payload = None if record.value is None else record.value[_PREFIX:]
        owner = self._owner.get((writer, partition), 0)
        known = self._rows[partition].get(key)
        if known is not None and known.owner != owner:
            if owner < known.owner and prefix >= known.prefix:
                raise self._broken(
                    "former owners' rows do not survive", f"{writer.name} overwrote {_at(record)}", key[:_ID]
                )
            if owner > known.owner and prefix <= known.prefix:
                raise self._broken(
                    "versions never regress", f"{writer.name}'s row ranks below its predecessor's", key[:_ID]
                )
        elif known is not None and prefix <= known.prefix:
            raise self._broken("versions never regress", f"{writer.name} wrote {prefix.hex()} twice", key[:_ID])
        return known, _Row(prefix, payload, owner)

    def _survives(self, record: Record) -> None:
        """Take a record into the rows that survive, unless a newer owner's is there."""
        key = record.key
        assert key is not None
        known, row = self._rank(record)
        if known is not None and row.owner < known.owner:
            return
        self._rows[record.partition][key] = row
        if len(key) == _ID:
            self._header(record, key, None if known is None else known.payload, row.payload)

    def _header(self, record: Record, key: bytes, before: bytes | None, payload: bytes | None) -> None:
        if payload is None:
            self._replicas.pop(key, None)
            return
        head = orjson.loads(payload)
        rows = self._rows[record.partition]
        for number in range(head.get("pages", (0, 0))[0]):
            page = rows.get(key + b"/%d" % number)
            if page is None or page.payload is None:
                raise self._broken(
                    "header last", f"the header of {key.decode()} lists page {number}, which is not there", key
                )
        if payload != before:
            self._fold(record.cause, key, head, payload, rows)

    def _fold(
        self, cause: Cause | None, key: bytes, head: dict[str, Any], payload: bytes, rows: dict[bytes, _Row]
    ) -> None:
        """Fold the event that made a row once more, onto what folding all before it gave, and compare every byte."""
        replica = self._replicas.setdefault(key, _Replica())
        if head.get("cut"):
            assert replica.state is not None
            made = encode_rows(replica.state, cut(replica.state))
            replica.state = cut(replica.state)
        else:
            if cause is None or cause.fact is None:
                raise self._broken(
                    "replay equals live", f"a row of {key.decode()} was written though no event was folded", key
                )
            record, fact = cause.record, cause.fact
            origin = f"{_LETTERS[record.topic]}:{record.offset}"
            if isinstance(fact.message, _ONCE):
                if origin in replica.origins:
                    raise self._broken("no event is folded twice", f"{origin} changed {key.decode()} again", key)
                replica.origins.add(origin)
            again = Fact(fact.message, record.timestamp, origin, fact.full)
            pattern = self._world.patterns.by_digest(head["p"]) if head.get("p") else None
            decision = advance(replica.state, again, pattern, self._world.limits)
            self.folds += 1
            if decision.state is None:
                raise self._broken("replay equals live", f"{origin} changes nothing when it is folded again", key)
            if isinstance(fact.message, TimerFired) and replica.state is not None:
                due = replica.state.next_due_at_ms()
                if due is not None and record.timestamp < due:
                    raise self._broken(
                        "early timers change nothing", f"{origin} came {due - record.timestamp} ms early", key
                    )
            made = encode_rows(replica.state, decision.state)
            replica.state = decision.state
        for suffix, expected in made:
            if suffix and head.get("cut"):
                # Of a big one the header is written first, so that no header lists lost pages.
                continue
            row = rows.get(key + suffix)
            if (None if row is None else row.payload) != expected:
                name = suffix.decode() or "header"
                got = None if row is None else row.payload
                raise self._broken("replay equals live", f"{name} of {key.decode()}: {_differ(expected, got)}", key)

    def _result(self, record: Record) -> None:
        key = record.key
        assert key is not None
        assert record.value is not None
        name = key.decode()
        if self.results.setdefault(name, record.value) != record.value:
            raise self._broken(
                "one distinct result", f"{name} has two: {_differ(self.results[name], record.value)}", key
            )
        row = self._rows[record.partition].get(key)
        if row is None or row.payload is None:
            if b"REQUEST_CONFLICT" in record.value:
                return
            raise self._broken("no result before durable state", f"the result of {name} is out, no row of it is", key)
        if orjson.loads(row.payload)["s"] not in _TERMINAL:
            raise self._broken(
                "no result before durable state", f"the result of {name} is out, its row is not terminal", key
            )

    # --- the workers ---------------------------------------------------------------------------------------------

    def acknowledged(self, worker: "Orchestrator", event: "Event") -> None:
        """Look at a record that is about to be acknowledged."""
        cause = event.cause
        for sending in cause.sent:
            # Signals are not waited for: rows tell the next owner to send them.
            if not sending.confirmed and sending.topic != EXECUTION_SIGNALS:
                raise self._broken("no ack before confirm", f"{_at(cause.record)}: {sending.topic} is not confirmed")
        self._done.add((cause.record.topic, cause.record.partition, cause.record.offset))

    def committed(self, group: str, place: tuple[str, int], before: int, after: int) -> None:
        """Look at an offset that is about to be committed."""
        if group != self._world.orchestrators_group:
            return
        topic, partition = place
        for offset in range(before, after):
            if (topic, partition, offset) not in self._done:
                raise self._broken(
                    "no event is lost", f"{topic}/{partition}: {after} is committed, {offset} was not handled"
                )

    def taken_over(self, worker: "Orchestrator", partitions: frozenset[int]) -> None:
        """Compare what a new owner recovered with what survives in the log.

        One that slept through the group's next deal after its marker was appended wakes up with older rows; what it
        writes ranks below its successor's.
        """
        owners = self._world.groups[self._world.orchestrators_group].owners
        partitions = frozenset(each for each in partitions if owners.get(each) is worker)
        data, number = worker.table.store.data, worker.table.store.partition_of
        for partition in partitions:
            for key, row in self._rows[partition].items():
                got = data.get(key)
                if (None if got is None else got[:_PREFIX]) != (None if row.payload is None else row.prefix):
                    raise self._broken(
                        "recovery gives what survives",
                        f"{worker.process.name}, {key!r}: {_differ(row.payload, got and got[_PREFIX:])}",
                        key[:_ID],
                    )
        for key in data:
            if key not in self._rows[number(key) or 0]:
                raise self._broken(
                    "recovery gives what survives", f"{worker.process.name} has {key!r}, which nobody wrote"
                )

    def handled(self, worker: "Orchestrator", event: "Event") -> None:
        """Look at the execution an event was about, in its owner's memory."""
        fact = event.cause.fact
        if fact is None or not worker.process.alive:
            return
        partition = event.message.partition
        if not worker.table.owns(partition):
            return
        key = event.cause.key
        processor = worker.processor
        raw = worker.table.store.data.get(key)
        if raw is None:
            return
        execution = processor._rows.load(key)
        if execution is None or execution.admission is None or execution.is_terminal:
            return
        self._timer(processor, key, execution)
        if execution.status is Status.WAITING_FOR_PACK:
            self._gate(worker, key, execution)
        elif execution.status is Status.QUEUED:
            flow = processor.flow.of(partition)
            if key not in flow._starting and key not in flow._queues.get(execution.tenant, ()):
                raise self._broken(
                    "nobody queued is forgotten", f"{key.decode()} is queued, its owner does not know", key
                )

    def _timer(self, processor: Any, key: bytes, execution: Execution) -> None:
        due = execution.next_due_at_ms()
        armed = processor._timers.due_at_ms(key)
        if due is not None and (armed is None or armed > max(due, self._world.log.now_ms()) + _LOOK_AGAIN_MS):
            raise self._broken(
                "timers exist for everything outstanding", f"{key.decode()}: due {due}, armed {armed}", key
            )

    def _gate(self, worker: "Orchestrator", key: bytes, execution: Execution) -> None:
        assert execution.parked is not None
        processor = worker.processor
        pack_id = execution.parked.pack_id
        news = processor.freshness.news(pack_id)
        if news is None:
            if key not in processor.freshness._parked.get(pack_id, ()):
                raise self._broken(
                    "nothing parked with an open gate", f"{key.decode()} waits, nobody watches {pack_id}", key
                )
        elif not worker.opening and (worker.process.name, key, str(news.pack_id)) not in self._world.gates_opened:
            text = f"{key.decode()} waits for {pack_id}, {news} is known, and no signal is under way"
            raise self._broken("nothing parked with an open gate", text, key)

    def all_committed(self) -> bool:
        """Tell whether every record of the source topics is committed."""
        return all(committed == end for _, _, committed, end in self._offsets())

    def _offsets(self) -> list[tuple[str, int, int, int]]:
        """Return topic, partition, committed offset and end of each source partition."""
        world = self._world
        committed = world.log.committed[world.orchestrators_group]
        return [
            (topic, partition, committed.get((topic, partition), 0), len(world.log.topics[topic][partition]))
            for topic in _LETTERS
            for partition in range(world.plan.partitions)
        ]

    def finished(self) -> None:
        """Look at everything once more when the run has come to rest."""
        world = self._world
        for topic, partition, committed, end in self._offsets():
            if committed != end:
                raise self._broken(
                    "no event is lost", f"{topic}/{partition}: committed {committed} of {end} at the end"
                )
        letters = {record.headers for log in world.log.topics[DEAD_LETTERS] for record in log}
        reasons = [dict(headers) for headers in letters]
        unexpected = [each for each in reasons if each["dlq-stage"] != b"decode"]
        if unexpected:
            raise self._broken("no unexpected dead letters", f"{unexpected[0]}")
        if len(letters) != world.garbage:
            raise self._broken(
                "every undecodable record is a dead letter", f"expected {world.garbage}, got {len(letters)}"
            )


def _differ(expected: bytes | None, got: bytes | None) -> str:
    """Return where two values begin to differ, and how."""
    if expected is None or got is None:
        return f"expected {(expected or b'nothing')[:80]!r}, got {(got or b'nothing')[:80]!r}"
    shorter = min(len(expected), len(got))
    place = next((i for i in range(shorter) if expected[i] != got[i]), shorter)
    begin, end = max(0, place - 60), place + 100
    return f"expected …{expected[begin:end]!r}, got …{got[begin:end]!r} at byte {place}"


def _prefix(record: Record) -> bytes:
    return record.value[:_PREFIX] if record.value is not None else dict(record.headers)["fence"]


def _at(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
