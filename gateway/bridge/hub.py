"""Hands results to the sessions that watch them, and brings sessions that were away up to date.

Everything here runs on one event loop, and each step between two awaits is atomic. A session is *live*, then it is
given what comes, or it has a *position*, then `follow` gives it what lies between that and now: from the window in
memory, or from Postgres where the window does not reach. A live session whose outbox is full gets a position and
follows until it has caught up, so nobody ever waits for a client and no client misses a result.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from gateway.bridge import cursor
from gateway.bridge.outbox import OutboxFull
from gateway.bridge.result import Owner, Result
from gateway.bridge.session import Session
from gateway.bridge.window import Window
from topics.errors import RetryableError

log = logging.getLogger(__name__)

_PAGE = 200
_ENDED_MAX = 100_000
_REACH_S = 5.0
_POLL_S = 0.1
_PROJECTED_S = 30.0
_HISTORY_AT_ONCE = 8
SLOW_S = 10.0


class SlowClient(Exception):
    """A client has made no room for what it should get."""


class HistoryUnavailable(Exception):
    """Older results cannot be read now."""


class History(Protocol):
    """Older results, from Postgres."""

    async def since(self, owner: Owner, offsets: Sequence[int], before: Sequence[int], limit: int) -> Sequence[Result]:
        """Return an owner's results with `offsets[p] <= offset < before[p]` by partition and offset, at most `limit`.

        Raises:
            RetryableError: Postgres does not answer.
        """
        ...

    async def of(self, owner: Owner, execution_ids: Iterable[str]) -> Sequence[Result]:
        """Return an owner's results of these executions, as far as they have ended.

        Raises:
            RetryableError: Postgres does not answer.
        """
        ...

    async def projected(self) -> Sequence[int]:
        """Return by partition up to which offset results are in Postgres.

        Raises:
            RetryableError: Postgres does not answer.
        """
        ...


class Hub:
    """All sessions of one gateway.

    Args:
        window: the newest results.
        history: older results.
        slow_s: how long a client may make no room in a full outbox.
    """

    def __init__(self, window: Window, history: History, slow_s: float = SLOW_S) -> None:
        self._window = window
        self._history = history
        self._slow_s = slow_s
        self._sessions: defaultdict[Owner, set[Session]] = defaultdict(set)
        self._count = 0
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._gate = asyncio.Semaphore(_HISTORY_AT_ONCE)
        self._on_behind: dict[Session, Callable[[], None]] = {}
        self._cursor = cursor.encode(window.ends)

    def __len__(self) -> int:
        """How many sessions there are."""
        return self._count

    def sessions_of(self, owner: Owner) -> int:
        """How many sessions a user has here."""
        return len(self._sessions.get(owner, ()))

    def cursor(self) -> str:
        """Return the cursor of a client that has everything."""
        return self._cursor

    def has_ended(self, execution_id: str) -> bool:
        """Whether an execution's result came by not long ago: a state that is still on its way is out of date."""
        return execution_id in self._ended

    def add(self, session: Session, on_behind: Callable[[], None]) -> None:
        """Take in a session; `on_behind` is called when it stops being live and has to `follow`."""
        self._sessions[session.owner].add(session)
        self._on_behind[session] = on_behind
        self._count += 1

    def remove(self, session: Session) -> None:
        """Forget a session."""
        mine = self._sessions[session.owner]
        mine.discard(session)
        if not mine:
            del self._sessions[session.owner]
        self._on_behind.pop(session, None)
        self._count -= 1

    def result(self, result: Result) -> None:
        """Take in a result, each once, in the order of its partition."""
        before = list(self._window.ends)
        self._window.add(result)
        self._ended[result.execution_id] = None
        if len(self._ended) > _ENDED_MAX:
            self._ended.popitem(last=False)
        at = self._cursor = cursor.encode(self._window.ends)
        for session in tuple(self._sessions.get(result.owner, ())):
            if not session.live or not session.watches(result.execution_id, result.pattern_id):
                continue
            try:
                session.put_result(result, at)
            except OutboxFull:
                self._fall_behind(session, before)

    def _fall_behind(self, session: Session, position: Sequence[int]) -> None:
        session.position = list(position)
        self._on_behind[session]()

    async def follow(self, session: Session) -> None:
        """Give a session every result from its position on, then make it live.

        To a subscription without a cursor the results of executions it names by id are given first, if they have ended.
        Returns early when its subscription has been replaced meanwhile.

        Raises:
            cursor.CursorInvalid: its position is ahead of everything that was published.
            SlowClient: it makes no room.
            HistoryUnavailable: Postgres does not answer, or the projector does not come on.
        """
        generation = session.generation
        if session.position is not None:
            await self._reach(session, generation, session.position)
            if session.named:
                await self._recall(session, generation, session.position)
        while session.generation == generation and (position := session.position) is not None:
            if self._window.covers(position):
                found = self._window.since(session.owner, position, _PAGE)
                if not found:
                    session.position = None
                    break
                await self._give(session, generation, found)
                continue
            starts = list(self._window.starts)
            older = await self._older(session, generation, position, starts)
            await self._give(session, generation, older)
            if len(older) < _PAGE and session.generation == generation:
                session.position = [max(offset, start) for offset, start in zip(position, starts, strict=True)]

    async def _reach(self, session: Session, generation: int, position: Sequence[int]) -> None:
        """Wait until this gateway has seen what the client has, another one may be ahead; or nobody waits for it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _REACH_S
        if len(position) != len(self._window.ends):
            raise cursor.CursorInvalid(f"expected a cursor over {len(self._window.ends)} partitions")
        while session.generation == generation and any(
            offset > end for offset, end in zip(position, self._window.ends, strict=True)
        ):
            if loop.time() > deadline:
                raise cursor.CursorInvalid("the cursor is ahead of everything published; subscribe without one")
            await asyncio.sleep(_POLL_S)

    async def _recall(self, session: Session, generation: int, before: Sequence[int]) -> None:
        """Give the results before a position of what a subscription names; those after it come anyway."""
        starts, named = list(self._window.starts), set(session.named)
        found = self._window.of(session.owner, named)
        missing = named - {each.execution_id for each in found}
        if missing:
            nowhere = [0] * len(starts)
            found += await self._from_history(
                session, generation, nowhere, starts, lambda: self._history.of(session.owner, missing)
            )
        at = cursor.encode(before)
        for result in found:
            await self.room(session)
            if session.generation != generation:
                return
            if result.offset < before[result.partition]:
                session.put_result(result, at)
        if session.generation == generation:
            session.named = frozenset()

    async def _older(
        self, session: Session, generation: int, position: Sequence[int], starts: Sequence[int]
    ) -> Sequence[Result]:
        """Return a page from Postgres of what is before the window."""
        return await self._from_history(
            session, generation, position, starts, lambda: self._history.since(session.owner, position, starts, _PAGE)
        )

    async def _from_history(
        self,
        session: Session,
        generation: int,
        position: Sequence[int],
        starts: Sequence[int],
        read: Callable[[], Awaitable[Sequence[Result]]],
    ) -> Sequence[Result]:
        """Read from Postgres once the projector has brought everything before the window there.

        Returns nothing as soon as the subscription has been replaced.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PROJECTED_S
        async with self._gate:
            try:
                while session.generation == generation:
                    reached = await self._history.projected()
                    missing = [
                        number for number, start in enumerate(starts) if max(reached[number], position[number]) < start
                    ]
                    if not missing:
                        return await read()
                    if loop.time() > deadline:
                        raise HistoryUnavailable("the projector has not brought all older results to Postgres yet")
                    await asyncio.sleep(_POLL_S)
                return ()
            except RetryableError as error:
                raise HistoryUnavailable(error.message) from error

    async def _give(self, session: Session, generation: int, results: Sequence[Result]) -> None:
        for result in results:
            await self.room(session)
            position = session.position
            if session.generation != generation or position is None:
                return
            position[result.partition] = result.offset + 1
            if session.watches(result.execution_id, result.pattern_id):
                session.put_result(result, cursor.encode(position))

    async def room(self, session: Session) -> None:
        """Return as soon as a session's outbox is at most half full.

        Raises:
            SlowClient: it is not in time.
        """
        try:
            async with asyncio.timeout(self._slow_s):
                await session.outbox.drained()
        except TimeoutError:
            raise SlowClient from None
