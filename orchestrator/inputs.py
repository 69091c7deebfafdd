"""Inputs of a pattern: from the declarations in the file to JSON Schema 2020-12, and from a request to values.

A declaration is `{"type": "uuid", "required": true}`; further words bound the value. An optional input that is left
out, or null, takes its default, or null when it has none; `has(inputs.x)` asks for that.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jsonschema_rs

from orchestrator.faults import pointer, unknown_key
from orchestrator.schemas import Kinds
from orchestrator.validation import DIALECT, schema_faults, shown
from topics.errors import Fault

UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
DECIMAL_PATTERN = "^-?[0-9]{1,28}([.][0-9]{1,28})?$"
DATE_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

TYPES: Mapping[str, Mapping[str, Any]] = {
    "uuid": {"type": "string", "pattern": UUID_PATTERN, "title": "a UUID"},
    "string": {"type": "string", "maxLength": 65_536},
    "integer": {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
    "number": {"type": "number"},
    "decimal": {
        "type": "string",
        "format": "decimal",
        "pattern": DECIMAL_PATTERN,
        "title": "a decimal number in a text",
    },
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date", "pattern": DATE_PATTERN, "title": "a date (YYYY-MM-DD)"},
    "array": {"type": "array"},
    "object": {"type": "object"},
}
_KINDS = {"uuid": "string", "date": "string", "integer": "number"}
# Words that go into the schema as they stand, and the types they make sense for.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "minimum": ("integer", "number"),
    "maximum": ("integer", "number"),
    "minLength": ("string",),
    "maxLength": ("string",),
    "pattern": ("string",),
    "minItems": ("array",),
    "maxItems": ("array",),
}
DECLARATION_KEYS = ("type", "required", "default", "enum", "description", "items", "properties", *_WORDS)
_WORD_SCHEMAS = "https://json-schema.org/draft/2020-12/meta/validation#/properties/"
_DEPTH_MAX = 8


@dataclass(frozen=True, slots=True)
class Inputs:
    """The compiled inputs of a pattern.

    Attributes:
        schema: JSON Schema 2020-12 of the whole `inputs` object.
        defaults: of every optional input; null where none is declared.
        types: declared type by name.
        validator: decides on the hot path; the error texts are made by `jsonschema` afterwards.
    """

    schema: Mapping[str, Any]
    defaults: Mapping[str, Any]
    types: Mapping[str, str]
    validator: Any

    def kinds(self, name: str) -> Kinds | None:
        """Return the kinds of value an input can have, for conditions; None for an unknown one."""
        declared = self.types.get(name)
        if declared is None:
            return None
        kinds = {_KINDS.get(declared, declared)}
        if name in self.defaults and self.defaults[name] is None:
            kinds.add("null")
        return frozenset(kinds)


_ANY_ID = str(UUID(int=0))


def compile_inputs(declared: Mapping[str, Any], where: str, place: str, faults: list[Fault]) -> Inputs:
    """Turn declarations into a schema and defaults; faulty ones are recorded and accept everything."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    defaults: dict[str, Any] = {}
    types: dict[str, str] = {}
    for name, declaration in declared.items():
        at = place + pointer(name)
        if not isinstance(declaration, Mapping):
            faults.append(
                Fault(where, at, f'expected a declaration such as {{"type": "uuid"}}, got {shown(declaration)}')
            )
            properties[name] = {}
            continue
        before = len(faults)
        schema = _schema(declaration, where, at, faults, _DEPTH_MAX)
        kind = declaration.get("type", "")
        if isinstance(kind, str) and kind in TYPES:
            types[name] = kind
        needed = declaration.get("required", False)
        if not isinstance(needed, bool):
            faults.append(Fault(where, f"{at}/required", f"expected true or false, got {shown(needed)}"))
        if needed is True:
            required.append(name)
            properties[name] = schema
            if "default" in declaration:
                faults.append(Fault(where, f"{at}/default", "a required input has no default"))
        else:
            defaults[name] = declaration.get("default")
            properties[name] = _optional(schema)
            if len(faults) == before and defaults[name] is not None:
                faults.extend(schema_faults(schema, defaults[name], where, f"{at}/default"))
    whole = {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return Inputs(whole, defaults, types, jsonschema_rs.Draft202012Validator(whole, validate_formats=True))


def _optional(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def _schema(declaration: Mapping[str, Any], where: str, at: str, faults: list[Fault], depth: int) -> dict[str, Any]:
    for key in declaration:
        if key not in DECLARATION_KEYS:
            faults.append(Fault(where, at + pointer(key), unknown_key(key, DECLARATION_KEYS)))
    kind = declaration.get("type")
    if kind is None:
        schema: dict[str, Any] = {}
    elif isinstance(kind, str) and kind in TYPES:
        schema = copy.deepcopy(dict(TYPES[kind]))
    else:
        message = f"expected one of {', '.join(TYPES)}, got {shown(kind)}"
        faults.append(Fault(where, f"{at}/type", message))
        return {}
    if isinstance(declaration.get("description"), str):
        schema["description"] = declaration["description"]
    _add_words(schema, declaration, str(kind), where, at, faults)
    if depth <= 0:
        faults.append(Fault(where, at, "expected declarations nested less deeply"))
        return schema
    if isinstance(declaration.get("items"), Mapping):
        schema["items"] = _schema(declaration["items"], where, f"{at}/items", faults, depth - 1)
    if isinstance(declaration.get("properties"), Mapping):
        _add_properties(schema, declaration["properties"], where, f"{at}/properties", faults, depth)
    return schema


def _add_words(
    schema: dict[str, Any], declaration: Mapping[str, Any], kind: str, where: str, at: str, faults: list[Fault]
) -> None:
    for word, kinds in _WORDS.items():
        if word not in declaration:
            continue
        value = declaration[word]
        if kind not in kinds:
            message = f"{word} is for {' and '.join(kinds)}, not for {kind}"
            faults.append(Fault(where, f"{at}/{word}", message))
            continue
        found = schema_faults({"$ref": f"{_WORD_SCHEMAS}{word}"}, value, where, f"{at}/{word}")
        faults.extend(found)
        if not found and word == "pattern":
            found = _pattern_faults(str(value), where, f"{at}/{word}")
            faults.extend(found)
            schema.pop("title", None)
        if not found:
            schema[word] = value
    if "enum" in declaration:
        values = declaration["enum"]
        if not isinstance(values, list) or not values:
            faults.append(Fault(where, f"{at}/enum", f"expected a list of values, got {shown(values)}"))
        else:
            for index, value in enumerate(values):
                faults.extend(schema_faults(schema, value, where, f"{at}/enum/{index}"))
            schema["enum"] = values


def _pattern_faults(text: str, where: str, at: str) -> list[Fault]:
    """Return a fault unless the engine that decides at run time, which never backtracks, takes the expression."""
    try:
        jsonschema_rs.Draft202012Validator({"pattern": text})
    except (ValueError, jsonschema_rs.ValidationError) as error:
        return [Fault(where, at, f"expected a regular expression: {str(error).splitlines()[0][:200]}")]
    return []


def _add_properties(
    schema: dict[str, Any], declared: Mapping[str, Any], where: str, at: str, faults: list[Fault], depth: int
) -> None:
    schema["properties"] = {}
    schema["additionalProperties"] = False
    for name, inner in declared.items():
        if not isinstance(inner, Mapping):
            faults.append(Fault(where, at + pointer(name), f"expected a declaration, got {shown(inner)}"))
            continue
        schema["properties"][name] = _schema(inner, where, at + pointer(name), faults, depth - 1)
        if inner.get("required") is True:
            schema.setdefault("required", []).append(name)


def check_inputs(inputs: Inputs, given: Mapping[str, Any], portfolio_id: UUID | None) -> dict[str, Any] | list[Fault]:
    """Return the inputs of an execution with defaults, or everything that is wrong with what was given.

    Args:
        inputs: of the pattern.
        given: from the request.
        portfolio_id: from the request; fills an input of that name, and must agree with it.
    """
    values = {name: value for name, value in given.items() if value is not None or name not in inputs.defaults}
    faults: list[Fault] = []
    if portfolio_id is not None and "portfolio_id" in inputs.types:
        asked = values.setdefault("portfolio_id", str(portfolio_id))
        if isinstance(asked, str) and asked.lower() != str(portfolio_id):
            message = f"expected the request's portfolio_id {portfolio_id}, got {shown(asked)}"
            faults.append(Fault("", "/inputs/portfolio_id", message))
    if "portfolio_id" in inputs.schema["required"] and "portfolio_id" not in values:
        # The request has a member for it, and that is where people look.
        faults.append(Fault("", "/portfolio_id", "expected a portfolio: the pattern needs one"))
        values["portfolio_id"] = _ANY_ID
    if not inputs.validator.is_valid(values):
        found = schema_faults(inputs.schema, values, "", "/inputs")
        faults.extend(found or [Fault("", "/inputs", "the inputs do not fit the pattern's schema")])
    if faults:
        return faults
    properties = inputs.schema["properties"]
    for name, kind in inputs.types.items():
        value = values.get(name)
        if kind == "uuid" and isinstance(value, str):
            values[name] = value.lower()
        elif isinstance(value, float | list | dict):
            values[name] = _whole_numbers(value, properties[name])
    return {**inputs.defaults, **values}


def _whole_numbers(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value that fits its schema with 2012 where it says 2012.0: to JSON Schema both are integers."""
    schema = schema.get("anyOf", (schema,))[0]
    if isinstance(value, float):
        return int(value) if schema.get("type") == "integer" else value
    if isinstance(value, list) and "items" in schema:
        return [_whole_numbers(each, schema["items"]) for each in value]
    if isinstance(value, dict) and "properties" in schema:
        return {name: _whole_numbers(each, schema["properties"][name]) for name, each in value.items()}
    return value


def portfolio_of(values: Mapping[str, Any], inputs: Inputs, portfolio_id: UUID | None) -> UUID | None:
    """Return the execution's portfolio: the request's, else the input `portfolio_id` if it is a UUID."""
    if portfolio_id is None and inputs.types.get("portfolio_id") == "uuid" and values.get("portfolio_id"):
        return UUID(values["portfolio_id"])
    return portfolio_id
