"""State as rows of a keyed, compacted log.

One header row per execution (suffix empty) is the commit record: status, outstanding commands, and the newest items
(the admission, then the settled steps) inline. When those no longer fit in about 4 KiB they are spilled into one page
row (suffix `/0`, `/1`, …) which never changes again. So a small execution costs one row per event, and a large one only
what changed. The header says how many pages it has and is written last: a page no header lists does not exist, and is
written again, with the same bytes, when the event is folded again.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson

from orchestrator.execution import Ending, Execution, Fan, Outstanding, Parked, Status
from orchestrator.items import decode_admission, decode_record
from orchestrator.pattern import RESOLVE_STEP, CompiledPattern
from orchestrator.turn import items, pins_bytes
from topics.messages import ErrorBody, Pins, Resolution

Row = tuple[bytes, bytes | None]
HEADER = b""
_VERSION = 1


class RowsDamaged(ValueError):
    """Rows that do not make an execution; the text says what was expected."""


class RowsNewer(RowsDamaged):
    """Rows in a form that only a newer release knows. They are whole: leave them to it."""


def page_suffix(index: int) -> bytes:
    """Return the suffix of a page's key."""
    return b"/%d" % index


def encode_rows(before: Execution | None, after: Execution) -> tuple[Row, ...]:
    """Return the rows an event writes: new pages, tombstones (None), and the header last.

    Args:
        before: the execution whose rows are stored; None if none are.
        after: the execution to store.

    Cost: O(what changed), plus the header.
    """
    stored = 0 if before is None else len(before.page_ends)
    rows: list[Row] = []
    if after.admission is None:
        rows.extend((page_suffix(index), None) for index in range(stored))
    elif len(after.page_ends) > stored:
        first = after.page_ends[stored - 1] if stored else 0
        new = tuple(items(after.admission, after.finished, first))
        bounds = (first, *after.page_ends[stored:])
        for index, (start, end) in enumerate(pairwise(bounds), stored):
            rows.append((page_suffix(index), b"[%s]" % b",".join(new[start - first : end - first])))
    rows.append((HEADER, _header(after)))
    return tuple(rows)


def tombstones(state: Execution) -> tuple[Row, ...]:
    """Return the rows that forget an execution: its pages, then its header."""
    return (*((page_suffix(index), None) for index in range(len(state.page_ends))), (HEADER, None))


def header_pattern_digest(header: bytes) -> str | None:
    """Return the digest of the pattern an execution runs, from its header row alone."""
    return _parsed(header, dict).get("p")


def header_status(header: bytes) -> Status:
    """Return where an execution stands, from its header row alone."""
    return Status(_parsed(header, dict)["s"])


def page_count(header: bytes) -> int:
    """Return how many pages a header lists."""
    return _parsed(header, dict).get("pages", (0, 0))[0]


def decode_rows(
    rows: Mapping[bytes, bytes], pattern_by_digest: Callable[[str], CompiledPattern | None] | None = None
) -> Execution | None:
    """Return the execution in its rows; None without a header.

    Args:
        rows: suffix → payload; pages the header does not list are ignored.
        pattern_by_digest: if given, the steps in the rows are checked against the pattern they name, when it is known.

    Raises:
        RowsDamaged: a listed page is missing, or a row is not what `encode_rows` wrote.
        RowsNewer: a newer release wrote them.
    """
    header = rows.get(HEADER)
    if header is None:
        return None
    head = _parsed(header, dict)
    version = head.get("v")
    if version != _VERSION:
        kind = RowsNewer if isinstance(version, int) and version > _VERSION else RowsDamaged
        raise kind(f"expected a header of version {_VERSION}, got {version!r}")
    try:
        execution = _execution(head, rows)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, RowsDamaged):
            raise
        raise RowsDamaged(f"expected the rows of one execution: {type(error).__name__}: {error}") from error
    digest = execution.pattern_digest
    pattern = pattern_by_digest(digest) if pattern_by_digest and digest else None
    if pattern is not None:
        _check_steps(execution, pattern)
    return execution


def _check_steps(execution: Execution, pattern: CompiledPattern) -> None:
    for name in (*execution.finished, *execution.outstanding):
        if name != RESOLVE_STEP and pattern.target(name) is None:
            raise RowsDamaged(f"expected steps of {pattern.id}, execution {execution.execution_id} has {name!r}")


def _header(state: Execution) -> bytes:
    head: dict[str, Any] = {
        "v": _VERSION,
        "x": state.execution_id,
        "t": state.tenant,
        "u": state.user_id,
        "s": state.status.value,
        "at": state.started_at_ms,
    }
    optional = {
        "sha": state.request_sha256,
        "end": state.finished_at_ms,
        "origin": state.origin,
        "digest": state.digest,
        "reason": state.reason,
        "cut": state.cut,
    }
    head.update((key, value) for key, value in optional.items() if value)
    if state.error is not None:
        head["err"] = _fragment(state.error)
    if state.admission is None:
        return orjson.dumps(head)
    head["p"] = state.admission.pattern_digest
    head["n"] = [
        state.prefix,
        state.timer_at_ms,
        state.timer_origin,
        state.resolve_attempt_min,
        state.resolve_rounds,
        state.gate_until_ms,
    ]
    if state.pins is not None:
        head["pins"] = _fragment(state.pins)
    if state.parked is not None:
        head["parked"] = [str(state.parked.pack_id), state.parked.until_ms, state.parked.origin]
    if state.ending is not None:
        ending = state.ending
        error = None if ending.error is None else _fragment(ending.error)
        head["ending"] = [ending.status.value, error, ending.until_ms, ending.step, ending.item]
    if state.fans:
        head["fans"] = {
            name: [fan.count, fan.started, fan.settled, fan.started_at_ms] for name, fan in state.fans.items()
        }
    if state.queued_at_ms:
        head["queue"] = [state.queued_at_ms, state.queued_ms]
    if state.resolve_record is not None:
        head["resolve"] = orjson.Fragment(state.resolve_record.encoded)
    if state.outstanding:
        head["out"] = _groups(state.outstanding)
    if state.page_ends:
        # Not where each ends: the header must not grow with what came before.
        head["pages"] = [len(state.page_ends), state.page_ends[-1]]
    start = state.page_ends[-1] if state.page_ends else 0
    tail = b",".join(items(state.admission, state.finished, start))
    return b'%s,"items":[%s]}' % (orjson.dumps(head)[:-1], tail)


