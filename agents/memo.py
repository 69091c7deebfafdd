"""Results of pinned, immutable questions, kept in the process: each is worked out once, also when asked in parallel."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Memo(Generic[_Value]):
    """An LRU whose misses are computed by one task that all who ask wait for.

    Args:
        entries_max: values kept.
    """

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._known: OrderedDict[Hashable, _Value] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[_Value]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[_Value]]) -> _Value:
        """Return the value of a key, computing it at most once at a time; failures are not kept."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(self._compute(key, compute))
            self._running[key] = task
            task.add_done_callback(lambda done: self._settled(key, done))
        # One caller's time limit must not cancel the work of the others.
        return await asyncio.shield(task)

    async def _compute(self, key: Hashable, compute: Callable[[], Awaitable[_Value]]) -> _Value:
        value = await compute()
        self._known[key] = value
        while len(self._known) > self._entries_max:
            self._known.popitem(last=False)
        return value

    def _settled(self, key: Hashable, done: asyncio.Task[_Value]) -> None:
        self._running.pop(key, None)
        if not done.cancelled():
            done.exception()  # taken here too, in case everyone who waited has gone
