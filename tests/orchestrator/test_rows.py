"""State and rows: one row for a small execution, pages for a large one, and damage that says so."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.machine import cut
from orchestrator.rows import (
    RowsDamaged,
    decode_rows,
    encode_rows,
    header_pattern_digest,
    page_count,
    page_suffix,
    tombstones,
)
from tests.orchestrator.player import SHA, Player, noop, pattern_of, resolution
from topics.messages import Gate, GatePolicy, Projection

PINNED = {"steps": [{"capability": "charts.overview", "as": "charts"}], "outputs": ["charts"]}


def test_a_small_execution_writes_one_row_per_event() -> None:
    one = Player(pattern_of({"steps": [noop("a"), noop("b"), noop("c")], "outputs": ["c"]}))
    one.request()
    for name in "abc":
        before = one.state
        one.answer(name, {"n": 1})
        assert one.state is not None
        rows = encode_rows(before, one.state)
        assert [suffix for suffix, _ in rows] == [b""]
        assert len(rows[0][1] or b"") < 4096


def test_a_large_one_spills_immutable_pages_and_its_header_stays_small() -> None:
    names = [f"s{index}" for index in range(60)]
    one = Player(pattern_of({"steps": [noop(name) for name in names], "outputs": ["s59"]}))
    one.request()
    pages: dict[bytes, bytes] = {}
    written = 0
    for name in names:
        before = one.state
        one.answer(name, {"n": "x" * 100})
        assert one.state is not None
        for suffix, payload in encode_rows(before, one.state):
            assert payload is not None
            written += len(payload)
            if suffix:
                assert pages.setdefault(suffix, payload) == payload
            else:
                assert len(payload) <= 4096
    assert len(pages) == len(one.state.page_ends) > 5  # type: ignore[union-attr]
    assert written < 60 * 4096 + 60 * 1000


def test_a_large_value_goes_to_its_own_page_at_once() -> None:
    one = Player(pattern_of({"steps": [noop("a"), noop("b")], "outputs": ["a"]}))
    one.request()
    before = one.state
    one.answer("a", "x" * 100_000)
    assert one.state is not None
    rows = encode_rows(before, one.state)
    assert [suffix for suffix, _ in rows] == [b"/0", b""]
    assert len(rows[0][1] or b"") > 100_000
    assert len(rows[1][1] or b"") < 1000


def test_pages_no_header_lists_are_ignored_and_written_again() -> None:
    one = Player(pattern_of({"steps": [noop("a"), noop("b")], "outputs": ["a"]}))
    one.request()
    early = dict(one.rows)
    one.answer("a", "x" * 10_000)
    late = dict(one.rows)
    torn = {**early, b"/0": late[b"/0"]}
    state = decode_rows(torn)
    assert state is not None
    assert not state.finished
    one.state = state
    one.play_event(one.events[-1])
    assert one.rows == late


def test_cut_removes_the_pages() -> None:
    one = Player(pattern_of({"steps": [noop("a")], "outputs": ["a"]}))
    one.request()
    one.answer("a", "x" * 10_000)
    assert one.state is not None
    record = cut(one.state)
    rows = encode_rows(one.state, record)
    assert [(suffix, payload is None) for suffix, payload in rows] == [(b"/0", True), (b"", False)]
    header = rows[-1][1]
    assert header is not None
    assert len(header) <= 480
    assert decode_rows({b"": header}) == record
    assert header_pattern_digest(header) is None
    assert [suffix for suffix, payload in tombstones(one.state) if payload is None] == [b"/0", b""]


def test_the_header_names_pattern_and_pages() -> None:
    one = Player(pattern_of(PINNED))
    one.request()
    assert header_pattern_digest(one.rows[b""]) == one.pattern.digest  # type: ignore[union-attr]
    assert page_count(one.rows[b""]) == 0
    assert page_suffix(12) == b"/12"
    assert decode_rows({}) is None


def test_what_a_parked_execution_and_stored_values_need_is_kept() -> None:
    one = Player(pattern_of({"steps": [noop("a"), noop("b", args={"x": "{{state.a.n}}", "d": "{{ctx.asof}}"})]}))
    one.request(gate=Gate(policy=GatePolicy.WAIT, wait_s=60.0))
    one.resolved(resolution("warming"))
    one.gate()
    one.stored("a", SHA, n=Projection(value=4))
    stored = decode_rows(one.rows, lambda digest: one.pattern)
    assert stored == one.state
    assert one.sent[0].args == {"x": 4, "d": "2026-01-02"}


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ({b"": b"{"}, "expected JSON"),
        ({b"": b"[]"}, "expected a dict"),
        ({b"": b'{"v": 2}'}, "version 1, got 2"),
        ({b"": b'{"v": 1}'}, "expected the rows of one execution"),
        ({b"/0": None}, "expected page 0 of 1"),
        ({b"/0": b"[]"}, "expected 2 items in 1 pages"),
        ({b"/0": b"{}"}, "expected a list"),
        ({b"/0": b"[1, 2]"}, "expected the rows of one execution"),
    ],
)
def test_damage(damage: dict[bytes, bytes | None], text: str) -> None:
    one = Player(pattern_of({"steps": [noop("a"), noop("b")], "outputs": ["a"]}))
    one.request()
    one.answer("a", "x" * 10_000)
    rows = {suffix: row for suffix, row in {**one.rows, **damage}.items() if row is not None}
    with pytest.raises(RowsDamaged, match=text):
        decode_rows(rows)


def test_rows_of_another_pattern() -> None:
    one = Player(pattern_of({"steps": [noop("a"), noop("b")]}))
    one.request()
    other = pattern_of({"steps": [noop("x")]})
    with pytest.raises(RowsDamaged, match="expected steps of p"):
        decode_rows(one.rows, lambda digest: other)


def test_no_items() -> None:
    one = Player(pattern_of({"steps": [noop("a")]}))
    one.request()
    head = orjson.loads(one.rows[b""])
    with pytest.raises(RowsDamaged, match="found no items"):
        decode_rows({b"": orjson.dumps({**head, "items": []})})


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_values, min_size=1, max_size=6), st.integers(0, 5000))
def test_any_values_survive(values: list[Any], padding: int) -> None:
    """The player compares decoded rows with the live state after every event."""
    steps = [noop(f"s{index}") for index in range(len(values))]
    one = Player(pattern_of({"steps": steps, "outputs": ["s0"]}))
    one.request()
    for index, value in enumerate(values):
        one.answer(f"s{index}", {"v": value, "pad": "x" * padding})
    assert one.result.status == "succeeded"
    assert one.result.data == {"s0": {"v": values[0], "pad": "x" * padding}}
