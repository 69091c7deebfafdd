"""How every execution under way stands, read from the orchestrator's state changelog: progress is state.

No message is sent for progress. Whoever shows it follows the compacted changelog on its own, as the orchestrator does
at recovery, and keeps the rows of executions that have not ended; of those that have, the last few thousand. A watcher
that is slow misses states in between, never the present one.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from orchestrator.execution import TERMINAL, Status
from orchestrator.pattern import CompiledPattern
from orchestrator.rows import HEADER, RowsDamaged, decode_rows
from orchestrator.view import ExecutionView, view_of
from settings import Settings
from streams.compacted import CompactedReader
from streams.durable.fence import FENCE_HEADER, PREFIX_BYTES
from streams.execution_rows import ID_BYTES
from topics.codec import key_of
from topics.table import STATE_CHANGELOG

log = logging.getLogger(__name__)

_ENDED_KEPT_MAX = 2000
_ENDED_BYTES_MAX = 32 * 1024 * 1024
_WATCH_KEYS_MAX = 10_000
_GATHER_MS = 50
PatternByDigest = Callable[[str], CompiledPattern | None]
Owner = tuple[str, str]


class WatchOverflow(Exception):
    """A watcher is so slow that too many executions have changed since it last looked; start over."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One execution as it stands.

    Attributes:
        version: grows with each change of this execution, also across workers and restarts.
        partition: where the execution lives.
    """

    view: ExecutionView
    version: int
    partition: int

    @property
    def ended(self) -> bool:
        """Whether nothing but its result follows."""
        return self.view.status in TERMINAL


class _Entry:
    """Rows of one execution: header under `HEADER`, pages under their suffixes."""

    __slots__ = ("key", "owner", "partition", "progress", "rows", "started_at_ms", "status", "version")

    def __init__(self, key: bytes, partition: int) -> None:
        self.key = key
        self.partition = partition
        self.rows: dict[bytes, bytes] = {}
        self.version = 0
        self.owner: Owner = ("", "")
        self.status = Status.QUEUED
        self.started_at_ms = 0
        self.progress: Progress | None = None

    @property
    def size(self) -> int:
        """Bytes of its rows; they do not change any more once it has ended."""
        return sum(map(len, self.rows.values()))


class Watch:
    """Changes of executions of one user; close it when done. Use as `with feed.watch(…) as watch`."""

    def __init__(self, feed: "ProgressFeed", owner: Owner, key: bytes | None) -> None:
        self._feed = feed
        self.owner = owner
        self.key = key
        self._changed: dict[bytes, _Entry] = {}
        self._wake = asyncio.Event()
        self._overflow = False

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Watch no longer."""
        self._feed._unwatch(self)

    async def next(self) -> list[Progress]:
        """Return what has changed since the last call, each execution once as it stands now; waits for a change.

        Raises:
            WatchOverflow: more than 10,000 executions changed.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._overflow:
                raise WatchOverflow("too many executions changed since the last look")
            changed, self._changed = self._changed, {}
            found = [progress for entry in changed.values() if (progress := self._feed._progress(entry)) is not None]
            if found:
                return found

    def _notice(self, entry: _Entry) -> None:
        self._changed[entry.key] = entry
        if len(self._changed) > _WATCH_KEYS_MAX:
            self._overflow = True
            self._changed.clear()
        self._wake.set()


class ProgressFeed:
    """Follows the state changelog.

    Args:
        settings: where Kafka is.
        patterns: finds a pattern's version, for steps that were not reached.
        client_id: without prefix.
    """

    def __init__(self, settings: Settings, patterns: PatternByDigest, client_id: str = "progress") -> None:
        self._patterns = patterns
        self._live: dict[bytes, _Entry] = {}
        self._ended: OrderedDict[bytes, _Entry] = OrderedDict()
        self._ended_bytes = 0
        self._by_owner: dict[Owner, dict[bytes, _Entry]] = {}
        self._watches: dict[Owner, set[Watch]] = {}
        self._reader = CompactedReader(settings, STATE_CHANGELOG, client_id, self.on_record, self._gather_ms)

    async def start(self) -> None:
        """Return when every execution under way is known."""
        await self._reader.start()

    async def stop(self) -> None:
        """Stop reading."""
        await self._reader.stop()

    def _gather_ms(self) -> int | None:
        # With nobody watching, a fetch for each step of each execution would be most of what this reader costs.
        return None if self._watches else _GATHER_MS

    def __len__(self) -> int:
        """How many executions are under way."""
        return len(self._live)

    def counts(self) -> dict[Status, int]:
        """How many executions under way have each status; a cancel whose request has not come is none."""
        found: dict[Status, int] = {}
        for entry in self._live.values():
            if entry.status is Status.CANCELLED_EARLY:
                continue
            found[entry.status] = found.get(entry.status, 0) + 1
        return found

    def get(self, tenant: str, user_id: UUID, execution_id: str | UUID) -> Progress | None:
        """Return how an execution stands; None if it is not known (any more) or somebody else's."""
        entry = self._entry(execution_id)
        if entry is None or entry.owner != (tenant, str(user_id)):
            return None
        return self._progress(entry)

    def find(self, execution_id: str | UUID) -> Progress | None:
        """Return how an execution stands, whosever it is: for operators' tools, never to answer a user."""
        entry = self._entry(execution_id)
        return None if entry is None else self._progress(entry)

    def of_user(self, tenant: str, user_id: UUID) -> Iterator[Progress]:
        """Yield the user's executions under way, and those that ended a moment ago, the last started first."""
        owner = (tenant, str(user_id))
        entries = [*self._by_owner.get(owner, {}).values()]
        entries += [entry for entry in self._ended.values() if entry.owner == owner]
        return self._last_started_first(entries)

    def of_all(self) -> Iterator[Progress]:
        """Yield the same of all users: for operators' tools, never to answer a user."""
        return self._last_started_first([*self._live.values(), *self._ended.values()])

    def watch(self, tenant: str, user_id: UUID, execution_id: str | UUID | None = None) -> Watch:
        """Watch one execution of a user, or all; what is under way now counts as changed."""
        owner = (tenant, str(user_id))
        key = None if execution_id is None else key_of(execution_id)
        watch = Watch(self, owner, key)
        self._watches.setdefault(owner, set()).add(watch)
        if key is None:
            for entry in self._by_owner.get(owner, {}).values():
                watch._notice(entry)
        else:
            entry = self._live.get(key) or self._ended.get(key)
            if entry is not None and entry.owner == owner:
                watch._notice(entry)
        return watch

    async def on_record(self, record: Any) -> None:
        """Fold one record of the changelog.

        Raises:
            RowsDamaged: a header that is none.
        """
        key: bytes = record.key or b""
        if len(key) < ID_BYTES or key.startswith(b"@"):
            return
        name, suffix = key[:ID_BYTES], key[ID_BYTES:]
        version = _version(record)
        if suffix.startswith(b"/"):
            self._page(name, suffix, record, version)
        elif suffix == HEADER:
            if record.value is None:
                self._forget(name, version)
            else:
                self._header(name, record, version)

    def _page(self, name: bytes, suffix: bytes, record: Any, version: int) -> None:
        entry = self._live.get(name)
        if entry is None:
            if record.value is None or name in self._ended:
                return
            # Its header comes next.
            entry = self._live[name] = _Entry(name, record.partition)
        if version < entry.version:
            return
        if record.value is None:
            entry.rows.pop(suffix, None)
        else:
            entry.rows[suffix] = record.value[PREFIX_BYTES:]

    def _header(self, name: bytes, record: Any, version: int) -> None:
        payload = record.value[PREFIX_BYTES:]
        head = _parsed(payload)
        ended = self._ended.get(name)
        if ended is not None:
            if version > ended.version:
                ended.version = version
            return
        entry = self._live.get(name)
        if entry is None:
            entry = self._live[name] = _Entry(name, record.partition)
        if version <= entry.version:
            return
        entry.version = version
        entry.rows[HEADER] = payload
        entry.progress = None
        entry.status = Status(head["s"])
        entry.started_at_ms = head["at"]
        owner = (head["t"], head["u"])
        if entry.owner != owner:
            # A stranger's cancel may come first; what begins later is its owner's alone.
            self._disown(entry)
            entry.owner = owner
            self._by_owner.setdefault(owner, {})[name] = entry
        if entry.status in TERMINAL:
            self._end(entry)
        for watch in self._watches.get(owner, ()):
            if watch.key is None or watch.key == name:
                watch._notice(entry)

    def _end(self, entry: _Entry) -> None:
        self._drop(entry)
        self._ended[entry.key] = entry
        self._ended_bytes += entry.size
        while len(self._ended) > _ENDED_KEPT_MAX or self._ended_bytes > _ENDED_BYTES_MAX:
            _, oldest = self._ended.popitem(last=False)
            self._ended_bytes -= oldest.size

    def _forget(self, name: bytes, version: int) -> None:
        entry = self._live.get(name)
        if entry is not None and version > entry.version:
            self._drop(entry)
        ended = self._ended.get(name)
        if ended is not None and version > ended.version:
            del self._ended[name]
            self._ended_bytes -= ended.size

    def _drop(self, entry: _Entry) -> None:
        self._live.pop(entry.key, None)
        self._disown(entry)

    def _disown(self, entry: _Entry) -> None:
        mine = self._by_owner.get(entry.owner)
        if mine is not None:
            mine.pop(entry.key, None)
            if not mine:
                del self._by_owner[entry.owner]

    def _unwatch(self, watch: Watch) -> None:
        watches = self._watches.get(watch.owner)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[watch.owner]

    def _entry(self, execution_id: str | UUID) -> _Entry | None:
        key = key_of(execution_id)
        return self._live.get(key) or self._ended.get(key)

    def _last_started_first(self, entries: list[_Entry]) -> Iterator[Progress]:
        for entry in sorted(entries, key=lambda entry: (-entry.started_at_ms, entry.key)):
            progress = self._progress(entry)
            if progress is not None:
                yield progress

    def _progress(self, entry: _Entry) -> Progress | None:
        if entry.progress is None:
            try:
                execution = decode_rows(entry.rows)
            except RowsDamaged as error:
                log.warning("rows that cannot be shown: %s", error, extra={"execution_id": entry.key.decode()})
                return None
            if execution is None:
                return None
            digest = execution.pattern_digest
            view = view_of(execution, self._patterns(digest) if digest else None)
            entry.progress = Progress(view, entry.version, entry.partition)
        return entry.progress


def _version(record: Any) -> int:
    if record.value is not None:
        return int.from_bytes(record.value[:PREFIX_BYTES], "big")
    for name, value in record.headers or ():
        if name == FENCE_HEADER and value is not None:
            return int.from_bytes(value, "big")
    return (1 << 64) - 1


def _parsed(payload: bytes) -> dict[str, Any]:
    try:
        head = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise RowsDamaged(f"expected JSON: {error}") from None
    if not isinstance(head, dict) or not {"s", "t", "u", "at"} <= head.keys():
        raise RowsDamaged("expected a header row")
    return head
