"""Figures as people read them: thousands separated, a true minus sign, a dash for what is not available."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

NOT_AVAILABLE = "–"
_MINUS = "−"
_PRICE_DECIMALS_MIN, _PRICE_DECIMALS_MAX = 2, 6
_NEGATIVE = re.compile(r"(?<![^\s(])-(?=\d[\d,.]*(?:%|\s|[;),]|$))")

Sign = Literal["up", "down", "flat"]


def amount(value: Any, decimals: int = 2, *, plus: bool = False) -> str:
    """Return a decimal string or number like `1,234.50`; a dash for None and what is no number."""
    number = decimal(value)
    if number is None:
        return NOT_AVAILABLE
    return _signed(f"{number:+,.{decimals}f}" if plus else f"{number:,.{decimals}f}")


def quantity(value: Any) -> str:
    """Return a quantity with all its digits but no trailing zeros."""
    number = decimal(value)
    if number is None:
        return NOT_AVAILABLE
    text = f"{number:,f}"
    return _signed(text.rstrip("0").rstrip(".") if "." in text else text)


def price(value: Any) -> str:
    """Return a price with its own decimals, but at least two and at most six; a dash for None and what is no number."""
    number = decimal(value)
    if number is None:
        return NOT_AVAILABLE
    written = f"{number:.{_PRICE_DECIMALS_MAX}f}".rstrip("0").partition(".")[2]
    return amount(number, max(len(written), _PRICE_DECIMALS_MIN))


def percent(value: Any, decimals: int = 2, *, plus: bool = False) -> str:
    """Return a ratio like `+12.34%`; a dash for None and what is no number."""
    number = decimal(value)
    if number is None:
        return NOT_AVAILABLE
    return _signed(f"{number * 100:+,.{decimals}f}%" if plus else f"{number * 100:,.{decimals}f}%")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with what it counts, like `1 row` or `2 rows`; `many` is a plural that does not end in s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def score(value: Any) -> str:
    """Return a rating on the scale 0–10 with one decimal."""
    return amount(value, 1)


def sign(value: Any) -> Sign:
    """Say whether a figure is a gain, a loss or neither."""
    number = decimal(value)
    if not number:
        return "flat"
    return "up" if number > 0 else "down"


def day(value: Any) -> str:
    """Return a date like `30 December 2005`."""
    try:
        on = value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        return NOT_AVAILABLE
    return f"{on.day} {on:%B %Y}"


def moment(at_ms: int | None) -> str:
    """Return milliseconds since the epoch like `2026-11-24 02:30:24 UTC`."""
    if at_ms is None:
        return NOT_AVAILABLE
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


# The one time of a step that is shown anywhere, from the trace: between the broker's times of the event that asked for
# it and of the answer that settled it. A client's own watch would also count how late it heard of either.
STEP_TIME = "asked to settled"


def duration(started_at_ms: int | None, finished_at_ms: int | None) -> str:
    """Return how long something took, like `12 ms` or `3.4 s`."""
    if started_at_ms is None or finished_at_ms is None:
        return NOT_AVAILABLE
    took = max(finished_at_ms - started_at_ms, 0)
    return f"{took} ms" if took < 1000 else f"{took / 1000:,.1f} s"


def with_minus(text: str) -> str:
    """Return a text whose negative numbers have a true minus sign; dates, ids and ranges keep their hyphens."""
    return _NEGATIVE.sub(_MINUS, text)


def decimal(value: Any) -> Decimal | None:
    """Return a number or decimal string as Decimal; None for anything else, NaN and infinity."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _signed(text: str) -> str:
    # What rounds to zero has no sign.
    if text[:1] in "+-" and not any(digit in text for digit in "123456789"):
        return text[1:]
    return _MINUS + text[1:] if text.startswith("-") else text
