"""Executions: find them, watch one, read what came of it, cancel it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from db.executions import ExecutionFilter, ExecutionSummary
from gateway.answers import ResultBody, answer, whole
from gateway.auth import Caller
from gateway.connections import Connected, Connections
from gateway.cursors import cursor_refused, read_cursor, write_cursor
from gateway.fields import NO_NUL, Moment
from gateway.problems import Problem, responses
from services.tokens import Principal
from streams.progress_feed import Progress, WatchOverflow
from streams.stopping import Stopping, unless_stopping
from topics.errors import Code
from topics.messages import CancelExecution, ExecuteRequest, ExecutionStatus
from topics.trace import Trace

router = APIRouter(prefix="/executions", tags=["executions"])

ExecutionIdPath = Annotated[UUID, Path(description="Id of an execution.")]
_LOOK_AGAIN_S = 1
_PING_S = 15
_TERMINAL = frozenset(status.value for status in ExecutionStatus)


class State(StrEnum):
    """Where an execution stands."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    RESOLVING = "resolving"
    WAITING_FOR_PACK = "waiting_for_pack"
    RUNNING = "running"
    COMPENSATING = "compensating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class ItemsBody(BaseModel):
    """How far a foreach step is."""

    model_config = ConfigDict(title="StepItems")

    count: int
    settled: int


class StepBody(BaseModel):
    """One step as it stands."""

    model_config = ConfigDict(title="Step")

    step_id: str
    name: str = Field(description="Name of its output in `state`.")
    capability: str | None = None
    status: str = Field(description="blocked, requested, retry_wait, or how it ended.")
    attempt: int
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    due_at_ms: int | None = Field(default=None, description="When the attempt times out, or the next one starts.")
    items: ItemsBody | None = None
    error_code: str | None = None
    error: str | None = None
    skip_reason: str | None = None


class ExecutionBody(BaseModel):
    """One execution as it stands."""

    model_config = ConfigDict(title="Execution")

    execution_id: UUID
    status: State
    request_id: str | None = None
    pattern_id: str | None = None
    pattern_digest: str | None = None
    portfolio_id: UUID | None = None
    asof: str | None = Field(default=None, description="Day of its prices; before they are pinned, the day asked for.")
    pricing_pack_id: UUID | None = None
    ledger_commit: str | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    deadline_at: AwareDatetime | None = None
    waits_for: str | None = Field(
        default=None, description="In one line, what has to happen next; null once it has ended."
    )
    error_code: str | None = None
    error: str | None = None
    digest: str | None = None
    version: int | None = Field(default=None, description="Grows with each change while it is under way.")
    steps: list[StepBody] | None = Field(
        default=None, description="Only while it is under way; afterwards see the trace."
    )


class ExecutionPage(BaseModel):
    """Some executions, the last started first."""

    executions: list[ExecutionBody]
    next_cursor: str | None = Field(default=None, description="For the next page; null on the last one.")


