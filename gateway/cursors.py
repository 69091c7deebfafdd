"""Cursors of pages: opaque to clients, and refused when they are not ours."""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import Any

import orjson

from gateway.problems import Problem
from topics.errors import Code


def write_cursor(*values: Any) -> str:
    """Return a cursor for the place after a row with these values (texts and numbers)."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def read_cursor(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """Return the values in a cursor; None without one.

    Raises:
        Problem: INVALID_REQUEST; it was not made by `write_cursor` with values of these kinds.
    """
    if text is None:
        return None
    values: Any = None
    with contextlib.suppress(ValueError, binascii.Error):
        values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise cursor_refused()
    return tuple(values)


def cursor_refused() -> Problem:
    """Return the problem of a cursor that is none of ours."""
    detail = "expected a cursor as a page gave it"
    return Problem(Code.INVALID_REQUEST, f"?cursor: {detail}", errors=[{"pointer": "?cursor", "detail": detail}])
