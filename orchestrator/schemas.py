"""Reading JSON Schemas statically: which values can stand at a path, and does a path exist at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Kinds = frozenset[str]
"""Any of number, decimal, string, boolean, array, object, null."""

NUMBER: Kinds = frozenset({"number"})
ANY_DEPTH_MAX = 40
_SCALARS = {
    "integer": "number",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
    "null": "null",
}
# The pattern pydantic writes for Decimal in JSON Schema.
_PYDANTIC_DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"


@dataclass(frozen=True, slots=True)
class NoSuchPath:
    """A path that no valid value has.

    Attributes:
        key: the first key that cannot exist.
        known: keys that can, in the schema's order.
    """

    key: str
    known: tuple[str, ...]


def kinds_at(schema: Mapping[str, Any], keys: Sequence[str]) -> Kinds | NoSuchPath | None:
    """Return the kinds of value a schema allows at a path; None when it does not say.

    An object with declared properties has no others, unless `additionalProperties` or `patternProperties` allow
    them: a misspelt name is the commoner case.
    """
    here: list[Mapping[str, Any]] | None = _branches(schema, schema, 0)
    for key in keys:
        if here is None:
            return None
        below: list[Mapping[str, Any]] = []
        open_ended = False
        known: dict[str, None] = {}
        for branch in here:
            step = _descend(branch, key, known)
            if step is None:
                open_ended = True
            elif step is not False:
                inner = _branches(step, schema, 0)
                if inner is None:
                    open_ended = True
                else:
                    below.extend(inner)
        if open_ended:
            return None
        if not below:
            return NoSuchPath(key, tuple(known))
        here = below
    if here is None:
        return None
    kinds: set[str] = set()
    for branch in here:
        found = _kinds(branch)
        if found is None:
            return None
        kinds |= found
    return frozenset(kinds)


def _branches(schema: Any, root: Mapping[str, Any], depth: int) -> list[Mapping[str, Any]] | None:
    """Return the alternatives a schema stands for, references followed; None when it cannot be known."""
    if not isinstance(schema, Mapping) or not schema or depth > ANY_DEPTH_MAX:
        return None
    if "$ref" in schema:
        target = _follow(str(schema["$ref"]), root)
        return _branches(target, root, depth + 1) if target is not None else None
    for word in ("anyOf", "oneOf"):
        if word in schema:
            found: list[Mapping[str, Any]] = []
            for option in schema[word]:
                inner = _branches(option, root, depth + 1)
                if inner is None:
                    return None
                found.extend(inner)
            return _decimal_wins(found)
    if "allOf" in schema:
        parts = schema["allOf"]
        return _branches(parts[0], root, depth + 1) if len(parts) == 1 else None
    if not {"type", "properties", "items", "prefixItems", "enum", "const"} & schema.keys():
        return None
    return [schema]


def _decimal_wins(branches: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Drop `number` beside a decimal string: pydantic allows both for Decimal, and both compare as numbers."""
    if any(_is_decimal(branch) for branch in branches):
        return [branch for branch in branches if branch.get("type") not in ("number", "integer")]
    return branches


def _follow(reference: str, root: Mapping[str, Any]) -> Any:
    if not reference.startswith("#"):
        return None
    here: Any = root
    for part in reference[1:].split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, Mapping) or part not in here:
            return None
        here = here[part]
    return here


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    declared = schema.get("type")
    if isinstance(declared, str):
        return (declared,)
    if isinstance(declared, (list, tuple)):
        return tuple(str(item) for item in declared)
    return ()


def _descend(schema: Mapping[str, Any], key: str, known: dict[str, None]) -> Any:
    """Return the schema one key below, False when the key cannot exist, None when it is open."""
    types = _types(schema)
    if "properties" in schema or "object" in types:
        properties = schema.get("properties", {})
        known.update(dict.fromkeys(properties))
        if key in properties:
            return properties[key]
        more = schema.get("additionalProperties")
        if isinstance(more, Mapping) and more:
            return more
        if more is not None and more is not False:
            return None
        if "patternProperties" in schema or (more is None and not properties):
            return None
        return {"type": "integer"} if key == "length" else False
    if "array" in types or "items" in schema or "prefixItems" in schema:
        return _descend_array(schema, key, known)
    if key == "length" and ("string" in types):
        return {"type": "integer"}
    if not types:
        return None
    return False


def _descend_array(schema: Mapping[str, Any], key: str, known: dict[str, None]) -> Any:
    known["length"] = None
    if key == "length":
        return {"type": "integer"}
    if not (key.isascii() and key.isdigit()):
        return False
    first = schema.get("prefixItems", ())
    if int(key) < len(first):
        return first[int(key)]
    items = schema.get("items")
    if items is False:
        return False
    return items if isinstance(items, Mapping) and items else None


def _is_decimal(schema: Mapping[str, Any]) -> bool:
    return "string" in _types(schema) and (
        schema.get("format") == "decimal" or schema.get("pattern") == _PYDANTIC_DECIMAL
    )


def _kinds(schema: Mapping[str, Any]) -> set[str] | None:
    if _is_decimal(schema):
        return {"decimal"} | {_SCALARS[kind] for kind in _types(schema) if kind != "string"}
    types = _types(schema)
    if types:
        return {_SCALARS[kind] for kind in types if kind in _SCALARS}
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if values is not None:
        return {_kind_of(value) for value in values}
    if "properties" in schema:
        return {"object"}
    if "items" in schema or "prefixItems" in schema:
        return {"array"}
    return None


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, (list, tuple)) else "object"
