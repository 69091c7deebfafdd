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
        # One caller's time limit must not cancel the work of the others.
        return await asyncio.shield(self._running.get(key) or self._begin(key, compute))

    def expect(self, key: Hashable, compute: Callable[[], Awaitable[_Value]]) -> None:
        """Begin to compute what will be asked for soon; a failure is left for whoever asks to meet again."""
        if key not in self._known and key not in self._running:
            self._begin(key, compute)

    def _begin(self, key: Hashable, compute: Callable[[], Awaitable[_Value]]) -> asyncio.Task[_Value]:
        task = self._running[key] = asyncio.ensure_future(self._compute(key, compute))
        task.add_done_callback(lambda done: self._settled(key, done))
        return task

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