@router.get(
    "",
    operation_id="listExecutions",
    summary="Find executions",
    response_model=ExecutionPage,
    responses=responses(Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def list_executions(
    caller: Caller,
    connected: Connected,
    status: Annotated[State | None, Query(description="Where it stands.")] = None,
    pattern_id: Annotated[str | None, Query(max_length=128, pattern=NO_NUL)] = None,
    portfolio_id: Annotated[UUID | None, Query()] = None,
    error: Annotated[Code | None, Query(description="Code of its error.")] = None,
    started_after: Annotated[Moment | None, Query(description="Started at or after.")] = None,
    started_before: Annotated[Moment | None, Query(description="Started before.")] = None,
    q: Annotated[str | None, Query(max_length=200, description="Part of request id, pattern id or id.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> ExecutionPage:
    """Return the caller's executions, under way and ended, that fit all filters; the last started first."""
    after = _after(cursor)
    wanted = ExecutionFilter(
        status=status.value if status else None,
        pattern_id=pattern_id,
        portfolio_id=portfolio_id,
        error_code=error.value if error else None,
        since=started_after,
        before=started_before,
        text=_plain(q),
    )
    found: dict[UUID, ExecutionBody] = {}
    for progress in connected.progress.of_user(caller.tenant, caller.user_id):
        body = body_of_progress(progress, with_steps=False)
        if _fits(body, wanted) and (after is None or _place(body) < after):
            found[body.execution_id] = body
    if status is None or status.value in _TERMINAL:
        stored = await connected.executions.find(caller.tenant, caller.user_id, wanted, after, limit + 1)
        found.update((summary.execution_id, body_of_summary(summary)) for summary in stored)
    ordered = sorted(found.values(), key=_place, reverse=True)
    page = ordered[:limit]
    more = len(ordered) > limit
    return ExecutionPage(executions=page, next_cursor=_cursor(page[-1]) if more else None)


@router.get(
    "/{execution_id}",
    operation_id="getExecution",
    summary="One execution as it stands",
    response_model=ExecutionBody,
    responses=responses(Code.UNKNOWN_EXECUTION, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def get_execution(execution_id: ExecutionIdPath, caller: Caller, connected: Connected) -> ExecutionBody:
    """Return where an execution stands, with its steps while it is under way."""
    return await find_execution(connected, caller, execution_id)


@router.get(
    "/{execution_id}/result",
    operation_id="getExecutionResult",
    summary="The result of an execution",
    response_model=ResultBody,
    responses={
        202: {"description": "It is still under way.", "model": ExecutionBody},
        **responses(*(code for code in Code if code not in (Code.RATE_LIMITED, Code.UNAUTHENTICATED, Code.FORBIDDEN))),
    },
)
async def get_result(execution_id: ExecutionIdPath, caller: Caller, connected: Connected) -> Response:
    """Return what `POST /execute` would have returned, had it waited."""
    result = await stored_result(connected, caller, execution_id)
    if result is None:
        return not_yet(await find_execution(connected, caller, execution_id))
    await whole(result, lambda sha: connected.artifacts.get(caller.tenant, caller.user_id, sha))
    return answer(result)


@router.get(
    "/{execution_id}/trace",
    operation_id="getExecutionTrace",
    summary="How an execution came about",
    response_model=Trace,
    responses={
        202: {"description": "It is still under way.", "model": ExecutionBody},
        **responses(Code.UNKNOWN_EXECUTION, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
    },
)
async def get_trace(execution_id: ExecutionIdPath, caller: Caller, connected: Connected) -> Response:
    """Return the trace of an execution, however it ended."""
    result = await stored_result(connected, caller, execution_id)
    if result is None:
        return not_yet(await find_execution(connected, caller, execution_id))
    return Response(orjson.dumps(result["trace"]), media_type="application/json")


@router.get(
    "/{execution_id}/events",
    operation_id="watchExecution",
    summary="Watch an execution",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events: `progress` with an Execution, at last `end` with an Execution.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The client has seen the end already."},
        **responses(Code.UNKNOWN_EXECUTION, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
    },
)
async def watch_execution(
    execution_id: ExecutionIdPath,
    request: Request,
    caller: Caller,
    connected: Connected,
    last_event_id: Annotated[str | None, Header(max_length=40, description="As the browser sends it.")] = None,
) -> Response:
    """Send the present state, then each change as it happens, until the execution ends.

    Progress is state: a client that was away for a while gets the present state, not what it missed. A reconnecting
    client (`Last-Event-ID`) gets nothing it has seen.
    """
    if last_event_id == _END:
        return Response(status_code=204)
    seen = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else -1
    await find_execution(connected, caller, execution_id)
    return EventSourceResponse(_events(connected, caller, execution_id, seen), ping=_PING_S)


@router.delete(
    "/{execution_id}",
    operation_id="cancelExecution",
    summary="Cancel an execution",
    response_model=ExecutionBody,
    responses={
        200: {"description": "It had ended already."},
        202: {"description": "It was told to stop.", "model": ExecutionBody},
        **responses(Code.UNKNOWN_EXECUTION, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
    },
)
async def cancel_execution(
    execution_id: ExecutionIdPath,
    caller: Caller,
    connected: Connected,
    reason: Annotated[str, Query(max_length=500, description="For the trace.")] = "",
) -> Response:
    """Tell an execution to stop; what it did that can be undone is undone. Repeating it is harmless."""
    found = await find_execution(connected, caller, execution_id)
    if found.status.value in _TERMINAL:
        return _body(found, 200)
    signal = CancelExecution(
        execution_id=str(execution_id), tenant=caller.tenant, user_id=caller.user_id, reason=reason
    )
    await connected.client.cancel(signal)
    return _body(found, 202)


_END = "end"


async def _events(
    connected: Connections, caller: Principal, execution_id: UUID, seen: int
) -> AsyncIterator[ServerSentEvent]:
    with connected.progress.watch(caller.tenant, caller.user_id, execution_id) as watch:
        found = await find_execution(connected, caller, execution_id)
        if found.status.value in _TERMINAL:
            yield ServerSentEvent(found.model_dump_json(exclude_none=True), event="end", id=_END)
            return
        while True:
            try:
                # A client that is cut off connects again, to another gateway.
                changes = await unless_stopping(connected.stopping, watch.next())
            except (WatchOverflow, Stopping):
                return
            for progress in changes:
                if progress.version <= seen and not progress.ended:
                    continue
                seen = progress.version
                body = body_of_progress(progress).model_dump_json(exclude_none=True)
                if progress.ended:
                    yield ServerSentEvent(body, event="end", id=_END)
                    return
                yield ServerSentEvent(body, event="progress", id=str(progress.version))


async def find_execution(connected: Connections, caller: Principal, execution_id: UUID) -> ExecutionBody:
    """Return an execution of the caller, wherever it is known.

    Raises:
        Problem: UNKNOWN_EXECUTION; the same for one that is somebody else's.
    """
    progress = connected.progress.get(caller.tenant, caller.user_id, execution_id)
    if progress is not None and not progress.ended:
        return body_of_progress(progress)
    summary = await connected.executions.summary(caller.tenant, caller.user_id, execution_id)
    if summary is not None:
        return body_of_summary(summary)
    if progress is not None:
        return body_of_progress(progress)
    known = await connected.requests.of_execution(caller.tenant, caller.user_id, execution_id)
    if known is None:
        raise Problem(Code.UNKNOWN_EXECUTION, f"there is no execution {execution_id}")
    return ExecutionBody(
        execution_id=execution_id,
        status=State.SUBMITTED,
        request_id=known.request_id,
        pattern_id=known.pattern_id,
        started_at=known.submitted_at,
        waits_for="the orchestrator",
    )


async def accepted(
    connected: Connections, caller: Principal, execution_id: str, request: ExecuteRequest, headers: dict[str, str]
) -> Response:
    """Return 202 for an execution that goes on."""
    progress = connected.progress.get(caller.tenant, caller.user_id, execution_id)
    if progress is not None:
        body = body_of_progress(progress)
    else:
        body = ExecutionBody(
            execution_id=UUID(execution_id),
            status=State.SUBMITTED,
            request_id=request.request_id,
            pattern_id=request.pattern_id,
            started_at=request.submitted_at,
            waits_for="the orchestrator",
        )
    location = {"Location": f"/executions/{execution_id}", "Retry-After": str(_LOOK_AGAIN_S)}
    return _body(body, 202, {**headers, **location})


async def stored_result(connected: Connections, caller: Principal, execution_id: UUID) -> dict[str, Any] | None:
    """Return the stored `ExecutionResult` as parsed JSON; None when the caller has none with this id."""
    data = await connected.executions.raw(caller.tenant, caller.user_id, execution_id)
    return None if data is None else orjson.loads(data)


def not_yet(found: ExecutionBody) -> Response:
    """Return 202 for an execution that has no stored result yet."""
    return _body(found, 202, {"Retry-After": str(_LOOK_AGAIN_S), "Location": f"/executions/{found.execution_id}"})


def _body(found: BaseModel, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(found.model_dump_json(), status, headers, "application/json")


def body_of_progress(progress: Progress, *, with_steps: bool = True) -> ExecutionBody:
    """Return an execution under way, or one that ended a moment ago."""
    view = progress.view
    return ExecutionBody(
        execution_id=UUID(view.execution_id),
        status=State(view.status.value),
        request_id=view.request_id,
        pattern_id=view.pattern_id,
        pattern_digest=view.pattern_digest,
        portfolio_id=None if view.portfolio_id is None else UUID(view.portfolio_id),
        asof=view.asof,
        pricing_pack_id=None if view.pricing_pack_id is None else UUID(view.pricing_pack_id),
        started_at=_time(view.started_at_ms),
        finished_at=_time(view.finished_at_ms),
        deadline_at=_time(view.deadline_at_ms),
        waits_for=view.waits_for,
        error_code=view.error_code,
        error=view.error,
        version=progress.version,
        steps=[_step(step) for step in view.steps] if with_steps else None,
    )


def _step(step: Any) -> StepBody:
    return StepBody(
        step_id=step.step_id,
        name=step.as_,
        capability=step.capability,
        status=step.status,
        attempt=step.attempt,
        started_at_ms=step.started_at_ms,
        finished_at_ms=step.finished_at_ms,
        due_at_ms=step.due_at_ms,
        items=None if step.items is None else ItemsBody(count=step.items[0], settled=step.items[1]),
        error_code=step.error_code,
        error=step.error,
        skip_reason=step.skip_reason,
    )


def body_of_summary(summary: ExecutionSummary) -> ExecutionBody:
    """Return an execution that has ended."""
    return ExecutionBody(
        execution_id=summary.execution_id,
        status=State(summary.status.value),
        request_id=summary.request_id,
        pattern_id=summary.pattern_id,
        pattern_digest=summary.pattern_digest,
        portfolio_id=summary.portfolio_id,
        asof=summary.asof.isoformat() if summary.asof else None,
        pricing_pack_id=summary.pack_id,
        ledger_commit=summary.ledger_commit,
        started_at=summary.started_at,
        finished_at=summary.finished_at,
        error_code=summary.error_code,
        digest=summary.digest,
    )


def _time(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _place(body: ExecutionBody) -> tuple[int, str]:
    assert body.started_at is not None
    return round(body.started_at.timestamp() * 1000), str(body.execution_id)


def _after(cursor: str | None) -> tuple[int, str] | None:
    values = read_cursor(cursor, int, str)
    if values is None:
        return None
    try:
        UUID(values[1])
        _time(values[0])
    except (ValueError, OverflowError, OSError):
        raise cursor_refused() from None
    return values[0], values[1]


def _cursor(body: ExecutionBody) -> str:
    return write_cursor(*_place(body))


def _plain(text: str | None) -> str | None:
    return None if not text else text.replace("\x00", "\ufffd")


def _fits(body: ExecutionBody, wanted: ExecutionFilter) -> bool:
    text = f"{body.request_id} {body.pattern_id} {body.execution_id}".lower()
    return (
        (wanted.status is None or body.status.value == wanted.status)
        and (wanted.pattern_id is None or body.pattern_id == wanted.pattern_id)
        and (wanted.portfolio_id is None or body.portfolio_id == wanted.portfolio_id)
        and (wanted.error_code is None or body.error_code == wanted.error_code)
        and (wanted.since is None or (body.started_at is not None and body.started_at >= wanted.since))
        and (wanted.before is None or (body.started_at is not None and body.started_at < wanted.before))
        and (wanted.text is None or wanted.text.lower() in text)
    )
