"""Canonical bytes against the RFC 8785 reference implementation."""

import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from topics.canonical import NotCanonical, canonical_bytes, digest, sha256_hex

_INT_MAX = 2**53 - 1
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-_INT_MAX, _INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(_values)
def test_equals_the_reference(value: Any) -> None:
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        with pytest.raises(NotCanonical):
            canonical_bytes(value)
        return
    assert canonical_bytes(value) == expected


@given(st.floats(-1.5e-4, 1.5e-4), st.integers(-330, -3))
def test_small_numbers_equal_the_reference(value: float, exponent: int) -> None:
    values = [value, float(f"1e{exponent}"), float(f"-9.5e{exponent}"), float(f"1.2345678901234567e{exponent}")]
    assert canonical_bytes(values) == rfc8785.dumps(values)


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        -0.0,
        1e21,
        1e20,
        1e-6,
        1e-7,
        5e-324,
        1.7976931348623157e308,
        4.5,
        1e15,
        123456789012345680.0,
        333333333.33333329,
    ],
)
def test_numbers_as_ecmascript_prints_them(value: float) -> None:
    assert canonical_bytes([value]) == rfc8785.dumps([value])


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, -(2**53), {1: 2}, {"a": object()}, b"x", "\ud800"])
def test_what_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_bytes(value)


def test_keys_are_sorted_by_utf_16_units() -> None:
    assert canonical_bytes({"\U0001f600": 1, "\ufb33": 2, "a": 3}) == '{"a":3,"\U0001f600":1,"\ufb33":2}'.encode()


def test_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest({"b": 1.0, "a": [True, None]}) == sha256_hex(b'{"a":[true,null],"b":1}')


def test_values_too_deep_are_refused() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotCanonical):
        canonical_bytes(deep)
