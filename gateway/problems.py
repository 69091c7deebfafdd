"""Errors as clients see them: RFC 9457 problem details, one code each, from one table.

The code is for machines, title and detail for people; `type` leads to what the code means. Nothing else of an error
leaves the process: no stack trace, no text of an exception that was not made for users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gateway.fields import ID_EXAMPLE, NO_NUL, SHOWN_MAX
from orchestrator.faults import meant
from topics.errors import Code, RetryableError, TerminalError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S_DEFAULT = 5


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means over HTTP."""

    status: int
    title: str


MEANINGS: Mapping[Code, Meaning] = {
    Code.INVALID_REQUEST: Meaning(422, "The request is not valid"),
    Code.INVALID_INPUT: Meaning(422, "The inputs do not fit the pattern"),
    Code.REQUEST_CONFLICT: Meaning(409, "The request id is taken by another request"),
    Code.REQUEST_EXPIRED: Meaning(422, "The request is too old"),
    Code.UNKNOWN_PATTERN: Meaning(404, "There is no such pattern"),
    Code.UNKNOWN_PORTFOLIO: Meaning(404, "There is no such portfolio"),
    Code.UNKNOWN_PACK: Meaning(404, "There is no such pricing pack"),
    Code.UNKNOWN_LEDGER_COMMIT: Meaning(404, "There is no such ledger commit"),
    Code.NO_PACK: Meaning(404, "There is no pricing pack for the day"),
    Code.PACK_WARMING: Meaning(503, "The day's pricing pack is not final yet"),
    Code.PACK_FAILED: Meaning(502, "The day's pricing pack has failed"),
    Code.CANCELLED: Meaning(409, "The execution was cancelled"),
    Code.DEADLINE_EXCEEDED: Meaning(504, "The execution took longer than its deadline"),
    Code.STEP_TIMEOUT: Meaning(504, "A step got no answer in time"),
    Code.TEMPLATE_FAILED: Meaning(422, "An argument of a step could not be made"),
    Code.CONDITION_FAILED: Meaning(422, "The condition of a step could not be evaluated"),
    Code.UNKNOWN_CAPABILITY: Meaning(500, "No agent offers the capability"),
    Code.CODE_VERSION_UNAVAILABLE: Meaning(503, "The capability's version is not available"),
    Code.INVALID_ARGS: Meaning(422, "A capability did not accept its arguments"),
    Code.INVALID_OUTPUT: Meaning(500, "An answer did not fit its schema"),
    Code.OUTPUT_TOO_LARGE: Meaning(500, "An answer was too large"),
    Code.ARTIFACT_NOT_FOUND: Meaning(404, "There is no such artifact"),
    Code.LEDGER_INVALID: Meaning(422, "The ledger has faults"),
    Code.MISSING_FX: Meaning(422, "An exchange rate is missing"),
    Code.MISSING_PRICE: Meaning(422, "A price is missing"),
    Code.RECONCILIATION_FAILED: Meaning(422, "The figures do not reconcile"),
    Code.AGENT_UNAVAILABLE: Meaning(503, "An agent or the service behind it is not available"),
    Code.UPSTREAM_FAILED: Meaning(503, "A service this one needs has failed"),
    Code.PROVIDER_NOT_CONFIGURED: Meaning(501, "A data provider has no key here"),
    Code.MALFORMED_BODY: Meaning(400, "The body is not what it says it is"),
    Code.UNAUTHENTICATED: Meaning(401, "A valid token is needed"),
    Code.FORBIDDEN: Meaning(403, "This is not allowed"),
    Code.NOT_FOUND: Meaning(404, "There is nothing at this address"),
    Code.METHOD_NOT_ALLOWED: Meaning(405, "The address does not take this method"),
    Code.UNKNOWN_EXECUTION: Meaning(404, "There is no such execution"),
    Code.UNKNOWN_DEAD_LETTER: Meaning(404, "There is no such dead letter"),
    Code.PAYLOAD_TOO_LARGE: Meaning(413, "The body is too large"),
    Code.RATE_LIMITED: Meaning(429, "Too many requests"),
    Code.OVERLOADED: Meaning(503, "The gateway is busy"),
    Code.INTERNAL: Meaning(500, "Something went wrong here"),
}
_RETRIED = frozenset({503, 429})


class Fault(BaseModel):
    """One mistake in a request."""

    pointer: str = Field(description="JSON pointer into the body; `?name` for a query parameter, `@name` for a header.")
    detail: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details with our extension members."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="Relative reference to the meaning of the code.", examples=["/errors/PACK_WARMING"])
    title: str
    status: int = Field(ge=400, le=599)
    code: Code
    detail: str
    retryable: bool = Field(description="Whether the same request may succeed later.")
    retry_after_s: float | None = Field(default=None, description="Seconds to wait, as in the header Retry-After.")
    execution_id: str | None = Field(default=None, description="The execution that ended so, if one was started.")
    execution_status: str | None = None
    errors: list[Fault] | None = Field(default=None, description="Every mistake, with its place.")


