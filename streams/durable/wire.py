"""Encodes fetch and produce requests, and decodes their responses, with one struct call per partition.

aiokafka's generic codec spends 12 µs on each partition of each fetch, wanted or empty: with 24 stream partitions half
a millisecond per fetch, on the path of every hop; a produce request costs as much for each batch. Only the newest
version of a message that aiokafka knows is sped up, the one every broker since Kafka 2.3 speaks; others go the
generic way.
"""

from collections.abc import Sequence
from io import BytesIO
from struct import Struct
from typing import Any

from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.types import Array, Schema

_COUNT = Struct(">i")
_REQUEST = Struct(">iiqqi")
_RESPONSE_HEAD = Struct(">ihqqqi")
_RESPONSE_TAIL = Struct(">ii")
_ABORTED = Struct(">qq")
_BATCH = Struct(">ii")
_STORED = Struct(">ihqqq")


class FetchedFrom:
    """(partition, leader epoch, fetch offset, log start offset, max bytes) of each partition of a topic."""

    @staticmethod
    def encode(items: Sequence[tuple[int, int, int, int, int]]) -> bytes:
        """Return the bytes of aiokafka's `Array`."""
        return b"".join([_COUNT.pack(len(items)), *(_REQUEST.pack(*item) for item in items)])


class Fetched:
    """What came for the partitions of a topic; those for which nothing came, and no error, are left out."""

    @staticmethod
    def decode(data: BytesIO) -> list[tuple[Any, ...]]:
        """Return the tuples of aiokafka's `Array`.

        Each is partition, error, highwater, last stable offset, log start, aborted transactions, preferred replica,
        records.
        """
        read = data.read
        partitions = []
        for _ in range(_COUNT.unpack(read(4))[0]):
            partition, error, highwater, stable, start, count = _RESPONSE_HEAD.unpack(read(34))
            aborted = None if count < 0 else [_ABORTED.unpack(read(16)) for _ in range(count)]
            replica, size = _RESPONSE_TAIL.unpack(read(8))
            if size <= 0 and not error:
                continue
            records = None if size < 0 else read(size)
            if records is not None and len(records) != size:
                raise ValueError(f"expected {size} bytes of records, got {len(records)}")
            partitions.append((partition, error, highwater, stable, start, aborted, replica, records))
        return partitions


class Batches:
    """(partition, record batch) of each partition of a topic, to be stored."""

    @staticmethod
    def encode(items: Sequence[tuple[int, bytes]]) -> bytes:
        """Return the bytes of aiokafka's `Array`."""
        parts = [_COUNT.pack(len(items))]
        for partition, batch in items:
            parts += (_BATCH.pack(partition, len(batch)), batch)
        return b"".join(parts)


class Stored:
    """(partition, error, base offset, append time, log start) of each partition of a topic."""

    @staticmethod
    def decode(data: BytesIO) -> list[tuple[int, int, int, int, int]]:
        """Return the tuples of aiokafka's `Array`."""
        read = data.read
        return [_STORED.unpack(read(30)) for _ in range(_COUNT.unpack(read(4))[0])]


def install() -> None:
    """Use the fast codec in this process; calling it again changes nothing."""
    _replace(FetchRequest_v11.SCHEMA, FetchedFrom)
    _replace(FetchResponse_v11.SCHEMA, Fetched)
    _replace(ProduceRequest_v7.SCHEMA, Batches)
    _replace(ProduceResponse_v7.SCHEMA, Stored)


def _replace(schema: Schema, fast: Any) -> None:
    topics = schema.fields[schema.names.index("topics")]
    assert isinstance(topics, Array)
    assert isinstance(topics.array_of, Schema)
    assert len(topics.array_of.names) == 2
    topics.array_of.fields = (topics.array_of.fields[0], fast)
