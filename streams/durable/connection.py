"""Sends requests to a broker without a timeout context and a generic header for each: 7% of a workflow's CPU."""

import asyncio
from struct import Struct
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

from streams.durable.sessions import SessionRequest

_HEADER = Struct(">ihhih")
_stock = AIOKafkaConnection.send


def install() -> None:
    """Let all connections of this process send so; calling it again changes nothing."""
    AIOKafkaConnection.send = _send  # type: ignore[method-assign]


def _send(connection: Any, request: Any, expect_response: bool = True) -> Any:
    """Write a request; returns the future of its response, which fails with TimeoutError when none comes in time."""
    writer = connection._writer
    if writer is None or not expect_response:
        return _stock(connection, request, expect_response)
    message = request.prepare(connection._versions)
    correlation_id = connection._next_correlation_id()
    body = message.encode()
    if message.FLEXIBLE_VERSION:
        header = message.build_request_header(correlation_id=correlation_id, client_id=connection._client_id).encode()
        frame = (len(header) + len(body)).to_bytes(4, "big") + header + body
    else:
        client = connection._client_id.encode()
        size = _HEADER.size - 4 + len(client) + len(body)
        frame = _HEADER.pack(size, message.API_KEY, message.API_VERSION, correlation_id, len(client)) + client + body
    try:
        writer.write(frame)
    except OSError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error
    loop = asyncio.get_running_loop()
    response = loop.create_future()
    timer = loop.call_later(connection._request_timeout, _expire, response)
    response.add_done_callback(lambda _: timer.cancel())
    if isinstance(request, SessionRequest):
        response.add_done_callback(request.answered)
    connection._requests.append((correlation_id, message, response))
    return response


def _expire(response: asyncio.Future[Any]) -> None:
    if not response.done():
        response.set_exception(TimeoutError())
