"""The OpenAPI document: what FastAPI finds, with every answer the server really gives, and real examples."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.examples import PARAMETER_EXAMPLES, RESPONSE_EXAMPLES
from gateway.problems import MEDIA_TYPE, ProblemBody, responses
from topics.errors import Code

_DESCRIPTION = """\
Runs patterns of portfolio analytics on pinned data and returns data, charts and trace.

Every error is a problem (RFC 9457) whose `code` is one of `GET /errors`. Ids of other tenants and users are unknown
ids: they are answered with 404. `POST /execute` may be repeated with the same `request_id`: it is one execution.
"""
_EVERYWHERE = (Code.METHOD_NOT_ALLOWED, Code.PAYLOAD_TOO_LARGE, Code.INTERNAL)
_WITH_TOKEN = (Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.RATE_LIMITED, Code.UPSTREAM_FAILED)
_WITH_BODY = (Code.MALFORMED_BODY,)
_METHODS = ("get", "post", "put", "patch", "delete")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        separate_input_output_schemas=False,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for item in document["paths"].values():
        for method in _METHODS:
            if method in item:
                _complete(item[method])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return _titled(document)


def _titled(document: dict[str, Any]) -> dict[str, Any]:
    """Name schemas by their titles, which are for clients, instead of by our classes."""
    schemas = document["components"]["schemas"]
    names = {name: schema.get("title", name) for name, schema in schemas.items()}
    if len(set(names.values())) != len(names):
        raise ValueError("expected every schema to have a title of its own")
    text = json.dumps(document)
    for name, title in names.items():
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{title}"')
    renamed: dict[str, Any] = json.loads(text)
    found = renamed["components"]["schemas"]
    renamed["components"]["schemas"] = {title: found[name] for name, title in sorted(names.items(), key=lambda n: n[1])}
    return renamed


def _complete(operation: dict[str, Any]) -> None:
    """Add the answers that every operation has, and examples."""
    found = operation["responses"]
    invalid = found.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
    takes_input = "422" in found
    if invalid.get("$ref", "").endswith("HTTPValidationError"):
        del found["422"]
    codes: list[Code] = [*_EVERYWHERE]
    if operation.get("security"):
        codes += (*_WITH_TOKEN, Code.INVALID_REQUEST)
    if "requestBody" in operation:
        codes += _WITH_BODY
    if takes_input:
        codes.append(Code.INVALID_REQUEST)
    for status, response in responses(*codes).items():
        known = found.setdefault(str(status), response)
        if known is not response and MEDIA_TYPE in known.get("content", {}):
            examples = known["content"][MEDIA_TYPE].setdefault("examples", {})
            for name, example in response["content"][MEDIA_TYPE]["examples"].items():
                examples.setdefault(name, example)
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
        example = PARAMETER_EXAMPLES.get(parameter["name"])
        if example is not None:
            parameter["example"] = example
    example = RESPONSE_EXAMPLES.get(operation["operationId"])
    content = found.get("200", {}).get("content", {}).get("application/json")
    if example is not None and content is not None:
        content["example"] = example
    operation["responses"] = dict(sorted(found.items()))


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null: text in a URL or header is absent, never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    if not kinds:
        return schema
    return {**kinds[0], **rest} if len(kinds) == 1 else {"anyOf": kinds, **rest}
