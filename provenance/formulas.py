"""The digests of a result, computed from the result alone; docs/verification.md describes them for other languages.

Written apart from the engine on purpose: the engine makes these digests while it runs, this module makes them again
from what was published, and tests compare the two. Everything here takes parsed JSON, with absent keys as null.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topics.canonical import digest

RESOLVE_STEP = "$resolve"
SUB_PATTERN = "pattern."
PINS = (
    "pricing_pack_id",
    "pack_sha256",
    "ledger_commit_hash",
    "portfolio_id",
    "base_ccy",
    "benchmark_id",
    "asof",
    "asof_requested",
    "stale",
)
INTERNAL = "INTERNAL"
_UNDONE = ("compensated", "compensation_failed")


def pins_of(trace: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the pins a trace names; None for an execution that had none."""
    if trace.get("pricing_pack_id") is None:
        return None
    return {name: trace.get(name) for name in PINS[:-1]} | {"stale": bool(trace.get("stale", False))}


def args_digest(args: Mapping[str, Any], refs: Mapping[str, str]) -> str:
    """Return the digest of a step's arguments: canonical `{"args", "refs"}`.

    Args:
        args: as sent; null where an artifact belongs.
        refs: JSON pointer into them → SHA-256 of the artifact.
    """
    return digest({"args": dict(args), "refs": dict(refs)})


def step_digest(step: Mapping[str, Any], pins: Mapping[str, Any] | None) -> str:
    """Return the digest of `[capability, version, args digest, pins or null, output digest]`."""
    return digest(
        [step.get("capability"), step.get("version"), step.get("args_digest"), pins, step.get("output_digest")]
    )


def step_entry(step: Mapping[str, Any]) -> Any:
    """Return what a step of the trace adds to the execution's digest."""
    undone = _mapping(step.get("compensation")).get("status")
    if step.get("digest") is not None:
        return step["digest"] if undone is None else [undone, step["digest"]]
    reason = step.get("skip_reason") or _mapping(step.get("error")).get("code")
    return [undone or step.get("status"), reason]


def counted_steps(trace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps that count: all but the resolution of pins and the ends of sub-patterns."""
    return [
        step
        for step in steps_of(trace)
        if step.get("step_id") != RESOLVE_STEP and not str(step.get("capability")).startswith(SUB_PATTERN)
    ]


def steps_of(trace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps of a trace, leaving out what is no object."""
    found = trace.get("steps")
    return [step for step in found if isinstance(step, Mapping)] if isinstance(found, list) else []


def execution_digest(trace: Mapping[str, Any], entries: Iterable[Any] | None = None) -> str:
    """Return the digest of `[pattern digest, inputs, pins or null, [entry of each step in order]]`.

    Args:
        trace: of the result.
        entries: what the steps add; those the trace gives by default.
    """
    listed = [step_entry(step) for step in counted_steps(trace)] if entries is None else list(entries)
    return digest([trace.get("pattern_digest"), _mapping(trace.get("inputs")), pins_of(trace), listed])


def internal_digest(trace: Mapping[str, Any], execution_id: str) -> str:
    """Return the digest of an execution that a fault of the engine ended."""
    return digest([trace.get("pattern_digest"), INTERNAL, execution_id])


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step as a pattern's document says it.

    Attributes:
        substitutes: whether a failure gives `value` as its output.
    """

    id: str
    as_: str
    capability: str
    substitutes: bool = False
    value: Any = None


def planned_steps(
    pattern: Mapping[str, Any], prefix: str = "", sub: Mapping[str, Any] | None = None
) -> Iterator[PlannedStep]:
    """Yield the steps of a pattern as a trace lists them: those of a sub-pattern before the step that names it.

    Args:
        pattern: its document, with the sub-patterns it uses under `patterns`.
        prefix: of the ids.
        sub: sub-patterns by id; those of `pattern` by default.
    """
    patterns = _mapping(pattern.get("patterns")) if sub is None else sub
    listed = pattern.get("steps")
    for index, step in enumerate(listed if isinstance(listed, list) else []):
        as_, capability = step.get("as", "last"), str(step.get("capability"))
        own = prefix + str(step.get("id") or (as_ if as_ != "last" else f"step_{index}"))
        if capability.startswith(SUB_PATTERN):
            yield from planned_steps(_mapping(patterns.get(capability.removeprefix(SUB_PATTERN))), f"{own}/", patterns)
        on_error = step.get("on_error")
        substitutes = isinstance(on_error, Mapping) and "value" in on_error
        yield PlannedStep(own, as_, capability, substitutes, on_error["value"] if substitutes else None)


def was_undone(step: Mapping[str, Any]) -> bool:
    """Whether a step was undone, or was to be."""
    return step.get("status") in _UNDONE


def charts_of(value: Any) -> list[Any]:
    """Return the `charts` of a result whose output of that name is `value`."""
    if value is None:
        return []
    if isinstance(value, list):
        return value
    inner = value.get("charts") if isinstance(value, Mapping) else None
    return inner if isinstance(inner, list) else [value]


def items_digest(items: Sequence[str | None]) -> str:
    """Return the output digest of a foreach step: that of the list of its items' output digests."""
    return digest(list(items))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
