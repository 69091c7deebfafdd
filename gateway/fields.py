"""Values in requests that their bare types would take too widely: days, times, and text that Postgres cannot hold.

Bare, a day may be given as a number (0 is 1970-01-01), which no client means, and a time so close to the ends of the
calendar that it lies beyond them in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*([Zz]|[+-]\d{2}:?\d{2})")
SHOWN_MAX = 80
ID_EXAMPLE = "123e4567-e89b-12d3-a456-426614174000"


def _day(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("day", "expected a day like 2026-02-27, got {got}", {"got": shown(value)})


def _moment(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return value
    raise PydanticCustomError(
        "moment", "expected a time with its zone like 2026-02-27T09:30:00Z, got {got}", {"got": shown(value)}
    )


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "expected a time within the years 1 to 9999 of UTC") from None


def shown(value: Any) -> str:
    """Return a refused value as it stands in messages."""
    return repr(value)[:SHOWN_MAX]


Day = Annotated[date, BeforeValidator(_day)]
"""A day, as text `YYYY-MM-DD` only."""
Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
"""A time with a zone, as text only, in UTC."""
NO_NUL = r"^[^\x00]*$"
"""The pattern of text without the character NUL, which Postgres does not store."""
