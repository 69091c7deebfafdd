import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bridge import cursor


@given(st.lists(st.integers(0, 2**63 - 1), max_size=40))
def test_a_cursor_survives_its_text(offsets: list[int]) -> None:
    assert cursor.decode(cursor.encode(offsets)) == offsets


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        assert all(offset >= 0 for offset in cursor.decode(text))
    except cursor.CursorInvalid:
        pass


@pytest.mark.parametrize("text", ["", "?", "Ag", "AYA", "AYCAgICAgICAgIABAA", "é"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(cursor.CursorInvalid):
        cursor.decode(text)


def test_eight_partitions_fit_into_the_reason_of_a_close_frame() -> None:
    assert len(cursor.encode([10**9] * 8)) <= 60
    assert len(cursor.encode([10**9] * 16)) <= 123
