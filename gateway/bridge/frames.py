"""What a client of the bridge says: read strictly, and refused in words that name the place and what belongs there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from topics.socket import CLIENT_MESSAGE, CLIENT_TYPES, FRAME_BYTES_MAX, Authenticate, Ping, Subscribe, Unsubscribe

_KINDS = [model.__name__ for model in CLIENT_TYPES]
_FIELDS = {model.__name__: list(model.model_fields) for model in CLIENT_TYPES}
_ID_EXAMPLE = "123e4567-e89b-12d3-a456-426614174000"
_FAULTS_SHOWN_MAX = 5
_INPUT_SHOWN_MAX = 80


class FrameInvalid(ValueError):
    """A frame is no message of a client; the text says what was expected, with JSON pointers."""


def read_frame(text: str) -> Subscribe | Unsubscribe | Authenticate | Ping:
    """Return the message in a text frame.

    Raises:
        FrameInvalid: it is none.
    """
    if len(text) > FRAME_BYTES_MAX:
        raise FrameInvalid(f"expected at most {FRAME_BYTES_MAX} bytes")
    try:
        return CLIENT_MESSAGE.validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise FrameInvalid("; ".join(_said(fault) for fault in faults[:_FAULTS_SHOWN_MAX])) from None
    except (ValueError, RecursionError):
        raise FrameInvalid("expected a message of dawsos.v1 as JSON") from None


def _said(fault: Any) -> str:
    # The union puts the message's type first; clients know no such member.
    found: tuple[int | str, ...] = fault["loc"]
    kind, place = "".join(map(str, found[:1])), found[1:]
    text = _TEXTS.get(fault["type"])
    if fault["type"] == "extra_forbidden":
        said = _no_field(str(place[-1]), _FIELDS.get(kind, []))
    elif fault["type"] == "string_pattern_mismatch" and place[:1] == ("executions",):
        said = f"expected an id of 36 characters, like {_ID_EXAMPLE}, got {_shown(fault['input'])}"
    elif text is None:
        said = str(fault["msg"])
    else:
        said = text(fault.get("ctx", {}), fault["input"])
    pointer = "".join(f"/{part}" for part in place)
    if fault["type"].startswith("union_tag"):
        pointer = "/type"
    return f"{pointer}: {said}" if pointer else said


def _no_field(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return (
        f"there is no such field; did you mean {close[0]!r}?"
        if close
        else (f"there is no such field; accepted: {', '.join(known)}")
    )


def _shown(value: Any) -> str:
    return repr(value)[:_INPUT_SHOWN_MAX]


_TEXTS: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "bool_type": lambda _, got: f"expected true or false, got {_shown(got)}",
    "dict_type": lambda _, got: f"expected an object, got {_shown(got)}",
    "json_invalid": lambda _, got: "expected a message of dawsos.v1 as JSON",
    "literal_error": lambda context, got: f"expected {context['expected']}, got {_shown(got)}",
    "missing": lambda _, got: "expected this field",
    "model_attributes_type": lambda _, got: f"expected an object, got {_shown(got)}",
    "string_too_long": lambda context, got: f"expected at most {context['max_length']} characters, got {len(got)}",
    "string_too_short": lambda context, got: "expected text, got none",
    "string_type": lambda _, got: f"expected text, got {_shown(got)}",
    "too_long": lambda context, got: f"expected at most {context['max_length']} of them, got {len(got)}",
    "tuple_type": lambda _, got: f"expected a list, got {_shown(got)}",
    "union_tag_invalid": lambda context, _: f"expected one of {', '.join(_KINDS)}, got {context['tag']!r}",
    "union_tag_not_found": lambda _, got: f"expected one of {', '.join(_KINDS)}",
}
