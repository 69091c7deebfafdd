"""Says what a run broke: from what was submitted and what stands in the topics, and from nothing else. Pure.

It shares no state and no rule with the engine: an execution's partition is where its request was appended, its state
is the newest row of the log, and what it must have answered was known before it was asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from chaos.mix import UNDO_S, expected_data
from chaos.reading import Record
from chaos.record import Submission

PREFIX_BYTES = 8
EPOCH_BYTES = 3
ID_BYTES = 36
_TERMINAL = {"succeeded", "failed", "rejected", "cancelled", "timed_out"}
_NAMED_MAX = 20
# After its deadline: for the timer's signal to be folded and the result to be published, also across a failover.
_GRACE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left behind.

    Attributes:
        submissions: confirmed requests.
        results, dead_letters, signals, answers, changelog, requests: records of those topics, by partition and offset.
        effects: idempotency key → how often its effect was done.
        read_at_ms: the broker's time when the topics were read.
    """

    submissions: Sequence[Submission]
    results: Sequence[Record]
    dead_letters: Sequence[Record] = ()
    signals: Sequence[Record] = ()
    answers: Sequence[Record] = ()
    changelog: Sequence[Record] = ()
    requests: Sequence[Record] = ()
    effects: Mapping[str, int] = field(default_factory=dict)
    read_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checker found. Everything in `faults` fails a run.

    Attributes:
        faults: kind → one line for each, in the order of submission.
        submitted: confirmed requests; `resent`: of those, sent more than once.
        statuses: how executions ended; `errors`: with which codes those that did not succeed.
        duplicates: results beyond the first that say the same: allowed.
        late_rows: records of a former owner that came after its successor's first: they do not count.
        pause_s: longest time without a result while executions were under way, and when it began.
    """

    faults: Mapping[str, tuple[str, ...]]
    submitted: int
    resent: int
    statuses: Mapping[str, int]
    errors: Mapping[str, int]
    duplicates: int
    late_rows: int
    pause_s: float
    pause_at_ms: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.faults.values())

    def count(self, kind: str) -> int:
        """Return how many faults of a kind there are."""
        return len(self.faults[kind])

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON; of each kind of fault its number and the first ones by name."""
        return {
            "ok": self.ok,
            "submitted": self.submitted,
            "resent": self.resent,
            **{kind: len(lines) for kind, lines in self.faults.items()},
            "duplicate": self.duplicates,
            "late_rows": self.late_rows,
            "worst_pause_s": self.pause_s,
            "worst_pause_at_ms": self.pause_at_ms,
            "statuses": dict(self.statuses),
            "errors": dict(self.errors),
            "faults": {kind: list(lines[:_NAMED_MAX]) for kind, lines in self.faults.items() if lines},
        }


def check(evidence: Evidence) -> Findings:
    """Return what is wrong, and the counts people ask for."""
    results: dict[str, list[Record]] = defaultdict(list)
    for record in evidence.results:
        results[_text(record.key)].append(record)
    known = {each.execution_id: each for each in evidence.submissions}
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    found: dict[str, list[str]] = {
        kind: []
        for kind in (
            "lost",
            "conflicting",
            "stuck",
            "wrong_answer",
            "wrong_partition",
            "outranked_rows",
            "dead_letters",
            "effects_twice",
            "unasked",
        )
    }
    for each in evidence.submissions:
        records = results.get(each.execution_id, [])
        if not records:
            found["lost"].append(f"{_who(each)}: confirmed at {each.confirmed_at_ms}, no result")
            continue
        distinct = {record.value: record for record in records}
        if len(distinct) > 1:
            places = ", ".join(f"{record.partition}/{record.offset}" for record in distinct.values())
            found["conflicting"].append(f"{_who(each)}: {len(distinct)} different results, at {places}")
        body = orjson.loads(records[0].value or b"{}")
        statuses[body.get("status", "?")] += 1
        if body.get("error"):
            errors[f"{each.pattern_id}: {body['error'].get('code')}"] += 1
        found["wrong_answer"] += _wrong_answer(each, body)
    found["unasked"] = [f"a result for {key}, which nobody asked for" for key in results if key not in known]
    late = late_places(evidence.changelog)
    found["stuck"] = _stuck(evidence, known, late)
    home = {each.execution_id: each.partition for each in evidence.submissions}
    for records in (evidence.results, evidence.signals, evidence.answers, evidence.changelog):
        found["wrong_partition"] += _misplaced(records, home)
    found["outranked_rows"] = _outranked(evidence.changelog, late)
    found["dead_letters"] = [
        f"{_text(letter.key)}: {letter.header('dlq-stage')}: {letter.header('dlq-reason')}"
        for letter in evidence.dead_letters
    ]
    found["effects_twice"] = [f"{key}: done {n} times" for key, n in sorted(evidence.effects.items()) if n > 1]
    pause_s, pause_at_ms = _worst_pause(evidence.submissions, results)
    return Findings(
        faults={kind: tuple(lines) for kind, lines in found.items()},
        submitted=len(evidence.submissions),
        resent=sum(each.tries > 1 for each in evidence.submissions),
        statuses=dict(statuses),
        errors=dict(sorted(errors.items())),
        duplicates=sum(len(records) - len({record.value for record in records}) for records in results.values()),
        late_rows=len(late),
        pause_s=pause_s,
        pause_at_ms=pause_at_ms,
    )


