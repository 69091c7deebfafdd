"""The fast codec gives and reads the bytes of aiokafka's own."""

from io import BytesIO
from struct import error as StructError
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.struct import Struct

from streams.durable import wire

PARTITIONS = [
    (0, 0, 2**40, 2**40, 0, [], -1, b"x" * 1000),
    (1, 6, -1, -1, -1, None, -1, None),
    (2**31 - 1, -1, 5, 4, 3, [(1, 2), (2**50, 3)], 7, b""),
]
STORED = [(0, 0, 2**40, 2**41, 5), (2**31 - 1, -1, -1, -1, -1)]


def generic(message: Any) -> bytes:
    return Struct.encode(message)


def read_generically(response: Any, data: bytes) -> Any:
    return Struct.decode.__func__(response, data)  # type: ignore[attr-defined]


@pytest.mark.parametrize("topics", [[], [("a", [(0, 5, 100), (1, 2**40, 100)]), ("größe", [(0, 7, 2**31 - 1)])]])
def test_a_fetch_has_the_bytes_of_the_generic_codec(topics: list[Any]) -> None:
    request = FetchRequest(20, 1, 1000, 1, topics, rack_id="here").build(FetchRequest_v11)
    assert wire.encode_fetch(request) == generic(request)
    request.forgotten_topics_data = [("b", [1, 2])]
    assert wire.encode_fetch(request) == generic(request)


@pytest.mark.parametrize("transaction", [None, "t"])
@pytest.mark.parametrize("topics", [[], [("a", [(0, b"x" * 1000), (7, b"")]), ("b", [(0, b"y")])]])
def test_a_produce_has_the_bytes_of_the_generic_codec(topics: list[Any], transaction: str | None) -> None:
    request = ProduceRequest(transaction, -1, 60_000, topics).build(ProduceRequest_v7)
    assert wire.encode_produce(request) == generic(request)


@pytest.mark.parametrize("topics", [[], [("a", PARTITIONS), ("b", PARTITIONS[:1]), ("c", [])]])
def test_what_was_fetched_is_read_as_by_the_generic_codec(topics: list[Any]) -> None:
    data = generic(FetchResponse_v11(3, 4, 5, topics))
    response = wire.decode_fetched(data)
    assert response == read_generically(FetchResponse_v11, data)
    assert response.topics == topics
    assert wire.decode_fetched(b"head" + data, 4) == response


@pytest.mark.parametrize("topics", [[], [("a", STORED), ("b", []), ("c", STORED[:1])]])
def test_what_was_stored_is_read_as_by_the_generic_codec(topics: list[Any]) -> None:
    data = generic(ProduceResponse_v7(topics, 9))
    response = wire.decode_stored(data)
    assert response == read_generically(ProduceResponse_v7, data)
    assert response.topics == topics
    assert wire.decode_stored(b"head" + data, 4) == response


def test_partitions_without_news_are_left_out() -> None:
    idle = [(3, 0, 9, 9, 0, [], -1, b""), (4, 0, 9, 9, 0, None, -1, None)]
    data = generic(FetchResponse_v11(0, 0, 0, [("a", [idle[0], *PARTITIONS, idle[1]])]))
    assert wire.decode_fetched(data).topics == [("a", PARTITIONS)]


def test_a_response_that_ends_early_is_an_error() -> None:
    data = generic(FetchResponse_v11(0, 0, 0, [("a", PARTITIONS[:1])]))
    with pytest.raises(ValueError, match="expected 1000 bytes of records, got 999"):
        wire.decode_fetched(data[:-1])
    with pytest.raises(StructError):
        wire.decode_fetched(data[:30])


def test_installed_they_stand_for_the_generic_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    for message, method in (
        (FetchRequest_v11, "encode"),
        (ProduceRequest_v7, "encode"),
        (FetchResponse_v11, "decode"),
        (ProduceResponse_v7, "decode"),
    ):
        monkeypatch.setattr(message, method, getattr(message, method))
    wire.install()
    wire.install()
    asked = FetchRequest(20, 1, 1000, 1, [("a", [(0, 5, 100)])]).build(FetchRequest_v11)
    sent = ProduceRequest(None, -1, 60_000, [("a", [(0, b"x")])]).build(ProduceRequest_v7)
    assert asked.encode() == generic(asked)
    assert sent.encode() == generic(sent)
    fetched, stored = FetchResponse_v11(0, 0, 0, [("a", PARTITIONS)]), ProduceResponse_v7([("a", STORED)], 0)
    for answer in (fetched, stored):
        assert type(answer).decode(generic(answer)) == answer
        stream = BytesIO(b"head" + generic(answer))
        stream.seek(4)
        assert type(answer).decode(stream) == answer
