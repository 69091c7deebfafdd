"""Executions: start one, watch it, read what came of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from gateway.auth import Caller
from gateway.connections import Connected
from streams.publisher import NoResult
from topics.messages import ExecuteRequest, Gate

router = APIRouter(tags=["executions"])


class ExecuteBody(BaseModel):
    """What to run."""

    pattern_id: str = Field(min_length=1, max_length=128)
    portfolio_id: UUID | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    asof: date | None = None
    gate: Gate | None = None
    request_id: str | None = Field(None, min_length=1, max_length=128)


@router.post("/execute", operation_id="execute", summary="Run a pattern")
async def execute(body: ExecuteBody, caller: Caller, connected: Connected) -> Response:
    """Run a pattern and return its result."""
    request = ExecuteRequest(
        tenant=caller.tenant,
        user_id=caller.user_id,
        request_id=body.request_id or f"http-{uuid4()}",
        submitted_at=datetime.now(UTC),
        **body.model_dump(exclude={"request_id", "gate"}),
        gate=body.gate,
    )
    try:
        result = await connected.client.execute(request, connected.settings.gateway_wait_s)
    except NoResult:
        return Response(status_code=202)
    content = {"execution_id": result.execution_id, "status": result.status, "data": result.data}
    return Response(
        orjson.dumps(
            {**content, "charts": result.charts, "trace": result.trace.model_dump(mode="json", by_alias=True)}
        ),
        media_type="application/json",
    )
