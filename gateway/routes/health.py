"""Whether the gateway lives and can serve, what it counts, and what its codes mean. No token is needed.

`/livez` and `/readyz` are `/health` and `/ready` under the names that every process answers to; they are not
in the OpenAPI document, where each operation has one name.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict

from gateway.connections import Connected, Connections
from gateway.metrics import MEDIA_TYPE
from gateway.problems import MEANINGS, Problem, responses
from topics.errors import Code

router = APIRouter(tags=["health"])
_PATIENCE_S = 2.0
_PROBE = ["GET", "HEAD"]


class HealthBody(BaseModel):
    """That the process answers."""

    model_config = ConfigDict(title="Health")

    status: str


class ReadyBody(BaseModel):
    """What the gateway needs, and whether it is there."""

    model_config = ConfigDict(title="Ready")

    status: str
    checks: dict[str, str]


class MeaningBody(BaseModel):
    """What a code means."""

    model_config = ConfigDict(title="ErrorCode")

    code: Code
    status: int
    title: str


class MeaningList(BaseModel):
    """All codes, in a fixed order."""

    model_config = ConfigDict(title="ErrorCodes")

    errors: list[MeaningBody]


@router.api_route("/livez", methods=_PROBE, include_in_schema=False)
@router.head("/health", include_in_schema=False)
@router.get("/health", operation_id="getHealth", summary="Whether the process lives", response_model=HealthBody)
async def health() -> dict[str, str]:
    """Answer at once, whatever else is broken."""
    return {"status": "ok"}


@router.api_route("/readyz", methods=_PROBE, include_in_schema=False)
@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    operation_id="getReady",
    summary="Whether the gateway can serve",
    response_model=ReadyBody,
    responses=responses(Code.UPSTREAM_FAILED),
)
async def ready(connected: Connected) -> dict[str, Any]:
    """Say whether Kafka and Postgres answer. Without Redis the gateway serves, but limits no rates."""
    postgres, redis = await asyncio.gather(_postgres(connected), _redis(connected))
    checks = {
        "kafka": "ok" if connected.client.results.reading else "results are not read",
        "postgres": postgres,
        "redis": redis,
    }
    if any(checks[name] != "ok" for name in ("kafka", "postgres")):
        raise Problem(Code.UPSTREAM_FAILED, "a service the gateway needs does not answer", checks=checks)
    return {"status": "ok", "checks": checks}


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
)
async def metrics(connected: Connected) -> Response:
    """Return the counters of this process. No label names a tenant, a user or an execution."""
    return Response(connected.metrics.exposition(connected), headers={"Content-Type": MEDIA_TYPE})


@router.get("/errors", operation_id="listErrors", summary="All error codes", response_model=MeaningList)
async def list_errors() -> dict[str, Any]:
    """Return every code a problem may carry."""
    return {"errors": [_meaning(code) for code in Code]}


@router.get(
    "/errors/{code}",
    operation_id="getError",
    summary="What an error code means",
    response_model=MeaningBody,
    responses=responses(Code.NOT_FOUND),
)
async def get_error(code: Annotated[str, Path(max_length=64, examples=["PACK_WARMING"])]) -> dict[str, Any]:
    """Return what `type` of a problem refers to."""
    try:
        return _meaning(Code(code))
    except ValueError:
        raise Problem(Code.NOT_FOUND, f"there is no error code {code!r}") from None


def _meaning(code: Code) -> dict[str, Any]:
    return {"code": code, "status": MEANINGS[code].status, "title": MEANINGS[code].title}


async def _postgres(connected: Connections) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await connected.pool.fetchval("SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return "does not answer"
    return "ok"


async def _redis(connected: Connections) -> str:
    return "ok" if await connected.cache.reachable() else "does not answer"
