"""The websocket bridge of one gateway: what all its sockets share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import WebSocket

from db.executions import ExecutionRepository
from db.offsets import load_offsets
from db.postgres import Pool
from db.redis_link import RedisLink
from gateway.bridge.hub import Hub
from gateway.bridge.result import Owner, Result, read_result
from gateway.bridge.socket import Line
from gateway.bridge.states import States
from gateway.bridge.tickets import Tickets
from gateway.bridge.window import Window
from services.tokens import Principal
from settings import Settings
from streams.clients import topic_name
from streams.logs import about
from streams.progress_feed import ProgressFeed
from streams.results import ResultFeed, ResultRecord
from topics.socket import SUBPROTOCOL
from topics.table import EXECUTION_RESULTS

log = logging.getLogger(__name__)


class StoredResults:
    """Older results, from the projector's table."""

    def __init__(self, settings: Settings, pool: Pool, executions: ExecutionRepository) -> None:
        self._topic = topic_name(settings, EXECUTION_RESULTS)
        self._partitions = settings.partitions
        self._pool = pool
        self._executions = executions

    async def since(self, owner: Owner, offsets: Sequence[int], before: Sequence[int], limit: int) -> Sequence[Result]:
        """Return an owner's results with `offsets[p] <= offset < before[p]`, at most `limit`."""
        found = await self._executions.results_since(*owner, offsets, before, limit)
        return [read_result(stored.data, stored.partition, stored.offset) for stored in found]

    async def of(self, owner: Owner, execution_ids: Iterable[str]) -> Sequence[Result]:
        """Return an owner's results of these executions, as far as they have ended."""
        known: list[UUID] = []
        for each in execution_ids:
            with suppress(ValueError):  # 36 dashes fit the contract too.
                known.append(UUID(each))
        found = await self._executions.results_of(*owner, known)
        return [read_result(stored.data, stored.partition, stored.offset) for stored in found]

    async def projected(self) -> Sequence[int]:
        """Return by partition up to which offset results are stored."""
        stored = await load_offsets(self._pool, self._topic)
        return [stored.get(number, 0) for number in range(self._partitions)]


class Bridge:
    """Serves websockets; use as `with Bridge(…) as bridge`.

    Args:
        settings: limits and allowed origins.
        results: started.
        feed: started.
        executions: older results.
        pool: the application's role.
        redis: keeps tickets.
    """

    def __init__(
        self,
        settings: Settings,
        results: ResultFeed,
        feed: ProgressFeed,
        executions: ExecutionRepository,
        pool: Pool,
        redis: RedisLink,
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._results = results
        self._states = States()
        self._end: Callable[[], None] | None = None
        self.tickets = Tickets(redis, settings.topic_prefix)
        self.allowed_origins = settings.cors_origins
        self.hub = Hub(
            Window([results.positions[number] for number in range(settings.partitions)]),
            StoredResults(settings, pool, executions),
        )

    def __enter__(self) -> Self:
        """Take in results from now on."""
        self._end = self._results.listen(self._on_result)
        return self

    def __exit__(self, *exc: object) -> None:
        """Take in no more."""
        if self._end is not None:
            self._end()

    def full(self, principal: Principal) -> bool:
        """Whether there are as many sockets as there may be, in all or of this user."""
        mine = self.hub.sessions_of((principal.tenant, principal.user_id))
        return len(self.hub) >= self._settings.sockets_max or mine >= self._settings.sockets_user_max

    async def serve(self, websocket: WebSocket, principal: Principal) -> None:
        """Accept a websocket and serve it until it ends."""
        line = Line(websocket, self.hub, self._feed, self._states, self.tickets, principal)
        await websocket.accept(SUBPROTOCOL)
        await line.run()

    def _on_result(self, record: ResultRecord) -> None:
        try:
            result = read_result(record.value, record.partition, record.offset)
        except ValueError as error:
            log.warning("a result nobody can be told of: %s", error, extra=about(record))
            return
        self.hub.result(result)


def origin_allowed(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Whether a page may open a websocket here: one of the gateway's own, or of an allowed origin.

    Args:
        origin: the header; None for clients that are no browsers, which cannot be tricked.
        host: the header of the same request.
        allowed: origins as the settings name them.
    """
    if origin is None:
        return True
    if origin.rstrip("/") in {each.rstrip("/") for each in allowed}:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and host is not None and parts.netloc.casefold() == host.casefold()
