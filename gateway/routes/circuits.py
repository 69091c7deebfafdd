"""The circuits between agents and the services they need: which are open, and when they are tried again."""

from __future__ import annotations

import time
from enum import StrEnum

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from db.breaker import RedisBreaker
from gateway.auth import Caller
from gateway.connections import Connected
from gateway.problems import Problem, responses
from topics.errors import Code

router = APIRouter(tags=["patterns"])


class CircuitState(StrEnum):
    """How a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBody(BaseModel):
    """One circuit."""

    model_config = ConfigDict(title="Circuit")

    circuit: str = Field(description="agent/service.")
    state: CircuitState = Field(description="open: calls are refused; half_open: one call is let through and decides.")
    failures: int = Field(description="In a row.")
    retry_in_s: float = Field(description="Until the next call is let through; 0 unless it is open.")


class CircuitList(BaseModel):
    """Circuits that have counted a failure in the last hour, by name."""

    circuits: list[CircuitBody]


@router.get(
    "/circuits",
    operation_id="listCircuits",
    summary="Circuits of the agents",
    response_model=CircuitList,
    responses=responses(Code.UPSTREAM_FAILED),
)
async def list_circuits(caller: Caller, connected: Connected) -> CircuitList:
    """Return which services behind the agents do not answer. Those without failures are not listed."""
    breaker = RedisBreaker(connected.redis, f"{connected.settings.topic_prefix}dawsos.")
    found = await breaker.circuits(int(time.time() * 1000))
    if found is None:
        raise Problem(Code.UPSTREAM_FAILED, "Redis does not answer; try again")
    return CircuitList(
        circuits=[
            CircuitBody(
                circuit=each.circuit,
                state=CircuitState(each.state),
                failures=each.failures,
                retry_in_s=each.retry_in_ms / 1000,
            )
            for each in found
        ]
    )
