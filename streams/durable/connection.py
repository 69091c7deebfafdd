"""Requests to a broker, and its answers, without what aiokafka's streams put around them.

A request is written without a timeout context and a generic header of its own: 7% of a workflow's CPU. An answer is
taken from the bytes as they arrive: stock reads through a stream, with two more buffers and a task that is woken for
each part, on the path of every hop.
"""

import asyncio
import time
import weakref
from collections.abc import Callable
from struct import Struct
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.produce import ProduceRequest_v7

from streams.durable.wire import decode_fetched, decode_stored

_HEADER = Struct(">ihhih")
_SIZE_BYTES = 4
_DECODERS: dict[type, Callable[[bytes, int], Any]] = {
    FetchRequest_v11: decode_fetched,
    ProduceRequest_v7: decode_stored,
}
_stock = AIOKafkaConnection.send


def install() -> None:
    """Let all connections of this process talk so; calling it again changes nothing."""
    AIOKafkaConnection.send = _send  # type: ignore[method-assign]
    AIOKafkaConnection._create_reader_task = _read_frames  # type: ignore[method-assign]


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
    connection._requests.append((correlation_id, message, response))
    return response


def _expire(response: asyncio.Future[Any]) -> None:
    if not response.done():
        response.set_exception(TimeoutError())


def _read_frames(connection: Any) -> asyncio.Future[None]:
    """Take the connection's answers from here on; returns what stands for stock's reading task.

    It never ends well: it fails when the connection is lost or an answer makes no sense, and is cancelled on closing.
    """
    reading: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    connection._writer.transport.set_protocol(_Frames(connection, connection._protocol, reading))
    reference = weakref.ref(connection)
    reading.add_done_callback(lambda done: AIOKafkaConnection._on_read_task_error(reference, done))
    return reading


def _hand_over(connection: Any, answer: bytes) -> None:
    """Give an answer to whoever waits for it; the common ones on a shorter way, everything else as stock does."""
    correlation_id, request, response = connection._requests[0]
    decode = _DECODERS.get(type(request))
    if decode is None or response.done() or answer[:4] != correlation_id.to_bytes(4, "big"):
        connection._handle_frame(answer)
        return
    response.set_result(decode(answer, 4))
    connection._last_action = time.monotonic()
    # Only now: whatever fails before, closing the connection tells the one who waits.
    connection._requests.popleft()


class _Frames(asyncio.Protocol):
    """Cuts what arrives into answers. What else a connection tells goes to aiokafka's own protocol.

    Args:
        connection: only referred to weakly, so that one nobody uses any more is noticed.
        stock: the connection's protocol so far; its writer waits by it.
        reading: fails with the connection.
    """

    def __init__(self, connection: Any, stock: asyncio.StreamReaderProtocol, reading: asyncio.Future[None]) -> None:
        self._connection = weakref.ref(connection)
        self._stock = stock
        self._reading = reading
        self._begun = bytearray()
        # So many bytes must be there before looking at them is worth it.
        self._wanted = _SIZE_BYTES

    def data_received(self, data: bytes) -> None:
        begun = self._begun
        if begun:
            begun += data
            if len(begun) < self._wanted:
                return
            data = bytes(begun)
            begun.clear()
        try:
            rest = self._answers(data)
        except Exception as error:
            self._fail(error)
            return
        begun += data[rest:]

    def _answers(self, data: bytes) -> int:
        """Hand over the whole answers in some bytes; returns where the next one begins."""
        at, end = 0, len(data)
        while end - at >= _SIZE_BYTES:
            first = at + _SIZE_BYTES
            after = first + int.from_bytes(data[at:first], "big", signed=True)
            if after > end:
                self._wanted = after - at
                return at
            connection = self._connection()
            if connection is None or self._reading.done():
                return end
            _hand_over(connection, data[first:after])
            at = after
        self._wanted = _SIZE_BYTES
        return at

    def _fail(self, error: BaseException) -> None:
        if not self._reading.done():
            self._reading.set_exception(error)

    def eof_received(self) -> bool | None:
        self._fail(EOFError("the broker closed the connection"))
        return self._stock.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or EOFError("the connection was lost"))
        self._stock.connection_lost(exc)

    def pause_writing(self) -> None:
        self._stock.pause_writing()

    def resume_writing(self) -> None:
        self._stock.resume_writing()
