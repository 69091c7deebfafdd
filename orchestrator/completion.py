"""The pattern schema for editors: capabilities, their arguments and sub-patterns are completed as they are known here.

It allows whatever the compiler may allow: an argument can be a template at any depth, so types of values are described,
not demanded. The compiler has the last word.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from orchestrator.catalogue import RESOLVE_CAPABILITY, CapabilitySpec, Catalogue
from orchestrator.pattern import CompiledPattern
from orchestrator.schema import SCHEMA
from orchestrator.steps import CALL

_DEPTH_MAX = 3
_TEMPLATE = {"type": "string", "pattern": r"\{\{.*\}\}"}


def editor_schema(catalogue: Catalogue, patterns: Iterable[CompiledPattern] = ()) -> dict[str, Any]:
    """Return the pattern schema (2020-12) with the names of a catalogue and of known patterns.

    Args:
        catalogue: capabilities, each completed with its version and what it does.
        patterns: completed as `pattern.<id>`, with their inputs as arguments.
    """
    offered = [spec for name, spec in sorted(catalogue.capabilities.items()) if name != RESOLVE_CAPABILITY]
    named = [(spec.name, _summary(spec), spec.input_schema) for spec in offered]
    named += [
        (CALL + pattern.id, f"Pattern {pattern.name}, version {pattern.version}", pattern.inputs_schema)
        for pattern in patterns
    ]
    schema = deepcopy(SCHEMA)
    step = schema["properties"]["steps"]["items"]
    # A pattern may carry sub-patterns of its own, whose ids nobody knows here.
    other = {"type": "string", "pattern": f"^{CALL.replace('.', '[.]')}"}
    capability = step["properties"]["capability"]
    capability["anyOf"] = [*({"const": name, "description": text} for name, text, _ in named), other]
    undo = step["properties"]["compensate"]["properties"]["capability"]
    undo["anyOf"] = [{"const": spec.name, "description": _summary(spec)} for spec in offered]
    step["allOf"] = [_arguments_of(name, text, declared) for name, text, declared in named]
    return schema


def _summary(spec: CapabilitySpec) -> str:
    needs = f"; needs {', '.join(spec.needs)}" if spec.needs else ""
    return f"{spec.summary} (version {spec.version}, agent {spec.agent}{needs})"


def _arguments_of(name: str, text: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what holds for a step's `args` when it asks for this name."""
    arguments = _loose(declared, declared, 0)
    arguments["description"] = text
    if "properties" in declared:
        arguments["required"] = list(declared.get("required", ()))
        arguments["additionalProperties"] = declared.get("additionalProperties", False) not in (False, None)
    return {
        "if": {"required": ["capability"], "properties": {"capability": {"const": name}}},
        "then": {"properties": {"args": arguments}},
    }


def _loose(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Return a schema that names keys and values without demanding them; null is left out, it completes nothing."""
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = {**root.get("$defs", {}).get(str(schema["$ref"]).rpartition("/")[2], {}), **_without_ref(schema)}
    if not isinstance(schema, Mapping) or depth > _DEPTH_MAX:
        return {}
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return {**_loose(options[0], root, depth), **_described(schema)}
    found = _described(schema)
    if "enum" in schema:
        found["anyOf"] = [{"enum": list(schema["enum"])}, _TEMPLATE]
    if isinstance(properties := schema.get("properties"), Mapping):
        found["properties"] = {name: _loose(each, root, depth + 1) for name, each in properties.items()}
    if isinstance(schema.get("items"), Mapping) and (items := _loose(schema["items"], root, depth + 1)):
        found["items"] = items
    return found


def _without_ref(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {word: value for word, value in schema.items() if word != "$ref"}


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words for people, the default, and in words the type, which templates may stand for."""
    found = {word: schema[word] for word in ("default",) if word in schema}
    text = str(schema.get("description") or "").partition("\n")[0]
    kind = str(schema.get("format") or schema.get("type") or "")
    if text or kind:
        found["description"] = " – ".join(part for part in (kind, text) if part)
    return found
