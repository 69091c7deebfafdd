"""Asks for executions like any upstream system, and waits for their results: a client, no part of the engine."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestrator.admission import request_sha256
from orchestrator.repeats import conflict_id
from settings import Settings
from streams import tracing
from streams.clients import start_producer, topic_name
from streams.headers import Header
from streams.progress import ProgressReader
from streams.results import ResultFeed
from streams.routing import partition_of
from streams.trust import signer_of
from topics.codec import decode, encode, execution_id_of, key_of
from topics.errors import RetryableError
from topics.messages import CancelExecution, ExecuteRequest, ExecutionResult
from topics.table import EXECUTION_REQUESTS, EXECUTION_SIGNALS

log = logging.getLogger(__name__)

OnProgress = Callable[[str, str], None]
FindStored = Callable[[str], Awaitable[ExecutionResult | None]]

_LOOK_FIRST_S = 1.0
_LOOK_MAX_S = 15.0


class NoResult(TimeoutError):
    """The result did not come in time; the execution may still be under way."""


class ExecutionClient:
    """Publishes requests and receives results; use as `async with ExecutionClient(settings) as client`.

    One client serves any number of concurrent executions. Results are read from the end of the topic on, so a result
    published before `start` is not seen.

    Args:
        settings: where Kafka is, prefix, partitions.
        client_id: how it shows in broker logs, without the prefix.
    """

    def __init__(self, settings: Settings, client_id: str = "client") -> None:
        self._settings = settings
        self._client_id = client_id
        self._requests = topic_name(settings, EXECUTION_REQUESTS)
        self._signals = topic_name(settings, EXECUTION_SIGNALS)
        self._signer = signer_of(settings)
        self._producer: Any = None
        self.results = ResultFeed(settings, client_id)

    @property
    def producer(self) -> Any:
        """The started producer, for what else is to be sent."""
        return self._producer

    async def start(self) -> None:
        """Connect; results that are published from now on are received."""
        self._producer = await start_producer(self._settings, self._client_id)
        await self.results.start()

    async def stop(self) -> None:
        """Disconnect; whoever still waits gets CancelledError."""
        await self.results.stop()
        if self._producer is not None:
            await self._producer.stop()

    async def __aenter__(self) -> "ExecutionClient":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def submit(self, request: ExecuteRequest, headers: Sequence[Header] = ()) -> str:
        """Publish a request; returns its execution id when Kafka has confirmed it.

        Args:
            request: the same (tenant, request_id) is the same execution.
            headers: record headers, for example `traceparent`; they come back on the result.
        """
        execution_id = execution_id_of(request.tenant, request.request_id)
        value = encode(request)
        await self._producer.send_and_wait(
            self._requests,
            value,
            key_of(execution_id),
            headers=[*tracing.inject(headers), *self._signer.headers(value)] or None,
        )
        return execution_id

    async def execute(
        self,
        request: ExecuteRequest,
        timeout_s: float,
        on_progress: OnProgress | None = None,
        headers: Sequence[Header] = (),
        stored: FindStored | None = None,
    ) -> ExecutionResult:
        """Publish a request and return its result, whatever its status.

        Args:
            request: what to execute. Another body under a used id is answered by a conflict.
            timeout_s: seconds to wait for the result.
            on_progress: called with (step_id, status) as steps are asked for and settled.
            headers: as for `submit`.
            stored: finds the result of an execution that is finished already, given its id: Kafka does not publish
                that again. Without it such a request waits in vain.

        Raises:
            NoResult: nothing came in time.
        """
        execution_id = execution_id_of(request.tenant, request.request_id)
        key, refusal = key_of(execution_id), key_of(conflict_id(execution_id, request_sha256(request)))
        future, refused = self.results.expect(key), self.results.expect(refusal)
        progress = None if on_progress is None else ProgressReader(self._settings, key, on_progress)
        try:
            if progress is not None:
                await progress.start()
            await self.submit(request, headers)
            async with asyncio.timeout(timeout_s):
                return await self._first(execution_id, future, refused, stored)
        except TimeoutError as error:
            raise NoResult(
                f"expected a result of execution {key.decode()} within {timeout_s:g} s; is the orchestrator running?"
            ) from error
        finally:
            self.results.release(key)
            self.results.release(refusal)
            if progress is not None:
                await progress.stop()

    async def _first(
        self,
        execution_id: str,
        future: asyncio.Future[bytes],
        refused: asyncio.Future[bytes],
        stored: FindStored | None,
    ) -> ExecutionResult:
        """Wait for the result, from whichever place it comes."""
        look_after_s: float | None = None if stored is None else _LOOK_FIRST_S
        while True:
            done, _ = await asyncio.wait((future, refused), timeout=look_after_s, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                result = decode(each.result(), ExecutionResult)
                assert isinstance(result, ExecutionResult)
                return result
            assert stored is not None and look_after_s is not None
            try:
                found = await stored(execution_id)
            except RetryableError as error:
                log.warning("looking for a stored result: %s", error)
                found = None
            if found is not None:
                return found
            look_after_s = min(_LOOK_MAX_S, 2 * look_after_s)

    async def cancel(self, signal: CancelExecution) -> None:
        """Ask for the end of an execution; returns when Kafka has confirmed the request."""
        key = key_of(signal.execution_id)
        number = partition_of(key, self._settings.partitions)
        value = encode(signal)
        headers = [*tracing.inject(()), *self._signer.headers(value)] or None
        await self._producer.send_and_wait(self._signals, value, key, number, headers=headers)
