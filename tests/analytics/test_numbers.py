"""How numbers are written: rounded as `round` rounds them, to the last bit."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from analytics.numbers import rounded

_PLACES = st.sampled_from((0, 2, 6, 8, 12))


def bits(value: float) -> bytes:
    return struct.pack("d", value)


@given(st.floats(allow_nan=False, allow_infinity=False), _PLACES)
def test_any_number(value: float, places: int) -> None:
    assert bits(rounded(value, places)) == bits(round(value, places) + 0.0)


@given(st.integers(-(10**13), 10**13), _PLACES, st.integers(-3, 3))
def test_ties_and_their_neighbours(whole: int, places: int, beside: int) -> None:
    value = (whole + 0.5) / 10.0**places
    (at,) = struct.unpack("q", bits(value))
    (value,) = struct.unpack("d", struct.pack("q", at + beside))
    assert bits(rounded(value, places)) == bits(round(value, places) + 0.0)


@given(st.integers(-(10**13), 10**13), _PLACES, _PLACES)
def test_what_was_rounded_before_stays(whole: int, before: int, places: int) -> None:
    value = whole / 10.0**before
    assert bits(rounded(value, places)) == bits(round(value, places) + 0.0)
