"""Execution results for tests."""

from datetime import date
from uuid import UUID

from topics.codec import execution_id_of
from topics.errors import Code
from topics.messages import ErrorBody, ExecutionResult, ExecutionStatus
from topics.trace import StepTrace, Trace


def result_of(
    tenant: str,
    user_id: UUID,
    request_id: str,
    *,
    status: ExecutionStatus = ExecutionStatus.SUCCEEDED,
    pattern_id: str = "portfolio_overview",
    portfolio_id: UUID | None = None,
    finished_at_ms: int = 1_704_884_400_000,
    data: dict | None = None,
    refs: dict[str, str] | None = None,
    step_refs: dict[str, str] | None = None,
    asof: date | None = None,
    asof_requested: date | None = None,
) -> ExecutionResult:
    failed = status is not ExecutionStatus.SUCCEEDED
    step = StepTrace.model_validate(
        {"step_id": "s", "as": "s", "capability": "c", "version": 1, "status": "succeeded", "success": True}
    )
    return ExecutionResult(
        execution_id=execution_id_of(tenant, request_id),
        request_id=request_id,
        tenant=tenant,
        user_id=user_id,
        pattern_id=pattern_id,
        status=status,
        data=data or {"twr": "0.05"},
        refs=refs or {},
        error=ErrorBody(code=Code.INTERNAL, message="broken") if failed else None,
        trace=Trace(
            pattern_id=pattern_id,
            portfolio_id=str(portfolio_id) if portfolio_id else None,
            asof=asof,
            asof_requested=asof_requested,
            steps=(step.model_copy(update={"refs": step_refs or {}}),),
        ),
        digest="d" * 64,
        started_at_ms=finished_at_ms - 100,
        finished_at_ms=finished_at_ms,
    )
