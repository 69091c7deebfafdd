"""Dotted paths into JSON values."""

from typing import Any

import pytest

from topics.paths import Missing, lookup

VALUE = {"a": {"b": [10, {"c": None}]}, "length": 7, "text": "four", "0": "zero"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", VALUE),
        ("a.b.0", 10),
        ("a.b.1.c", None),
        ("a.b.length", 2),
        ("a.length", 1),
        ("length", 7),
        ("text.length", 4),
        ("0", "zero"),
        ("a.x", Missing(("a",), ("b",))),
        ("a.b.2", Missing(("a", "b"), ("0", "1"))),
        ("a.b.-1", Missing(("a", "b"), ("0", "1"))),
        ("a.b.0.c", Missing(("a", "b", "0"), ())),
        ("a.b.__class__", Missing(("a", "b"), ("0", "1"))),
        ("a.b.٠", Missing(("a", "b"), ("0", "1"))),
    ],
)
def test_lookup(path: str, expected: Any) -> None:
    assert lookup(VALUE, tuple(path.split(".")) if path else ()) == expected
