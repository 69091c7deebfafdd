"""`POST /execute`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Body, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.answers import ResultBody, answer, whole
from gateway.auth import Caller, require_role
from gateway.connections import Connected
from gateway.examples import EXECUTE_EXAMPLES, RESULT_EXAMPLE
from gateway.fields import NO_NUL, Day
from gateway.preferences import read_preferences
from gateway.problems import Fault, Problem, responses
from gateway.routes.executions import ExecutionBody, accepted
from gateway.submission import Submissions
from gateway.tracing import carried_from
from orchestrator.result import REPRESENTABLE, representable
from services.tokens import Role
from topics.errors import Code
from topics.messages import CommitHash, ExecuteRequest, Gate, GatePolicy

router = APIRouter(tags=["executions"])

WAIT_S_MAX = 300.0
# Patterns of this category change what others see, such as packs.
_WORKFLOW = "workflow"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,127}$"
# The IETF's draft has the key in quotes, most clients send it without.
_KEY = rf'^(?:{_NAME[1:-1]}|"{_NAME[1:-1]}")$'

# Any other code may be how an execution ends: agents choose theirs.
_NEVER = frozenset(
    {
        Code.NOT_FOUND,
        Code.METHOD_NOT_ALLOWED,
        Code.UNKNOWN_EXECUTION,
        Code.UNKNOWN_DEAD_LETTER,
        Code.UNAUTHENTICATED,
        Code.FORBIDDEN,
        Code.RATE_LIMITED,
    }
)


class GateBody(BaseModel):
    """What to do while the day's pack is warming."""

    model_config = ConfigDict(extra="forbid", title="Gate")

    policy: GatePolicy = GatePolicy.REJECT
    wait_s: float = Field(60.0, ge=0, le=86_400, allow_inf_nan=False, description="For the policy wait.")


class ExecuteBody(BaseModel):
    """What to run, on which data."""

    model_config = ConfigDict(extra="forbid", title="ExecuteRequest")

    pattern_id: str = Field(min_length=1, max_length=128, pattern=NO_NUL, description="See GET /patterns.")
    portfolio_id: UUID | None = Field(default=None, description="Of the caller; patterns without portfolio need none.")
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="As the pattern's inputs_schema says, see GET /patterns/{pattern_id}."
    )
    asof: Day | None = Field(default=None, description="Day to value at; by default the newest day with a pack.")
    gate: GateBody | None = Field(default=None, description="By default the pattern's own, else reject.")
    request_id: str | None = Field(
        default=None, pattern=_NAME, description="Same id, same execution. Instead of the header Idempotency-Key."
    )
    pack_id: UUID | None = Field(default=None, description="Run on exactly this pricing pack.")
    ledger_commit: CommitHash | None = Field(default=None, description="Run on exactly this ledger commit.")
    deadline_s: float | None = Field(default=None, gt=0, le=86_400, allow_inf_nan=False)


@router.post(
    "/execute",
    operation_id="execute",
    summary="Run a pattern",
    response_model=ResultBody,
    responses={
        200: {
            "description": "It succeeded.",
            "content": {"application/json": {"example": RESULT_EXAMPLE}},
            "headers": {
                "Content-Location": {"schema": {"type": "string"}, "description": "The execution."},
                "Idempotent-Replayed": {
                    "schema": {"type": "string", "enum": ["true"]},
                    "description": "The request had been taken before; nothing was run again.",
                },
            },
        },
        202: {
            "description": "It goes on; look at Location.",
            "model": ExecutionBody,
            "headers": {
                "Location": {"schema": {"type": "string"}, "description": "The execution."},
                "Retry-After": {"schema": {"type": "integer"}, "description": "When to look again, in seconds."},
                "Preference-Applied": {"schema": {"type": "string"}},
            },
        },
        **responses(*(code for code in Code if code not in _NEVER)),
    },
)
async def execute(
    body: Annotated[ExecuteBody, Body(openapi_examples=EXECUTE_EXAMPLES)],
    request: Request,
    caller: Caller,
    connected: Connected,
    prefer: Annotated[str | None, Header(description="respond-async, or wait=SECONDS (RFC 7240).")] = None,
    idempotency_key: Annotated[
        str | None,
        Header(pattern=_KEY, description="Same key, same execution, with or without quotes. Instead of request_id."),
    ] = None,
) -> Response:
    """Run a pattern and return its data, charts and trace.

    Waits for the result for as long as `Prefer: wait=SECONDS` says (30 s by default, 300 at most); what takes longer,
    or is asked for with `Prefer: respond-async`, is answered with 202 and goes on. An execution that does not succeed
    is answered with a problem; its `code` says why. Patterns of the category `workflow` are for operators.
    """
    pattern = connected.patterns.newest(body.pattern_id)
    if pattern is not None and pattern.document.get("category") == _WORKFLOW:
        require_role(caller, Role.OPERATOR)
    preferences = read_preferences(prefer, connected.settings.gateway_wait_s, WAIT_S_MAX)
    named = _request_id(body, None if idempotency_key is None else idempotency_key.strip('"'))
    wanted = _request(body, caller.tenant, caller.user_id, named or f"http-{uuid4()}")
    asynchronous = preferences.wait_s == 0
    outcome = await Submissions(connected).submit(
        wanted,
        named=named is not None or asynchronous,
        wait_s=preferences.wait_s,
        headers=carried_from(request),
    )
    headers = {"Content-Location": f"/executions/{outcome.execution_id}"}
    if preferences.applied is not None:
        headers["Preference-Applied"] = preferences.applied
    if outcome.result is None:
        return await accepted(connected, caller, outcome.execution_id, wanted, headers)
    if outcome.repeated:
        headers["Idempotent-Replayed"] = "true"
    connected.metrics.results.labels(outcome.result["status"]).inc()
    if outcome.result.get("refs"):
        await whole(outcome.result, lambda sha: connected.artifacts.get(caller.tenant, caller.user_id, sha))
    return answer(outcome.result, headers)


def _request_id(body: ExecuteBody, key: str | None) -> str | None:
    if body.request_id is not None and key is not None and body.request_id != key:
        detail = "expected request_id and the header Idempotency-Key to agree, or one of them"
        raise Problem(Code.INVALID_REQUEST, detail, errors=[Fault(pointer="/request_id", detail=detail).model_dump()])
    return body.request_id or key


def _request(body: ExecuteBody, tenant: str, user_id: UUID, request_id: str) -> ExecuteRequest:
    if not representable(body.inputs):
        # Written to Kafka as they are they would become null, and the execution succeed on other inputs than asked for.
        detail = f"expected inputs of {REPRESENTABLE}"
        raise Problem(Code.INVALID_INPUT, detail, errors=[Fault(pointer="/inputs", detail=detail).model_dump()])
    try:
        return ExecuteRequest(
            tenant=tenant,
            request_id=request_id,
            user_id=user_id,
            pattern_id=body.pattern_id,
            portfolio_id=body.portfolio_id,
            inputs=body.inputs,
            asof=body.asof,
            pack_id=body.pack_id,
            ledger_commit=body.ledger_commit,
            gate=None if body.gate is None else Gate(policy=body.gate.policy, wait_s=body.gate.wait_s),
            deadline_s=body.deadline_s,
            submitted_at=datetime.now(UTC),
        )
    except ValidationError as error:
        faults = [
            Fault(pointer="".join(f"/{part}" for part in fault["loc"]), detail=fault["msg"]).model_dump()
            for fault in error.errors(include_url=False)
        ]
        raise Problem(Code.INVALID_REQUEST, "the request is not valid", errors=faults) from None
