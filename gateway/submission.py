"""One request's way through the gateway: noted, published, awaited.

A request with a name of its client's (`request_id` or `Idempotency-Key`) is noted in Postgres before it is published,
so that a repeated one gets the stored result for as long as the note is kept, which is far longer than the engine
remembers. What is published twice is one execution: its id derives from tenant and request id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from db.postgres import SERVICE
from gateway.connections import Connections
from gateway.problems import Problem
from orchestrator.admission import request_sha256
from topics.codec import execution_id_of, key_of
from topics.errors import Code, RetryableError
from topics.messages import ExecuteRequest

Header = tuple[str, bytes]
# How often a repeated request looks into Postgres: its result may have been published before we listened.
_LOOK_AGAIN_S = 0.25
# A note takes milliseconds; who waits less than this for the result waits this long for the note.
_NOTE_S = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submission.

    Attributes:
        result: an `ExecutionResult` as parsed JSON; None when it was not there in time, or the process is to stop.
        repeated: the request had been taken before.
    """

    execution_id: str
    result: dict[str, Any] | None
    repeated: bool


class Submissions:
    """Takes requests.

    Args:
        connected: what to publish with, where to note.
    """

    def __init__(self, connected: Connections) -> None:
        self._connected = connected

    async def submit(
        self, request: ExecuteRequest, *, named: bool, wait_s: float, headers: Sequence[Header] = ()
    ) -> Outcome:
        """Publish a request and wait for its result.

        Args:
            request: of the caller.
            named: its request id is the client's; so it may come again.
            wait_s: seconds to wait; 0 returns as soon as Kafka has it. Noting a named request may take as long again,
                two seconds at least.
            headers: travel with the execution.

        Raises:
            Problem: REQUEST_CONFLICT, OVERLOADED.
            RetryableError: Postgres or Kafka failed.
        """
        connected = self._connected
        if len(connected.client.results) >= connected.settings.gateway_in_flight_max:
            raise Problem(Code.OVERLOADED, "too many requests are waiting for results", retry_after_s=1)
        execution_id = execution_id_of(request.tenant, request.request_id)
        key = key_of(execution_id)
        # Before anything else: a result that comes from now on is not missed.
        future = connected.client.results.expect(key)
        try:
            repeated = named and await self._note(request, execution_id, max(wait_s, _NOTE_S))
            if repeated:
                stored = await self._stored(request, execution_id)
                if stored is not None:
                    return Outcome(execution_id, stored, True)
            if not (repeated and self._known(request, execution_id)):
                await connected.client.submit(request, headers)
            result = await self._await(request, execution_id, future, wait_s, repeated)
            if result is None and not named:
                # Its client will ask for it by its id, perhaps before the orchestrator has seen it; it runs anyway.
                with suppress(RetryableError):
                    await self._note(request, execution_id, _NOTE_S)
            return Outcome(execution_id, result, repeated)
        finally:
            connected.client.results.release(key)

    async def _note(self, request: ExecuteRequest, execution_id: str, patience_s: float) -> bool:
        """Note a request; returns whether it was noted before."""
        sha256 = request_sha256(request)
        try:
            async with asyncio.timeout(patience_s):
                claim = await self._connected.requests.claim(
                    request.tenant, request.user_id, request.request_id, sha256, UUID(execution_id), request.pattern_id
                )
        except TimeoutError:
            message = f"Postgres, noting a request: no answer within {patience_s:g} s"
            raise RetryableError(Code.UPSTREAM_FAILED, message, service=SERVICE) from None
        if not claim.made and claim.sha256 != sha256:
            raise Problem(
                Code.REQUEST_CONFLICT,
                f"the request id {request.request_id!r} was used for another request; choose another id",
                execution_id=execution_id if claim.sha256 is not None else None,
            )
        return not claim.made

    def _known(self, request: ExecuteRequest, execution_id: str) -> bool:
        return self._connected.progress.get(request.tenant, request.user_id, execution_id) is not None

    async def _stored(self, request: ExecuteRequest, execution_id: str) -> dict[str, Any] | None:
        data = await self._connected.executions.raw(request.tenant, request.user_id, UUID(execution_id))
        return None if data is None else orjson.loads(data)

    async def _look(self, request: ExecuteRequest, execution_id: str, patience_s: float) -> dict[str, Any] | None:
        """Return the stored result; None when Postgres does not say in time. It may still come over Kafka."""
        with suppress(RetryableError, TimeoutError):
            async with asyncio.timeout(patience_s):
                return await self._stored(request, execution_id)
        return None

    async def _await(
        self, request: ExecuteRequest, execution_id: str, future: asyncio.Future[bytes], wait_s: float, repeated: bool
    ) -> dict[str, Any] | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while (left_s := deadline - loop.time()) > 0:
            step_s = min(left_s, _LOOK_AGAIN_S) if repeated else left_s
            await asyncio.wait((future,), timeout=step_s)
            if future.cancelled():
                return None
            if future.done():
                return orjson.loads(future.result())
            if repeated:
                stored = await self._look(request, execution_id, deadline - loop.time())
                if stored is not None:
                    return stored
        return orjson.loads(future.result()) if future.done() and not future.cancelled() else None
