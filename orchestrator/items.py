"""Admissions and step records as JSON, each encoded once and kept with the object: the items that rows are made of."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from orchestrator.execution import Admission, StepRecord, StepStatus
from topics.messages import ErrorBody, ExecuteRequest, Gate, Projection, ResultMetadata


def _model(model: Any) -> orjson.Fragment:
    return orjson.Fragment(model.__pydantic_serializer__.to_json(model, exclude_none=True))


def admission(
    request: ExecuteRequest,
    request_sha256: str,
    pattern_digest: str | None,
    inputs: Mapping[str, Any],
    portfolio_id: UUID | None,
    gate: Gate,
    at_ms: int,
    deadline_at_ms: int,
    origin: str,
    versions: str = "",
) -> Admission:
    """Return an admission with its encoding."""
    data = {
        "request": _model(request),
        "sha": request_sha256,
        "pattern": pattern_digest,
        "inputs": inputs,
        "portfolio_id": None if portfolio_id is None else str(portfolio_id),
        "gate": _model(gate),
        "at": at_ms,
        "deadline": deadline_at_ms,
        "origin": origin,
    }
    if versions:
        data["versions"] = versions
    return Admission(
        request,
        request_sha256,
        pattern_digest,
        inputs,
        portfolio_id,
        gate,
        at_ms,
        deadline_at_ms,
        origin,
        versions,
        orjson.dumps(data),
    )


def decode_admission(data: Mapping[str, Any]) -> Admission:
    """Return the admission in its parsed item."""
    portfolio_id = data["portfolio_id"]
    return admission(
        ExecuteRequest.model_validate_json(orjson.dumps(data["request"])),
        data["sha"],
        data["pattern"],
        data["inputs"],
        None if portfolio_id is None else UUID(portfolio_id),
        Gate.model_validate_json(orjson.dumps(data["gate"])),
        data["at"],
        data["deadline"],
        data["origin"],
        data.get("versions", ""),
    )


def record(
    step_id: str,
    status: StepStatus,
    attempts: int,
    started_at_ms: int | None,
    finished_at_ms: int,
    *,
    value: Any = None,
    inline: bool = False,
    ref: str | None = None,
    projections: Mapping[str, Projection] | None = None,
    args_bytes: int = 0,
    args_digest: str | None = None,
    output_digest: str | None = None,
    digest: str | None = None,
    metadata: ResultMetadata | None = None,
    error: ErrorBody | None = None,
    skip_reason: str | None = None,
    lost: bool = False,
    count: int | None = None,
) -> StepRecord:
    """Return a step record with its encoding.

    Raises:
        TypeError: the value is not JSON that a row can hold (an integer beyond 64 bits).
    """
    data: dict[str, Any] = {"id": step_id, "st": status, "n": attempts, "at": started_at_ms, "end": finished_at_ms}
    if inline:
        data["value"] = value
    if ref is not None:
        data["ref"] = ref
    if projections:
        data["proj"] = {path: _model(projection) for path, projection in projections.items()}
    if args_digest is not None:
        data["args"] = [args_bytes, args_digest]
    if output_digest is not None:
        data["out"] = output_digest
    if digest is not None:
        data["digest"] = digest
    if metadata is not None:
        data["meta"] = _model(metadata)
    if error is not None:
        data["error"] = _model(error)
    if skip_reason is not None:
        data["skip"] = skip_reason
    if lost:
        data["lost"] = True
    if count is not None:
        data["count"] = count
    return StepRecord(
        step_id,
        status,
        attempts,
        started_at_ms,
        finished_at_ms,
        value,
        inline,
        ref,
        projections or {},
        args_bytes,
        args_digest,
        output_digest,
        digest,
        metadata,
        error,
        skip_reason,
        lost,
        count,
        orjson.dumps(data),
    )


def decode_record(data: Mapping[str, Any]) -> StepRecord:
    """Return the step record in its parsed item."""
    args_bytes, args_digest = data.get("args", (0, None))
    metadata, error = data.get("meta"), data.get("error")
    return record(
        data["id"],
        StepStatus(data["st"]),
        data["n"],
        data["at"],
        data["end"],
        value=data.get("value"),
        inline="value" in data,
        ref=data.get("ref"),
        projections={
            path: Projection.model_validate_json(orjson.dumps(item)) for path, item in data.get("proj", {}).items()
        },
        args_bytes=args_bytes,
        args_digest=args_digest,
        output_digest=data.get("out"),
        digest=data.get("digest"),
        metadata=None if metadata is None else ResultMetadata.model_validate_json(orjson.dumps(metadata)),
        error=None if error is None else ErrorBody.model_validate_json(orjson.dumps(error)),
        skip_reason=data.get("skip"),
        lost=data.get("lost", False),
        count=data.get("count"),
    )
