"""The JSON Schema of pattern files, published as `patterns/schema.json`.

Everything the ordered format allows stands as it was; what is added is optional. The schema says what the known keys
may hold; the compiler also reports keys it does not know, with the nearest it does.
"""

from typing import Any

from orchestrator.validation import DIALECT

NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"

_GATE = {
    "type": "object",
    "description": "What to do while the pricing pack of the day is warming; a request's own gate wins.",
    "properties": {
        "policy": {"type": "string", "enum": ["reject", "wait", "serve_stale"]},
        "wait_s": {"type": "number", "minimum": 0, "maximum": 86_400},
    },
}
_RETRY = {
    "type": "object",
    "description": "When a failed attempt is tried again; absent keys come from the capability.",
    "properties": {
        "attempts_max": {"type": "integer", "minimum": 1},
        "backoff_s": {"type": "number", "minimum": 0, "maximum": 86_400},
        "factor": {"type": "number", "minimum": 1, "maximum": 100},
        "cap_s": {"type": "number", "minimum": 0, "maximum": 86_400},
    },
}
_COMPENSATE = {
    "type": "object",
    "description": "The command that takes back what the step did; it runs when the execution cannot succeed.",
    "required": ["capability"],
    "properties": {
        "capability": {"type": "string"},
        "args": {"type": "object", "description": "May also read the step's own output."},
    },
}
_STEP = {
    "type": "object",
    "required": ["capability"],
    "properties": {
        "capability": {
            "type": "string",
            "description": "Name in the capability catalogue; or `pattern.<id>`, whose steps then run in its place.",
        },
        "as": {"type": "string", "description": "Name of the output in `state`; `last` when absent."},
        "args": {
            "type": "object",
            "description": "`{{state.x}}`, `{{inputs.x}}` and `{{ctx.x}}` are filled in.",
        },
        "condition": {"type": "string", "description": "The step is skipped when this is false."},
        "parallel": {
            "type": "boolean",
            "description": "Start as soon as the step's own references are met; else it waits for all earlier steps.",
        },
        "id": {"type": "string", "description": "Unique name of the step; its `as` when absent."},
        "description": {"type": "string"},
        "depends_on": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Ids of earlier steps to wait for, beside those that are referenced.",
        },
        "timeout_s": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds per attempt."},
        "retry": _RETRY,
        "on_error": {
            "description": "What a failure does: end the execution, go on without the output, or go on with a value.",
            "anyOf": [
                {"type": "string", "enum": ["fail", "continue"]},
                {"type": "object", "required": ["value"]},
            ],
        },
        "compensate": _COMPENSATE,
        "foreach": {
            "type": "string",
            "description": "Path of a list, as `state.x.items`: the step runs once per item, which its args read as "
            "`{{item}}`, `{{item.name}}` and `{{index}}`; its output is the list of the items' outputs.",
        },
        "concurrency_max": {
            "type": "integer",
            "minimum": 1,
            "description": "Items of a foreach step under way at a time; 16 when absent.",
        },
    },
}
SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "$id": "pattern.schema.json",
    "title": "Pattern",
    "description": "A declarative workflow over a portfolio.",
    "type": "object",
    "required": ["id", "name", "steps", "outputs"],
    "properties": {
        "$schema": {"type": "string"},
        "id": {"type": "string"},
        "name": {"type": "string"},
        "version": {"type": "string"},
        "description": {"type": "string"},
        "category": {"type": "string", "enum": ["analysis", "workflow", "action", "governance"]},
        "inputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "required": {"type": "boolean"}},
            },
        },
        "steps": {"type": "array", "items": _STEP},
        "outputs": {"type": "array", "items": {"type": "string"}},
        "deadline_s": {"type": "number", "exclusiveMinimum": 0},
        "gate": _GATE,
        "patterns": {
            "type": "object",
            "description": "Sub-patterns by id, whole documents; those that are not here are looked up by id.",
            "additionalProperties": {"type": "object"},
        },
        "output_schema": {"type": "object", "description": "JSON Schema 2020-12 of the result's `data`."},
        "presentation": {"type": "object", "description": "Hints for user interfaces; the engine does not read them."},
    },
}
PATTERN_KEYS = tuple(SCHEMA["properties"])
STEP_KEYS = tuple(_STEP["properties"])
GATE_KEYS = tuple(_GATE["properties"])
COMPENSATE_KEYS = tuple(_COMPENSATE["properties"])
RETRY_KEYS = tuple(_RETRY["properties"])
