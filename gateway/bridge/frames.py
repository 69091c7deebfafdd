"""What a client of the bridge says: read strictly, and refused in words that name the place and what belongs there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from gateway.fields import ID_EXAMPLE, shown
from orchestrator.faults import meant
from topics.socket import CLIENT_MESSAGE, CLIENT_TYPES, FRAME_BYTES_MAX, Authenticate, Ping, Subscribe, Unsubscribe

_KINDS = [model.__name__ for model in CLIENT_TYPES]
_FIELDS = {model.__name__: list(model.model_fields) for model in CLIENT_TYPES}
_FAULTS_SHOWN_MAX = 5


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
        said = f"there is no such field; {meant(str(place[-1]), _FIELDS.get(kind, []))}"
    elif fault["type"] == "string_pattern_mismatch" and place[:1] == ("executions",):
        said = f"expected an id of 36 characters, like {ID_EXAMPLE}, got {shown(fault['input'])}"
    elif text is None:
        said = str(fault["msg"])
    else:
        said = text(fault.get("ctx", {}), fault["input"])
    pointer = "".join(f"/{part}" for part in place)
    if fault["type"].startswith("union_tag"):
        pointer = "/type"
    return f"{pointer}: {said}" if pointer else said


_TEXTS: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "bool_type": lambda _, got: f"expected true or false, got {shown(got)}",
    "dict_type": lambda _, got: f"expected an object, got {shown(got)}",
    "json_invalid": lambda _, got: "expected a message of dawsos.v1 as JSON",
    "literal_error": lambda context, got: f"expected {context['expected']}, got {shown(got)}",
    "missing": lambda _, got: "expected this field",
    "model_attributes_type": lambda _, got: f"expected an object, got {shown(got)}",
    "string_too_long": lambda context, got: f"expected at most {context['max_length']} characters, got {len(got)}",
    "string_too_short": lambda context, got: "expected text, got none",
    "string_type": lambda _, got: f"expected text, got {shown(got)}",
    "too_long": lambda context, got: f"expected at most {context['max_length']} of them, got {len(got)}",
    "tuple_type": lambda _, got: f"expected a list, got {shown(got)}",
    "union_tag_invalid": lambda context, _: f"expected one of {', '.join(_KINDS)}, got {context['tag']!r}",
    "union_tag_not_found": lambda _, got: f"expected one of {', '.join(_KINDS)}",
}
