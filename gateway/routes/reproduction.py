"""Whether a result is what it says it is: its digests, its recomputation, and what it differs in from another."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.answers import whole
from gateway.auth import Caller
from gateway.connections import Connected, Connections
from gateway.problems import responses
from gateway.routes.executions import ExecutionBody, ExecutionIdPath, find_execution, not_yet, stored_result
from provenance.comparison import Outcome, Verdict
from provenance.verification import verify
from services.result_diff import diff_results
from services.stored_replay import replay_stored
from services.tokens import Principal
from topics.errors import Code

router = APIRouter(prefix="/executions", tags=["reproduction"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"description": "It is still under way.", "model": ExecutionBody},
    **responses(
        *(Code.UNKNOWN_EXECUTION, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED, Code.OVERLOADED, Code.DEADLINE_EXCEEDED)
    ),
}


class FindingBody(BaseModel):
    """Something that does not fit."""

    model_config = ConfigDict(title="Finding")

    pointer: str = Field(description="JSON pointer into the result.")
    message: str


class VerificationBody(BaseModel):
    """What a check of digests found."""

    model_config = ConfigDict(title="Verification")

    sound: bool = Field(description="Whether everything fits.")
    digest: str | None
    findings: list[FindingBody] = Field(description="What does not fit, from the figures up.")
    figures: int = Field(description="Outputs whose digest was recomputed.")
    arguments: int
    steps: int
    unchecked: list[FindingBody] = Field(description="What a digest covers but is not kept any more.")
    not_covered: list[str] = Field(description="What no digest covers, in words.")


class ReplayedStepBody(BaseModel):
    """One step, as recorded and as recomputed."""

    model_config = ConfigDict(title="ReplayedStep")

    step_id: str
    capability: str
    version: int
    verdict: Verdict = Field(description="same: computed again; stored: its recorded answer stood in.")
    message: str = Field(description="What differs, or why it was not compared; else empty.")
    recorded: str | None = Field(description="Digest of its output.")
    recomputed: str | None


class ReplayBody(BaseModel):
    """What came of recomputing an execution."""

    model_config = ConfigDict(title="Replay")

    execution_id: UUID
    pattern_id: str
    outcome: Outcome
    first_difference: str | None = Field(description="The first step that differs, in the pattern's order.")
    message: str
    digest: str = Field(description="Of the stored result.")
    recomputed_digest: str | None = Field(description="Null unless everything could be made again and is the same.")
    steps: list[ReplayedStepBody]
    findings: list[FindingBody] = Field(description="What does not fit in the stored result itself.")


class ChangeBody(BaseModel):
    """Something that is one thing in A and another in B; null stands for absent."""

    model_config = ConfigDict(title="Change")

    name: str
    a: Any
    b: Any


class StepChangeBody(BaseModel):
    """A step that differs."""

    model_config = ConfigDict(title="StepChange")

    step_id: str
    what: list[str] = Field(description="only in A, only in B, or which of its parts differ.")
    a: str | None
    b: str | None
    causes: list[str]


class FigureChangeBody(BaseModel):
    """A figure that differs."""

    model_config = ConfigDict(title="FigureChange")

    pointer: str = Field(description="JSON pointer into B's result; into A's for what B does not have.")
    label: str = Field(description="Names of the rows on the way.")
    a: Any
    b: Any
    delta: Any = Field(description="B − A of numbers.")
    step_id: str | None = Field(description="Step that made it.")
    causes: list[str] = Field(description="Ids of the causes that explain it; empty when none is known.")


class CauseBody(BaseModel):
    """A root of differences."""

    model_config = ConfigDict(title="Cause")

    id: str
    text: str
    details: list[str] = Field(description="Restated prices, bookings or lines of the pattern, as far as known.")


class DifferenceBody(BaseModel):
    """Everything in which two results differ."""

    model_config = ConfigDict(title="Difference")

    a: UUID
    b: UUID
    same: bool = Field(description="Equal digests.")
    pattern: list[ChangeBody]
    pins: list[ChangeBody]
    inputs: list[ChangeBody]
    steps: list[StepChangeBody]
    figures: list[FigureChangeBody]
    more_figures: int = Field(description="Figures that differ beyond those listed.")
    causes: list[CauseBody]


@router.get(
    "/{execution_id}/verification",
    operation_id="verifyExecution",
    summary="Check the digests of a result",
    response_model=VerificationBody,
    responses=_RESPONSES,
)
async def verify_execution(execution_id: ExecutionIdPath, caller: Caller, connected: Connected) -> Response:
    """Compute every digest of a stored result again, as `dawsos verify` does. Nothing of the pattern is run."""
    result = await _whole(connected, caller, execution_id)
    if result is None:
        return not_yet(await find_execution(connected, caller, execution_id))

    async def check(_: Any) -> dict[str, Any]:
        return verify(result).as_json()

    return _json(await connected.recomputer.run(caller, check))


@router.post(
    "/{execution_id}/replay",
    operation_id="replayExecution",
    summary="Recompute an execution on its pins",
    response_model=ReplayBody,
    responses=_RESPONSES,
)
async def replay_execution(execution_id: ExecutionIdPath, caller: Caller, connected: Connected) -> Response:
    """Recompute every step of a pure capability and compare, as `dawsos replay --verify` does; nothing is stored.

    Like checks and comparisons, recomputations take turns; other requests are not held up.
    """
    settings, catalogue = connected.settings, connected.catalogue
    made = await connected.recomputer.run(
        caller, lambda pool: replay_stored(settings, catalogue, pool, caller.tenant, caller.user_id, execution_id)
    )
    if made is None:
        return not_yet(await find_execution(connected, caller, execution_id))
    return _json(made.as_json())


@router.get(
    "/{execution_id}/diff/{other_id}",
    operation_id="diffExecutions",
    summary="What differs between two executions, and why",
    response_model=DifferenceBody,
    responses=_RESPONSES,
)
async def diff_executions(
    execution_id: ExecutionIdPath,
    other_id: Annotated[UUID, Path(description="Id of the other execution.")],
    caller: Caller,
    connected: Connected,
) -> Response:
    """Return pins, inputs, steps and figures that differ, and which cause explains which, as `dawsos diff` does."""
    found: list[dict[str, Any]] = []
    for each in (execution_id, other_id):
        result = await _whole(connected, caller, each)
        if result is None:
            return not_yet(await find_execution(connected, caller, each))
        found.append(result)
    settings, catalogue = connected.settings, connected.catalogue
    difference = await connected.recomputer.run(caller, lambda pool: diff_results(settings, catalogue, pool, *found))
    return _json(difference.as_json())


async def _whole(connected: Connections, caller: Principal, execution_id: UUID) -> dict[str, Any] | None:
    result = await stored_result(connected, caller, execution_id)
    if result is None:
        return None
    return await whole(result, lambda sha256: connected.artifacts.get(caller.tenant, caller.user_id, sha256))


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
