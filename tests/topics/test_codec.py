"""Bytes that are no messages say why; messages that are come back as they went."""

import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from topics.canonical import canonical_bytes
from topics.codec import TYPES, Undecodable, decode, encode, execution_id_of, key_of
from topics.examples import examples
from topics.messages import CapabilityResult, ExecuteRequest, ExecutionResult, TimerFired


def changed(name: str, **changes: Any) -> bytes:
    return json.dumps({**json.loads(encode(examples()[name])), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "tombstone"),
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"null", "should be an object"),
        (b"[]", "should be an object"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"{}", "Unable to extract tag"),
        (b'{"type": "Nonsense"}', "Nonsense"),
        (encode(examples()["TimerFired"])[:-10], "Invalid JSON"),
        (changed("TimerFired", v=2), "/TimerFired/v"),
        (changed("TimerFired", due_at_ms="soon"), "/TimerFired/due_at_ms"),
        (changed("TimerFired", tenant="../x"), "/TimerFired/tenant"),
        (changed("TimerFired", execution_id="x"), "/TimerFired/execution_id"),
        (changed("ExecuteRequest", submitted_at="2012-06-29T20:00:00"), "submitted_at"),
        (changed("ExecuteRequest", deadline_s=0), "deadline_s"),
        (changed("ExecuteRequest", request_id=""), "request_id"),
        (b'{"type": ' * 3000, "Invalid JSON"),
    ],
)
def test_undecodable(data: bytes | None, text: str) -> None:
    with pytest.raises(Undecodable, match=text):
        decode(data)


def test_only_the_expected_types() -> None:
    data = encode(examples()["TimerFired"])
    assert isinstance(decode(data, TimerFired), TimerFired)
    with pytest.raises(Undecodable):
        decode(data, ExecuteRequest)
    with pytest.raises(Undecodable, match="expected CapabilityResult or ExecuteRequest, got TimerFired"):
        decode(data, ExecuteRequest, CapabilityResult)


def test_too_long() -> None:
    data = encode(examples()["TimerFired"])
    with pytest.raises(Undecodable, match=f"at most 10 bytes, got {len(data)}"):
        decode(data, TimerFired, bytes_max=10)


def test_many_faults_are_counted() -> None:
    with pytest.raises(Undecodable, match=r"and \d+ more"):
        decode(b'{"type": "CapabilityRequest"}')


@pytest.mark.parametrize("name", TYPES)
def test_unknown_fields_are_ignored(name: str) -> None:
    assert decode(changed(name, something_new={"a": 1})) == examples()[name]


def test_nulls_inside_values_are_kept() -> None:
    result = CapabilityResult.model_validate_json(changed("CapabilityResult", value={"a": None, "b": [None]}))
    assert decode(encode(result), CapabilityResult).value == {"a": None, "b": [None]}  # type: ignore[attr-defined]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_the_one_error(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), _JSON, max_size=3), st.lists(_JSON, max_size=3))
def test_a_large_result_is_read_as_a_small_one(data: dict[str, Any], charts: list[Any]) -> None:
    small = encode(examples()["ExecutionResult"].model_copy(update={"data": data, "charts": charts}))
    large = small + b" " * 20_000
    assert decode(large, ExecutionResult) == decode(large) == decode(small, ExecutionResult)


@given(_JSON)
@example(2**64)
@example([-(2**63) - 1])
def test_a_large_answer_is_read_as_a_small_one(value: Any) -> None:
    small = encode(examples()["CapabilityResult"].model_copy(update={"value": value}))
    large = small + b" " * 20_000
    first, second = decode(large, CapabilityResult), decode(small, CapabilityResult)
    assert first == second and repr(first) == repr(second)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"data": [1]}, "/data: Input should be an object"),
        ({"charts": {}}, "/charts: Input should be a valid array"),
        ({"tenant": "../x"}, "/tenant"),
        ({"trace": 1}, "/trace"),
    ],
)
def test_a_large_result_with_a_fault_is_refused_like_a_small_one(changes: dict[str, Any], text: str) -> None:
    data = changed("ExecutionResult", **changes)
    faulty = {data: text, data[:-1]: "Invalid JSON", data + b"]": "Invalid JSON", b"[]": "should be an object"}
    for each, expected in faulty.items():
        with pytest.raises(Undecodable, match=expected):
            decode(each + b" " * 20_000, ExecutionResult)


def test_execution_ids() -> None:
    assert execution_id_of("a", "b") == execution_id_of("a", "b")
    assert execution_id_of("a", "bc") != execution_id_of("ab", "c")
    assert key_of(execution_id_of("a", "b")) == execution_id_of("a", "b").encode()


@given(st.text(max_size=20), st.text(min_size=1, max_size=30))
def test_an_execution_id_is_the_uuid5_of_its_request(tenant: str, request_id: str) -> None:
    namespace = uuid5(NAMESPACE_URL, "dawsos-executor:execution")
    assert execution_id_of(tenant, request_id) == str(uuid5(namespace, canonical_bytes([tenant, request_id]).decode()))
