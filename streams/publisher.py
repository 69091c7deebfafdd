"""Asks for executions like any upstream system, and waits for their results: a client, no part of the engine."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from settings import Settings
from streams import tracing
from streams.clients import start_producer, topic_name
from streams.headers import Header
from streams.progress import ProgressReader
from streams.results import ResultFeed
from streams.routing import partition_of
from streams.trust import signer_of
from topics.codec import decode, encode, execution_id_of, key_of
from topics.messages import CancelExecution, ExecuteRequest, ExecutionResult
from topics.table import EXECUTION_REQUESTS, EXECUTION_SIGNALS

log = logging.getLogger(__name__)

OnProgress = Callable[[str, str], None]


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
    ) -> ExecutionResult:
        """Publish a request and return its result, whatever its status.

        Args:
            request: must be new: the result of a finished execution is not published again.
            timeout_s: seconds to wait for the result.
            on_progress: called with (step_id, status) as steps are asked for and settled.
            headers: as for `submit`.

        Raises:
            NoResult: nothing came in time.
        """
        key = key_of(execution_id_of(request.tenant, request.request_id))
        future = self.results.expect(key)
        progress = None if on_progress is None else ProgressReader(self._settings, key, on_progress)
        try:
            if progress is not None:
                await progress.start()
            await self.submit(request, headers)
            data = await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except TimeoutError as error:
            raise NoResult(
                f"expected a result of execution {key.decode()} within {timeout_s:g} s; is the orchestrator running?"
            ) from error
        finally:
            self.results.release(key)
            if progress is not None:
                await progress.stop()
        result = decode(data, ExecutionResult)
        assert isinstance(result, ExecutionResult)
        return result

    async def cancel(self, signal: CancelExecution) -> None:
        """Ask for the end of an execution; returns when Kafka has confirmed the request."""
        key = key_of(signal.execution_id)
        number = partition_of(key, self._settings.partitions)
        value = encode(signal)
        headers = [*tracing.inject(()), *self._signer.headers(value)] or None
        await self._producer.send_and_wait(self._signals, value, key, number, headers=headers)
