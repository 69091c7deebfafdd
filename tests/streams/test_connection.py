"""Answers are cut out of the bytes of a connection, however these arrive."""

import asyncio
from collections import deque
from typing import Any, cast

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st

from streams.durable.connection import _Frames


class Connection:
    """Waits for answers that only aiokafka's own way knows, as to a heartbeat."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self._requests: Any = [(1, object(), None)]

    def _handle_frame(self, answer: bytes) -> None:
        if answer == b"nonsense":
            raise ValueError("out of step")
        self.answers.append(answer)


class Stock:
    """The protocol aiokafka made: told what is not an answer."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.told.append((name, *args))


def opened() -> tuple[Connection, Stock, asyncio.Future[None], _Frames]:
    connection, stock, reading = Connection(), Stock(), asyncio.get_running_loop().create_future()
    return connection, stock, reading, _Frames(connection, cast(Any, stock), reading)


def framed(*answers: bytes) -> bytes:
    return b"".join(len(answer).to_bytes(4, "big") + answer for answer in answers)


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 30), min_size=1))
def test_answers_come_whole_and_in_order(answers: list[bytes], cuts: list[int]) -> None:
    async def run() -> None:
        connection, _, reading, frames = opened()
        data, at, turn = framed(*answers), 0, 0
        while at < len(data):
            size = cuts[turn % len(cuts)]
            frames.data_received(data[at : at + size])
            at, turn = at + size, turn + 1
        assert connection.answers == answers
        assert not reading.done()

    asyncio.run(run())


async def test_a_large_answer_is_looked_at_when_it_is_whole() -> None:
    connection, _, _, frames = opened()
    data = framed(b"x" * 1_000_000, b"next")
    for at in range(0, len(data), 1000):
        assert connection.answers == ([] if at < 1_000_004 else [b"x" * 1_000_000])
        frames.data_received(data[at : at + 1000])
    assert connection.answers[1:] == [b"next"]


async def test_an_answer_that_makes_no_sense_ends_the_connection() -> None:
    connection, _, reading, frames = opened()
    frames.data_received(framed(b"good", b"nonsense", b"good"))
    frames.data_received(framed(b"good"))
    assert connection.answers == [b"good"]
    assert isinstance(reading.exception(), ValueError)


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
async def test_a_lost_connection_is_told_to_both(error: Exception | None) -> None:
    _, stock, reading, frames = opened()
    frames.eof_received()
    frames.connection_lost(error)
    assert isinstance(reading.exception(), EOFError)
    assert stock.told == [("eof_received",), ("connection_lost", error)]


async def test_nothing_is_handed_to_a_connection_that_was_closed_or_forgotten() -> None:
    connection, _, reading, frames = opened()
    reading.cancel()
    frames.data_received(framed(b"late"))
    assert connection.answers == []
    _, _, _, frames = opened()
    frames.data_received(framed(b"for nobody"))


async def test_answers_to_fetches_are_decoded_at_once_unless_out_of_step() -> None:
    connection, _, _, frames = opened()
    answered, odd = (asyncio.get_running_loop().create_future() for _ in range(2))
    fetch = FetchRequest(20, 1, 1000, 1, []).build(FetchRequest_v11)
    connection._requests = deque([(7, fetch, answered), (8, fetch, odd)])
    body = FetchResponse_v11(3, 0, 0, []).encode()
    frames.data_received(framed((7).to_bytes(4, "big") + body))
    assert answered.result().throttle_time_ms == 3 and connection.answers == []
    out_of_step = (9).to_bytes(4, "big") + body
    frames.data_received(framed(out_of_step))
    # Stock closes the connection then.
    assert connection.answers == [out_of_step] and not odd.done()
