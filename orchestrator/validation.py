"""JSON Schema checks with error texts for people: what was expected, what arrived, where."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from orchestrator.faults import nearest, pointer
from topics.errors import Fault

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FORMATS = FormatChecker(formats=("date",))
_SHOWN_CHARS_MAX = 60
_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "minLength": "a length of at least",
    "maxLength": "a length of at most",
    "minItems": "a length of at least",
    "maxItems": "a length of at most",
}


def schema_faults(schema: Mapping[str, Any], value: Any, where: str, place: str = "") -> list[Fault]:
    """Return everything in which a value does not fit a schema, ordered by place.

    Args:
        schema: JSON Schema 2020-12.
        value: any JSON value.
        where: document named in the faults.
        place: JSON pointer of `value` in that document.
    """
    validator = Draft202012Validator(dict(schema), format_checker=FORMATS)
    faults: dict[Fault, None] = {}
    for error in sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path]):
        for at, message in _explained(error):
            faults[Fault(where, place + pointer(*at), message)] = None
    return list(faults)


def _explained(error: ValidationError) -> Iterable[tuple[list[str | int], str]]:
    at = list(error.absolute_path)
    word, expected, got = str(error.validator), error.validator_value, error.instance
    if word == "type":
        kinds = [str(kind) for kind in expected] if isinstance(expected, list) else [str(expected)]
        yield at, f"expected {' or '.join(_NAMES.get(kind, kind) for kind in kinds)}, got {shown(got)}"
    elif word == "required" and isinstance(expected, list):
        missing = re.match(r"'(.*)' is a required property", error.message)
        yield at, f"{missing[1]!r} is missing" if missing else error.message
    elif word == "additionalProperties" and isinstance(got, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        for name in got:
            if name not in known:
                yield [*at, name], f"unknown name {name!r}{nearest(name, known)}"
    elif word == "enum" and isinstance(expected, list):
        yield at, f"expected one of {', '.join(shown(item) for item in expected)}, got {shown(got)}"
    elif word == "const":
        yield at, f"expected {shown(expected)}, got {shown(got)}"
    elif word == "format":
        yield at, f"expected a {expected}, got {shown(got)}"
    elif word == "pattern":
        wanted = error.schema.get("title") if isinstance(error.schema, Mapping) else None
        yield at, f"expected {wanted or f'a text matching {expected}'}, got {shown(got)}"
    elif word in _BOUNDS:
        yield at, f"expected {_BOUNDS[word]} {expected}, got {shown(got)}"
    elif word == "anyOf" and isinstance(expected, list) and expected[1:] == [{"type": "null"}]:
        for inner in error.context or ():
            if inner.schema_path[0] == 0:
                yield from _explained(inner)
    elif word in ("anyOf", "oneOf") and error.context:
        yield at, _alternatives(error)
    else:
        yield at, f"does not satisfy {word} {shown(expected)}, got {shown(got)}"


def _alternatives(error: ValidationError) -> str:
    options = []
    for inner in error.context or ():
        options.extend(message for _, message in _explained(inner))
    return " or ".join(dict.fromkeys(options)) or error.message


def shown(value: Any) -> str:
    """Return a value as an error text shows it: JSON scalars, and sizes of what is larger."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)[:_SHOWN_CHARS_MAX]
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN_CHARS_MAX else value[:_SHOWN_CHARS_MAX] + "…")
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return f"an object with {len(value)} keys" if isinstance(value, Mapping) else type(value).__name__
