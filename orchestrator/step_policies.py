"""Policies of a step: how long it may take, how often it is tried, and what its failure does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from orchestrator.catalogue import CapabilitySpec, RetryPolicy
from orchestrator.faults import pointer, unknown_key
from orchestrator.limits import Limits
from orchestrator.pattern import OnError
from orchestrator.schema import RETRY_KEYS
from orchestrator.validation import shown
from topics.canonical import NotCanonical, canonical_bytes
from topics.errors import Fault


def compile_timeout_s(
    given: Any, spec: CapabilitySpec | None, limits: Limits, where: str, place: str, faults: list[Fault]
) -> float:
    """Return the time limit of one attempt: the step's own, else its capability's."""
    if not _is_number(given) or given <= 0:
        return spec.timeout_s if spec else 1.0
    if given > limits.deadline_s_max:
        faults.append(Fault(where, place, f"expected at most {limits.deadline_s_max:g} s, got {shown(given)}"))
    return float(given)


def compile_retry(
    given: Any, spec: CapabilitySpec | None, limits: Limits, where: str, place: str, faults: list[Fault]
) -> RetryPolicy:
    """Return the retry policy: what the step does not say is its capability's."""
    base = spec.retry if spec else RetryPolicy()
    if not isinstance(given, Mapping):
        return replace(base, attempts_max=min(base.attempts_max, limits.attempts_max))
    for key in given:
        if key not in RETRY_KEYS:
            faults.append(Fault(where, place + pointer(key), unknown_key(key, RETRY_KEYS)))
    attempts_max: Any = given.get("attempts_max", base.attempts_max)
    if _is_number(attempts_max) and attempts_max > limits.attempts_max:
        message = f"expected at most {limits.attempts_max} attempts, got {shown(attempts_max)}"
        faults.append(Fault(where, f"{place}/attempts_max", message))
    numbers: dict[str, Any] = {key: given.get(key, getattr(base, key)) for key in RETRY_KEYS}
    if not all(_is_number(value) for value in numbers.values()):
        return base
    return RetryPolicy(
        int(numbers["attempts_max"]),
        float(numbers["backoff_s"]),
        float(numbers["factor"]),
        float(numbers["cap_s"]),
    )


def compile_on_error(given: Any, limits: Limits, where: str, place: str, faults: list[Fault]) -> OnError:
    """Return what a failure of the step does to its execution."""
    action: Literal["fail", "continue"] = "continue" if given == "continue" else "fail"
    if not isinstance(given, Mapping):
        return OnError(action)
    for key in given:
        if key != "value":
            faults.append(Fault(where, place + pointer(key), unknown_key(key, ("value",))))
    value = given.get("value")
    try:
        size = len(canonical_bytes(value))
    except NotCanonical as error:
        faults.append(Fault(where, f"{place}/value", str(error)))
        return OnError()
    if size > limits.inline_bytes:
        faults.append(Fault(where, f"{place}/value", f"expected at most {limits.inline_bytes} bytes, got {size}"))
    return OnError("value", value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
