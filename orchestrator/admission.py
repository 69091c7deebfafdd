"""Admitting a request: its identity, its age, its inputs; or the reason why it is rejected."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orchestrator import items
from orchestrator.execution import Admission
from orchestrator.inputs import check_inputs, portfolio_of
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.result import REPRESENTABLE, representable
from topics.canonical import NotCanonical, canonical_bytes
from topics.errors import Code, Fault
from topics.messages import ErrorBody, ExecuteRequest, Gate, GatePolicy

_MS = 1000
_FAULTS_SHOWN_MAX = 5
_FAULTS_KEPT_MAX = 50


@dataclass(frozen=True, slots=True)
class Checked:
    """A request as it is admitted, with the error that rejects it, or None."""

    admission: Admission
    error: ErrorBody | None


def request_sha256(request: ExecuteRequest, fault: str = "") -> str:
    """Return the SHA-256 that tells a repeated request from another one under the same id.

    `submitted_at` does not count: a producer that tries again may stamp anew. What was wrong with a request of which
    only the identity could be read counts, so a valid one is another one.
    """
    try:
        data = canonical_bytes(request.model_dump(mode="json", exclude={"submitted_at"}))
    except NotCanonical:
        data = request.model_dump_json(exclude={"submitted_at"}).encode()
    return hashlib.sha256(data + fault.encode()).hexdigest()


def check_request(
    request: ExecuteRequest,
    pattern: CompiledPattern | None,
    at_ms: int,
    origin: str,
    limits: Limits,
    fault: str = "",
) -> Checked:
    """Check a request against the clock and its pattern; it gets an admission in any case, to be answered.

    Args:
        request: as it arrived.
        pattern: newest version of the pattern it names; None if there is none.
        at_ms: append time.
        origin: the event.
        limits: retention, deadlines.
        fault: what does not fit the contract, if only the request's identity could be read.
    """
    inputs: dict[str, Any] = dict(request.inputs)
    portfolio_id = request.portfolio_id
    error = _clock_error(request, at_ms, limits)
    if fault:
        error = ErrorBody(code=Code.INVALID_REQUEST, message=fault)
    if not representable(inputs):
        inputs = {}
        error = error or _invalid([Fault("", "/inputs", f"expected {REPRESENTABLE}")])
    elif error is None and pattern is None:
        message = f"there is no pattern {request.pattern_id!r}"
        error = ErrorBody(code=Code.UNKNOWN_PATTERN, message=message)
    elif error is None and pattern is not None:
        found = check_inputs(pattern.inputs, inputs, portfolio_id)
        if isinstance(found, list):
            error = _invalid(found)
        else:
            inputs = found
            portfolio_id = portfolio_of(inputs, pattern.inputs, portfolio_id)
            error = _portfolio_error(pattern, portfolio_id)
    gate = request.gate or (pattern.gate if pattern else None) or Gate()
    deadline_s = request.deadline_s
    if deadline_s is None:
        deadline_s = (pattern.deadline_s if pattern else None) or limits.deadline_s_default
        # What it may wait for its pack comes on top: else a gate could never wait for longer than work may take.
        deadline_s += gate.wait_s if gate.policy is GatePolicy.WAIT else 0
    admission = items.admission(
        request,
        request_sha256(request, fault),
        pattern.digest if pattern else None,
        inputs,
        portfolio_id,
        gate,
        at_ms,
        at_ms + round(min(deadline_s, limits.deadline_s_max) * _MS),
        origin,
        pattern.versions if pattern else "",
    )
    return Checked(admission, error)


def _clock_error(request: ExecuteRequest, at_ms: int, limits: Limits) -> ErrorBody | None:
    age_s = at_ms / _MS - request.submitted_at.timestamp()
    if age_s > limits.retention_s:
        message = f"submitted {age_s:.0f} s before it arrived; expected at most {limits.retention_s:g} s"
        return ErrorBody(code=Code.REQUEST_EXPIRED, message=message)
    if -age_s > limits.clock_skew_s:
        message = f"submitted_at lies {-age_s:.0f} s in the future; expected at most {limits.clock_skew_s:g} s"
        return ErrorBody(code=Code.INVALID_REQUEST, message=message)
    return None


def _portfolio_error(pattern: CompiledPattern, portfolio_id: UUID | None) -> ErrorBody | None:
    if portfolio_id is not None or not pattern.portfolio_readers:
        return None
    reader = pattern.step_by_id[pattern.portfolio_readers[0]]
    message = f"expected a portfolio: step {reader.id} ({reader.capability}) reads one"
    return _invalid([Fault("", "/portfolio_id", message)])


def _invalid(faults: list[Fault]) -> ErrorBody:
    shown = "; ".join(f"{fault.pointer}: {fault.message}" for fault in faults[:_FAULTS_SHOWN_MAX])
    more = f"; and {len(faults) - _FAULTS_SHOWN_MAX} more" if len(faults) > _FAULTS_SHOWN_MAX else ""
    kept = [{"pointer": fault.pointer, "message": fault.message} for fault in faults[:_FAULTS_KEPT_MAX]]
    return ErrorBody(code=Code.INVALID_INPUT, message=shown + more, details={"faults": kept})
