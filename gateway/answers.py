"""From the result of an execution to the answer a client gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal
from uuid import UUID

import orjson
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.problems import MEANINGS, Problem
from topics.errors import Code
from topics.messages import ExecutionStatus
from topics.trace import Trace

ReadArtifact = Callable[[str], Awaitable[bytes | None]]
_STATUS_CODES = {
    ExecutionStatus.CANCELLED: Code.CANCELLED,
    ExecutionStatus.TIMED_OUT: Code.DEADLINE_EXCEEDED,
}


class ResultBody(BaseModel):
    """A finished execution: what was asked for, and how it came about."""

    model_config = ConfigDict(title="ExecutionResult")

    type: Literal["ExecutionResult"] = Field(description="With `v`, `dawsos verify` and `diff` know what they read.")
    v: int
    execution_id: UUID
    tenant: str
    user_id: UUID
    request_id: str
    pattern_id: str
    status: ExecutionStatus
    data: dict[str, Any] = Field(description="Outputs of the pattern by name; null with a reason in the trace.")
    charts: list[Any] = Field(description="Vega-Lite specifications.")
    trace: Trace
    digest: str = Field(description="Equal for equal answers.")
    refs: dict[str, str] = Field(
        default_factory=dict,
        description="Outputs that are no longer kept: JSON pointer → SHA-256. Normally empty.",
    )
    started_at_ms: int
    finished_at_ms: int


async def whole(result: dict[str, Any], read: ReadArtifact) -> dict[str, Any]:
    """Return a result with outputs that travelled as references put back in their places."""
    refs: dict[str, str] = result.get("refs") or {}
    left = dict(refs)
    for pointer, sha256 in refs.items():
        data = await read(sha256)
        if data is not None and _put(result, pointer, orjson.loads(data)):
            del left[pointer]
    result["refs"] = left
    return result


def _put(result: dict[str, Any], pointer: str, value: Any) -> bool:
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    if keys == ["charts"]:
        result["charts"] = value
        return True
    if len(keys) == 2 and keys[0] == "data":
        result.setdefault("data", {})[keys[1]] = value
        return True
    return False


def answer(result: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """Return 200 with the body of an execution that succeeded, else the problem that says how it ended.

    Args:
        result: an `ExecutionResult` as parsed JSON.
        headers: of the answer.
    """
    if result["status"] != ExecutionStatus.SUCCEEDED:
        problem = problem_of(result)
        problem.headers.update(headers or {})
        return problem.response()
    return Response(orjson.dumps(body_of(result)), 200, headers, "application/json")


def body_of(result: dict[str, Any]) -> dict[str, Any]:
    """Return the `ResultBody` of a result, as JSON values."""
    return {
        "type": result["type"],
        "v": result["v"],
        "execution_id": result["execution_id"],
        "tenant": result["tenant"],
        "user_id": result["user_id"],
        "request_id": result["request_id"],
        "pattern_id": result["pattern_id"],
        "status": result["status"],
        "data": result.get("data", {}),
        "charts": result.get("charts", []),
        "trace": result["trace"],
        "digest": result["digest"],
        "refs": result.get("refs", {}),
        "started_at_ms": result["started_at_ms"],
        "finished_at_ms": result["finished_at_ms"],
    }


def problem_of(result: dict[str, Any]) -> Problem:
    """Return the problem that an execution without success is."""
    error = result.get("error") or {}
    code = _code(error.get("code"), result["status"])
    faults = error.get("details", {}).get("faults")
    return Problem(
        code,
        error.get("message") or MEANINGS[code].title,
        retryable=error.get("retryable") or None,
        retry_after_s=error.get("retry_after_s"),
        headers={"Content-Location": f"/executions/{result['execution_id']}"},
        execution_id=result["execution_id"],
        execution_status=result["status"],
        errors=_faults(faults) if isinstance(faults, list) else None,
    )


def _code(name: Any, status: str) -> Code:
    try:
        return Code(name)
    except ValueError:
        return _STATUS_CODES.get(ExecutionStatus(status), Code.INTERNAL)


def _faults(faults: list[Any]) -> list[dict[str, str]]:
    return [
        {"pointer": str(fault.get("pointer", "")), "detail": str(fault.get("message", ""))}
        for fault in faults
        if isinstance(fault, dict)
    ]
