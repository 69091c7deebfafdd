"""The newest results in memory, so that a client that was away for a moment needs no database.

Bounded by number and bytes; what falls out is in Postgres by then, or will be when the projector has caught up.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence, Set

from gateway.bridge.result import Owner, Result

COUNT_MAX = 20_000
BYTES_MAX = 64 * 1024 * 1024


class Window:
    """Results by owner, oldest first.

    Attributes:
        starts: by partition, the first offset from which on every result is here.
        ends: by partition, the offset after the last result that was seen.
    """

    def __init__(self, ends: Sequence[int], count_max: int = COUNT_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.starts = list(ends)
        self.ends = list(ends)
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._all: deque[Result] = deque()
        self._by_owner: defaultdict[Owner, deque[Result]] = defaultdict(deque)
        self._bytes = 0

    def add(self, result: Result) -> None:
        """Take in a result; the oldest ones go when there are too many."""
        self._all.append(result)
        self._by_owner[result.owner].append(result)
        self._bytes += len(result.value)
        self.ends[result.partition] = max(self.ends[result.partition], result.offset + 1)
        while len(self._all) > self._count_max or (self._bytes > self._bytes_max and len(self._all) > 1):
            self._drop()

    def covers(self, offsets: Sequence[int]) -> bool:
        """Whether every result from these offsets on is here."""
        return all(offset >= start for offset, start in zip(offsets, self.starts, strict=True))

    def since(self, owner: Owner, offsets: Sequence[int], limit: int) -> list[Result]:
        """Return the owner's results from these offsets on, as they came, at most `limit`."""
        found = []
        for result in self._by_owner.get(owner, ()):
            if result.offset >= offsets[result.partition]:
                found.append(result)
                if len(found) == limit:
                    break
        return found

    def of(self, owner: Owner, execution_ids: Set[str]) -> list[Result]:
        """Return the owner's results of these executions that are here."""
        return [result for result in self._by_owner.get(owner, ()) if result.execution_id in execution_ids]

    def __len__(self) -> int:
        """How many results are here."""
        return len(self._all)

    def _drop(self) -> None:
        oldest = self._all.popleft()
        owned = self._by_owner[oldest.owner]
        owned.popleft()
        if not owned:
            del self._by_owner[oldest.owner]
        self._bytes -= len(oldest.value)
        self.starts[oldest.partition] = max(self.starts[oldest.partition], oldest.offset + 1)
