import copy
from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.types import Array, Bytes, Int16, Int32, Int64

from streams.durable import wire

REQUEST = Array(
    ("partition", Int32),
    ("current_leader_epoch", Int32),
    ("fetch_offset", Int64),
    ("log_start_offset", Int64),
    ("max_bytes", Int32),
)
RESPONSE = Array(
    ("partition", Int32),
    ("error_code", Int16),
    ("highwater_offset", Int64),
    ("last_stable_offset", Int64),
    ("log_start_offset", Int64),
    ("aborted_transactions", Array(("producer_id", Int64), ("first_offset", Int64))),
    ("preferred_read_replica", Int32),
    ("records", Bytes),
)
PARTITIONS = [
    (0, 0, 2**40, 2**40, 0, [], -1, b"x" * 1000),
    (1, 6, -1, -1, -1, None, -1, None),
    (2**31 - 1, -1, 5, 4, 3, [(1, 2), (2**50, 3)], 7, b""),
]


def test_a_request_has_the_bytes_of_the_generic_codec() -> None:
    items = [(0, -1, 0, -1, 1024), (7, -1, 2**40, -1, 2**31 - 1)]
    assert wire.FetchedFrom.encode(items) == REQUEST.encode(items)
    assert wire.FetchedFrom.encode([]) == REQUEST.encode([])


def test_a_response_is_read_as_by_the_generic_codec() -> None:
    data = RESPONSE.encode(PARTITIONS)
    assert wire.Fetched.decode(BytesIO(data)) == RESPONSE.decode(BytesIO(data)) == PARTITIONS


def test_partitions_without_news_are_left_out() -> None:
    idle = [(3, 0, 9, 9, 0, [], -1, b""), (4, 0, 9, 9, 0, None, -1, None)]
    data = RESPONSE.encode([idle[0], *PARTITIONS, idle[1]])
    assert wire.Fetched.decode(BytesIO(data)) == PARTITIONS


def test_a_response_that_ends_early_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected 1000 bytes of records, got 999"):
        wire.Fetched.decode(BytesIO(RESPONSE.encode(PARTITIONS[:1])[:-1]))


def test_installed_whole_messages_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FetchRequest_v11, "SCHEMA", copy.deepcopy(FetchRequest_v11.SCHEMA))
    monkeypatch.setattr(FetchResponse_v11, "SCHEMA", copy.deepcopy(FetchResponse_v11.SCHEMA))
    wire._replace(FetchRequest_v11.SCHEMA, REQUEST)
    wire._replace(FetchResponse_v11.SCHEMA, RESPONSE)
    asked = FetchRequest(20, 1, 1000, 1, [("a", [(0, 5, 100), (1, 6, 100)]), ("b", [(0, 7, 100)])])
    request = asked.build(FetchRequest_v11).encode()
    response = FetchResponse_v11(0, 0, 0, [("a", PARTITIONS), ("b", PARTITIONS[:1])]).encode()
    generic = FetchResponse_v11.decode(response).topics
    wire.install()
    wire.install()
    assert asked.build(FetchRequest_v11).encode() == request
    assert FetchResponse_v11.decode(response).topics == generic


def test_produce_messages_are_as_by_the_generic_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Array(("partition", Int32), ("messages", Bytes))
    stored = Array(
        ("partition", Int32),
        ("error_code", Int16),
        ("offset", Int64),
        ("timestamp", Int64),
        ("log_start_offset", Int64),
    )
    sent = [(0, b"x" * 1000), (7, b"")]
    assert wire.Batches.encode(sent) == batches.encode(sent)
    answered = [(0, 0, 2**40, 2**41, 5), (2**31 - 1, -1, -1, -1, -1)]
    data = stored.encode(answered)
    assert wire.Stored.decode(BytesIO(data)) == stored.decode(BytesIO(data)) == answered
    assert wire.Stored.decode(BytesIO(stored.encode([]))) == []
    version: Any
    for version, fast in ((ProduceRequest_v7, batches), (ProduceResponse_v7, stored)):
        monkeypatch.setattr(version, "SCHEMA", copy.deepcopy(version.SCHEMA))
        wire._replace(version.SCHEMA, fast)
    asked = ProduceRequest(None, -1, 60_000, [("a", sent), ("b", sent[:1])])
    request = asked.build(ProduceRequest_v7).encode()
    response = ProduceResponse_v7([("a", answered)], 0).encode()
    generic = version.decode(response).topics
    wire.install()
    assert asked.build(ProduceRequest_v7).encode() == request
    assert version.decode(response).topics == generic