def _groups(outstanding: Mapping[str, Outstanding]) -> list[Any]:
    """Return commands with their steps: steps asked for by one event share all but their names.

    Sorted, because the order in memory is another one after they were read from a row.
    """
    groups: dict[int, tuple[Outstanding, list[str]]] = {}
    for name in sorted(outstanding):
        command = outstanding[name]
        groups.setdefault(id(command), (command, []))[1].append(name)
    return [
        [
            command.attempt,
            command.waiting,
            command.started_at_ms,
            command.due_at_ms,
            command.origin,
            names,
            *((True,) if command.lost else ()),
        ]
        for command, names in groups.values()
    ]


def _execution(head: Mapping[str, Any], rows: Mapping[bytes, bytes]) -> Execution:
    error = head.get("err")
    base: dict[str, Any] = {
        "execution_id": head["x"],
        "tenant": head["t"],
        "user_id": UUID(head["u"]),
        "status": Status(head["s"]),
        "started_at_ms": head["at"],
        "request_sha256": head.get("sha"),
        "finished_at_ms": head.get("end"),
        "origin": head.get("origin"),
        "digest": head.get("digest"),
        "reason": head.get("reason", ""),
        "cut": head.get("cut", False),
        "error": None if error is None else _error(error),
    }
    if "items" not in head:
        return Execution(**base)
    every, page_ends = _items(head, rows)
    admission = decode_admission(every[0])
    finished = {item["id"]: decode_record(item) for item in every[1:]}
    resolve = head.get("resolve")
    resolve_record = None if resolve is None else decode_record(resolve)
    pins = None if "pins" not in head else Pins.model_validate_json(orjson.dumps(head["pins"]))
    resolved = resolve_record or finished.get(RESOLVE_STEP)
    prefix, timer_at_ms, timer_origin, resolve_attempt_min, resolve_rounds, gate_until_ms = head["n"]
    parked = head.get("parked")
    queued_at_ms, queued_ms = head.get("queue", (0, 0))
    return Execution(
        **base,
        admission=admission,
        resolution=_resolution(resolved.value) if resolved and resolved.inline else None,
        pins=pins,
        parked=None if parked is None else Parked(UUID(parked[0]), parked[1], parked[2]),
        outstanding=_outstanding(head.get("out", ())),
        finished=finished,
        resolve_record=resolve_record,
        resolve_attempt_min=resolve_attempt_min,
        resolve_rounds=resolve_rounds,
        gate_until_ms=gate_until_ms,
        prefix=prefix,
        timer_at_ms=timer_at_ms,
        timer_origin=timer_origin,
        page_ends=page_ends,
        tail_bytes=sum(len(item) + 1 for item in items(admission, finished, page_ends[-1] if page_ends else 0)),
        pins_json=b"" if pins is None else pins_bytes(pins),
        ending=_ending(head.get("ending")),
        fans={name: Fan(*numbers) for name, numbers in head.get("fans", {}).items()},
        queued_at_ms=queued_at_ms,
        queued_ms=queued_ms,
    )


def _items(head: Mapping[str, Any], rows: Mapping[bytes, bytes]) -> tuple[list[Any], tuple[int, ...]]:
    """Return the items of all pages and the header, and where each page ends."""
    count, end = head.get("pages", (0, 0))
    found: list[Any] = []
    ends: list[int] = []
    for index in range(count):
        page = rows.get(page_suffix(index))
        if page is None:
            raise RowsDamaged(f"expected page {index} of {count} of execution {head['x']}, it is missing")
        found.extend(_parsed(page, list))
        ends.append(len(found))
    if len(found) != end:
        raise RowsDamaged(f"expected {end} items in {count} pages of execution {head['x']}, got {len(found)}")
    found.extend(head["items"])
    if not found:
        raise RowsDamaged(f"expected the admission of execution {head['x']}, found no items")
    return found, tuple(ends)


def _outstanding(groups: Any) -> dict[str, Outstanding]:
    found: dict[str, Outstanding] = {}
    for attempt, waiting, started_at_ms, due_at_ms, origin, names, *lost in groups:
        command = Outstanding(attempt, waiting, started_at_ms, due_at_ms, origin, bool(lost))
        found.update(dict.fromkeys(names, command))
    return found


def _ending(data: Any) -> Ending | None:
    if data is None:
        return None
    status, error, until_ms, step, item = data
    return Ending(Status(status), None if error is None else _error(error), until_ms, step, item)


def _error(data: Any) -> ErrorBody:
    return ErrorBody.model_validate_json(orjson.dumps(data))


def _resolution(value: Any) -> Resolution:
    return Resolution.model_validate_json(orjson.dumps(value))


def _fragment(model: Any) -> orjson.Fragment:
    return orjson.Fragment(model.__pydantic_serializer__.to_json(model, exclude_none=True))


def _parsed(data: bytes, kind: type) -> Any:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RowsDamaged(f"expected JSON: {error}") from None
    if not isinstance(value, kind):
        raise RowsDamaged(f"expected a {kind.__name__}, got {type(value).__name__}")
    return value