class Problem(Exception):
    """Ends a request with problem details.

    Args:
        code: from the table.
        detail: for people; what was expected and what arrived.
        retryable: whether the same request may succeed later; by default what the status says.
        retry_after_s: seconds to wait; always given with 503 and 429.
        headers: further headers.
        extra: further members of the body.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})
        self.extra = extra

    def response(self) -> Response:
        """Return the HTTP response."""
        meaning = MEANINGS[self.code]
        retried = meaning.status in _RETRIED
        after_s = self.retry_after_s
        if after_s is None and retried:
            after_s = RETRY_AFTER_S_DEFAULT
        headers = dict(self.headers)
        if after_s is not None:
            headers["Retry-After"] = str(max(1, -int(-after_s // 1)))
        if meaning.status == 401:
            headers.setdefault("WWW-Authenticate", 'Bearer realm="dawsos"')
        body: dict[str, Any] = {
            "type": f"/errors/{self.code}",
            "title": meaning.title,
            "status": meaning.status,
            "code": self.code,
            "detail": self.detail,
            "retryable": retried if self.retryable is None else self.retryable,
        }
        if after_s is not None:
            body["retry_after_s"] = after_s
        body.update((name, value) for name, value in self.extra.items() if value is not None)
        return Response(orjson.dumps(body), meaning.status, headers, MEDIA_TYPE)


def responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Return the entries of an operation's OpenAPI `responses` for some codes, by status."""
    by_status: dict[int, list[Code]] = {}
    for code in codes:
        by_status.setdefault(MEANINGS[code].status, []).append(code)
    return {status: _response(status, found) for status, found in sorted(by_status.items())}


def _response(status: int, codes: Sequence[Code]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": "; ".join(f"{code}: {MEANINGS[code].title}" for code in codes),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {code.value: {"value": example(code)} for code in codes},
            }
        },
    }
    if status in _RETRIED:
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    return described


def example(code: Code) -> dict[str, Any]:
    """Return problem details as they look for a code."""
    body: dict[str, Any] = orjson.loads(bytes(Problem(code, MEANINGS[code].title + ".").response().body))
    return body


def install(app: FastAPI) -> None:
    """Make every error of an app problem details."""

    @app.exception_handler(Problem)
    async def on_problem(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return _invalid(error).response()

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        return _of_status(error).response()

    @app.exception_handler(TerminalError)
    async def on_terminal(request: Request, error: TerminalError) -> Response:
        return Problem(error.code, error.message).response()

    @app.exception_handler(RetryableError)
    async def on_retryable(request: Request, error: RetryableError) -> Response:
        # Its text names addresses; that is for the log.
        service = error.service or "a service"
        detail = f"{service.capitalize()} does not answer; try again."
        return Problem(error.code, detail, retry_after_s=error.retry_after_s).response()


def _invalid(error: RequestValidationError) -> Problem:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Problem(Code.MALFORMED_BODY, "expected a JSON body")
    found = [Fault(pointer=_pointer(fault["loc"]), detail=_said(fault)) for fault in faults[:50]]
    detail = "; ".join(
        f"{fault.pointer.strip('{}')}: {fault.detail}" if fault.pointer else fault.detail for fault in found[:5]
    )
    return Problem(Code.INVALID_REQUEST, detail, errors=[fault.model_dump() for fault in found])


def _said(fault: Mapping[str, Any]) -> str:
    # An id is what people type or paste; pydantic would tell them how its parser failed.
    if fault["type"] == "uuid_parsing":
        return f"expected an id of 36 characters, like {ID_EXAMPLE}, got {str(fault['input'])[:SHOWN_MAX]!r}"
    if fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] == NO_NUL:
        return "expected text without the character NUL"
    return fault["msg"]


def unknown_parameter(name: str, known: Sequence[str]) -> str:
    """Return the fault text for a query parameter an operation does not have."""
    return f"there is no such parameter; {meant(name, known)}" if known else "expected no parameters"


def _pointer(place: Sequence[Any]) -> str:
    source, *rest = place or ("body",)
    if source == "query":
        return "?" + "/".join(map(str, rest))
    if source == "header":
        return "@" + "/".join(map(str, rest))
    if source == "path":
        return "{" + "/".join(map(str, rest)) + "}"
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in rest)


def _of_status(error: HTTPException) -> Problem:
    code = {
        400: Code.MALFORMED_BODY,
        404: Code.NOT_FOUND,
        405: Code.METHOD_NOT_ALLOWED,
        413: Code.PAYLOAD_TOO_LARGE,
    }.get(error.status_code)
    if code is None:
        return Problem(Code.INTERNAL, "Something went wrong here; the log of the gateway says what.")
    return Problem(code, str(error.detail), headers=error.headers)
