from types import SimpleNamespace

from streams import dead_letter as dlq
from streams.dead_letter import Stage, dead_letter
from streams.headers import carried, pack, unpack
from streams.routing import partition_of


def test_trace_and_correlation_headers_travel_others_do_not() -> None:
    given = [("traceparent", b"00-1"), ("secret", b"x"), ("X-Correlation-Id", b"7"), ("tracestate", None)]
    assert carried(given) == (("traceparent", b"00-1"), ("X-Correlation-Id", b"7"))
    assert carried(None) == ()


def test_headers_that_travel_are_bounded() -> None:
    assert carried([("traceparent", b"1"), ("baggage", b"x" * 5000)]) == (("traceparent", b"1"),)


def test_packed_headers_come_back() -> None:
    headers = (("traceparent", b"00-\x00\xff"), ("x-correlation-id", b""))
    assert unpack(pack(headers)) == headers
    assert unpack(pack(())) == ()


def test_partitions_are_those_of_the_java_client() -> None:
    # From Kafka's own UtilsTest.testMurmur2: hash values of these keys.
    for key, murmur in ((b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)):
        assert partition_of(key, 1000) == (murmur & 0x7FFFFFFF) % 1000


def test_a_redriven_dead_letter_has_one_diagnosis() -> None:
    message = SimpleNamespace(
        topic="t",
        partition=3,
        offset=9,
        key=b"k",
        value=b"v",
        timestamp=1_700_000_000_123,
        headers=[("sender", b"me"), (dlq.REASON, b"older"), (dlq.STAGE, b"decode")],
    )
    letter = dead_letter(message, Stage.ROUTE, "newer")
    assert (letter.key, letter.value) == (b"k", b"v")
    assert [name for name, _ in letter.headers].count(dlq.REASON) == 1
    assert dict(letter.headers) == {
        "sender": b"me",
        dlq.REASON: b"newer",
        dlq.STAGE: b"route",
        dlq.ORIGIN_TOPIC: b"t",
        dlq.ORIGIN_PARTITION: b"3",
        dlq.ORIGIN_OFFSET: b"9",
        dlq.ORIGIN_AT_MS: b"1700000000123",
    }
