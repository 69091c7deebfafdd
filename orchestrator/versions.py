"""Capability versions: an execution keeps those it was admitted with.

Answers of another version than was asked for are errors: a result must name what made it.
"""

from collections.abc import Mapping

from orchestrator.pattern import RESOLVE_STEP, CompiledPattern
from topics.canonical import canonical_bytes, sha256_hex
from topics.errors import Code
from topics.messages import CapabilityRequest, CapabilityResult, ErrorBody

_DIGITS = 16


def versions_digest(capabilities: Mapping[str, int]) -> str:
    """Return what names the versions of a pattern's capabilities: its own digest does not cover them."""
    return sha256_hex(canonical_bytes(dict(capabilities)))[:_DIGITS]


def of_pinned_version(answer: CapabilityResult, pattern: CompiledPattern) -> CapabilityResult:
    """Return the answer, or an error in its place if it says that another version made it.

    An answer without metadata makes no such claim and is taken; so is one to a step the pattern does not have, which
    whoever looks for its command will find out.
    """
    metadata = answer.metadata
    if metadata is None or answer.error is not None:
        return answer
    asked = _asked(answer.step_id, pattern)
    if asked is None or asked[1] == metadata.version:
        return answer
    capability, version = asked
    message = f"{capability} was asked for in version {version}, the answer is of version {metadata.version}"
    error = ErrorBody(code=Code.CODE_VERSION_UNAVAILABLE, message=message)
    return answer.model_copy(update={"value": None, "refs": {}, "projections": {}, "error": error})


def from_nobody(request: CapabilityRequest) -> CapabilityResult:
    """Return the answer to a command for a capability that no agent offers any more."""
    message = f"{request.capability} was asked for in version {request.version}; no agent offers it any more"
    return CapabilityResult(
        execution_id=request.execution_id,
        tenant=request.tenant,
        step_id=request.step_id,
        attempt=request.attempt,
        error=ErrorBody(code=Code.CODE_VERSION_UNAVAILABLE, message=message),
    )


def _asked(name: str, pattern: CompiledPattern) -> tuple[str, int] | None:
    step = pattern.step_by_id.get(name)
    if step is not None:
        return step.capability, step.version
    if name == RESOLVE_STEP:
        return None if pattern.resolve is None else (pattern.resolve.name, pattern.resolve.version)
    target = pattern.target(name)
    if target is None:
        return None
    if not target.undo:
        return target.step.capability, target.step.version
    undo = target.step.compensate
    return None if undo is None else (undo.capability, undo.version)