def _wrong_answer(each: Submission, body: Mapping[str, Any]) -> list[str]:
    status = body.get("status")
    if body.get("request_id") != each.request_id:
        return [f"{_who(each)}: answers request {body.get('request_id')}"]
    if status == "cancelled" and not each.cancelled:
        return [f"{_who(each)}: cancelled, but nobody cancelled it"]
    if status != "succeeded":
        return []
    expected = expected_data(each.pattern_id, each.inputs, each.day)
    if expected is None:
        return [f"{_who(each)}: succeeded, though a step of it always fails"]
    if body.get("data") != expected:
        return [f"{_who(each)}: expected {expected}, got {str(body.get('data'))[:200]}"]
    return []


def _stuck(evidence: Evidence, known: Mapping[str, Submission], late: set[int]) -> list[str]:
    """Executions whose newest header row is not terminal although their time is over."""
    newest: dict[str, bytes | None] = {}
    for index, record in enumerate(evidence.changelog):
        if record.key is not None and len(record.key) == ID_BYTES and index not in late:
            newest[_text(record.key)] = record.value
    stuck = []
    for key, value in newest.items():
        if value is None:
            continue
        status = orjson.loads(value[PREFIX_BYTES:]).get("s")
        each = known.get(key)
        if status in _TERMINAL or each is None:
            continue
        ends_ms = each.confirmed_at_ms + round((each.deadline_s + UNDO_S) * 1000) + _GRACE_MS
        if evidence.read_at_ms >= ends_ms:
            stuck.append(f"{_who(each)}: still {status}, {(evidence.read_at_ms - ends_ms) / 1000:.0f} s after its end")
    return stuck


def _misplaced(records: Iterable[Record], home: Mapping[str, int]) -> list[str]:
    found = []
    for record in records:
        owner = home.get(_text(record.key)[:ID_BYTES])
        if owner is not None and owner != record.partition:
            where = f"{record.topic} {record.partition}/{record.offset}"
            found.append(f"{_text(record.key)}: {where}, its request is in partition {owner}")
    return found


def late_places(changelog: Sequence[Record]) -> set[int]:
    """Return the places in the changelog of records whose writer had been succeeded: they do not count."""
    newest: dict[int, bytes] = {}
    late = set()
    for index, record in enumerate(changelog):
        epoch = _prefix(record)[:EPOCH_BYTES]
        if epoch and epoch < newest.get(record.partition, b""):
            late.add(index)
        elif epoch:
            newest[record.partition] = epoch
    return late


def _outranked(changelog: Sequence[Record], late: set[int]) -> list[str]:
    """Name keys whose newest record does not count."""
    last = {(each.partition, each.key): index for index, each in enumerate(changelog) if _prefix(each) and each.key}
    # It may stand last only until the owner's next take-over, which writes the winner again.
    return [
        f"{_text(key)}: partition {partition}, its newest record is one of a former owner"
        for (partition, key), index in last.items()
        if index in late
    ]


def _worst_pause(submissions: Sequence[Submission], results: Mapping[str, Sequence[Record]]) -> tuple[float, int]:
    """Return the longest time without a result while some execution was under way, in seconds, and its begin.

    Executions that may be parked at the gate do not count as under way.
    """
    moments: list[tuple[int, int]] = []
    for each in submissions:
        records = results.get(each.execution_id)
        if records and not each.parks:
            moments += [(each.confirmed_at_ms, 1), (min(record.at_ms for record in records), -1)]
    moments.sort()
    under_way = 0
    since = worst = worst_at = 0
    for at_ms, change in moments:
        if under_way and at_ms - since > worst:
            worst, worst_at = at_ms - since, since
        if change < 0 or not under_way:
            since = at_ms
        under_way += change
    return round(worst / 1000, 2), worst_at


def _prefix(record: Record) -> bytes:
    if record.value is not None:
        return record.value[:PREFIX_BYTES]
    return next((value for key, value in record.headers if key == "fence"), b"")


def _who(each: Submission) -> str:
    return f"{each.execution_id} ({each.request_id}, {each.pattern_id})"


def _text(key: bytes | None) -> str:
    return "" if key is None else key.decode("utf-8", "replace")
