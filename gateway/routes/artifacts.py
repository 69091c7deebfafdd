"""Large values by content."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response

from gateway.auth import Caller
from gateway.connections import Connected
from gateway.problems import Problem, responses
from topics.errors import Code

router = APIRouter(tags=["artifacts"])


@router.get(
    "/artifacts/{sha256}",
    operation_id="getArtifact",
    summary="A large value by its digest",
    responses={
        200: {"description": "The value: canonical JSON.", "content": {"application/json": {"schema": {}}}},
        304: {"description": "The client has it."},
        **responses(Code.ARTIFACT_NOT_FOUND, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
    },
    response_class=Response,
)
async def get_artifact(
    sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the value's bytes.")],
    caller: Caller,
    connected: Connected,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return a value of the caller's tenant that a trace or a result refers to, as long as it is kept."""
    data = await connected.artifacts.get(caller.tenant, caller.user_id, sha256)
    if data is None:
        raise Problem(Code.ARTIFACT_NOT_FOUND, f"there is no artifact {sha256}, or it is no longer kept")
    tag = f'"{sha256}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=86400, immutable"}
    if if_none_match == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type="application/json")
