"""Checking a result without the engine, a database or Kafka: does everything in it fit its digests?

The chain, from the figures up: output → its step's output digest; arguments → args digest; these two, the capability
and the pins → step digest; the pattern's digest, the inputs, the pins and the steps in order → the execution's digest.
Whoever changes a figure has to change every digest above it, and then the execution's digest is another one than the
one that was published (compare it with the projection, the topic, or a copy).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from provenance.formulas import (
    INTERNAL,
    PINS,
    RESOLVE_STEP,
    SUB_PATTERN,
    args_digest,
    charts_of,
    counted_steps,
    execution_digest,
    internal_digest,
    items_digest,
    pins_of,
    planned_steps,
    step_digest,
    steps_of,
    was_undone,
)
from topics.canonical import NotCanonical, canonical_bytes, digest

NOT_COVERED = (
    "times (…_at_ms) and queued_ms",
    "attempts, cache flags, names and versions of agents",
    "asof, ttl and confidence of steps and panels",
    "sources, warnings, texts and details of errors, the lists agents_used and capabilities_used, pattern_version",
    "how the resolution of pins was asked for and answered (the pins themselves are covered)",
    "how an undoing went beside whether it did, how many items of a foreach step did what",
    "how an execution ended that did not succeed: failed, rejected, cancelled or timed out",
    "user_id; tenant and request_id only as the execution id they give",
    "without the pattern file: names of steps that make no output, and substitutes of failed steps",
)
"""What no digest covers, in words; `docs/verification.md` says why."""

_EXECUTIONS = uuid5(NAMESPACE_URL, "dawsos-executor:execution")
_STATUSES = ("succeeded", "failed", "rejected", "cancelled", "timed_out")
_FAILURES_LISTED_MAX = 20
_BOUND_TO_SOURCES = {"pricing_pack_id": "pricing_pack:", "ledger_commit_hash": "ledger:"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit.

    Attributes:
        pointer: JSON pointer into the result.
        message: what was expected and what stands there.
    """

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found.

    Attributes:
        digest: the execution's digest as the result states it.
        findings: everything that does not fit, from the figures up; empty for a sound result.
        figures, arguments, steps: how many outputs, arguments and steps were recomputed.
        unchecked: what a digest covers but this file cannot show: values behind references, arguments left out.
    """

    digest: str | None
    findings: tuple[Finding, ...]
    figures: int
    arguments: int
    steps: int
    unchecked: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether everything fits."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """Return it as `dawsos verify --json` and the gateway show it."""
        return {"sound": self.sound, **asdict(self), "not_covered": list(NOT_COVERED)}


@dataclass(slots=True)
class _Check:
    result: Mapping[str, Any]
    pattern: Mapping[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[Finding] = field(default_factory=list)
    figures: int = 0
    arguments: int = 0
    steps: int = 0

    def fault(self, pointer: str, message: str) -> None:
        self.findings.append(Finding(pointer, message))


def verify(result: Mapping[str, Any], pattern: Mapping[str, Any] | None = None) -> Verification:
    """Recompute every digest of a result and compare.

    Args:
        result: an `ExecutionResult` as parsed JSON, as it travelled or as `--json` prints it; need not be valid.
        pattern: the pattern's document; with it names and order of the steps and substitutes are checked as well.

    Cost: O(size of the result).
    """
    check = _Check(result, pattern)
    trace = result.get("trace")
    if result.get("type") != "ExecutionResult" or result.get("v", 1) != 1 or not isinstance(trace, Mapping):
        got = f"type {result.get('type')!r}, version {result.get('v')!r}"
        message = f"expected an ExecutionResult of version 1 with a trace, got {got}"
        return Verification(None, (Finding("", message),), 0, 0, 0)
    try:
        _identity(check, trace)
        if pattern is not None:
            _names(check, trace, pattern)
        _outputs(check, trace)
        _arguments(check, trace)
        _steps(check, trace)
        _whole(check, trace)
        _shape(check, trace)
    except (NotCanonical, TypeError, AttributeError, KeyError, ValueError) as error:
        check.fault("", f"not of the form of a result: {type(error).__name__}: {error}")
    own = result.get("digest")
    return Verification(
        own if isinstance(own, str) else None,
        tuple(check.findings),
        check.figures,
        check.arguments,
        check.steps,
        tuple(check.unchecked),
    )


def _identity(check: _Check, trace: Mapping[str, Any]) -> None:
    result = check.result
    wanted = str(uuid5(_EXECUTIONS, canonical_bytes([result.get("tenant"), result.get("request_id")]).decode()))
    if result.get("execution_id") != wanted:
        check.fault("/execution_id", f"expected {wanted}, which tenant and request_id give")
    if result.get("pattern_id") != trace.get("pattern_id"):
        check.fault(
            "/pattern_id", f"expected the trace's {trace.get('pattern_id')!r}, got {result.get('pattern_id')!r}"
        )


def _names(check: _Check, trace: Mapping[str, Any], pattern: Mapping[str, Any]) -> None:
    """Check the trace against the pattern's document."""
    if trace.get("pattern_digest") != digest(pattern):
        check.fault("/trace/pattern_digest", f"expected {digest(pattern)}, the digest of the pattern file")
        return
    traced = [step for step in steps_of(trace) if step.get("step_id") != RESOLVE_STEP]
    if not traced and check.result.get("error") is not None:
        return
    expected = list(planned_steps(pattern))
    if len(traced) != len(expected):
        check.fault("/trace/steps", f"expected the {len(expected)} steps of the pattern, got {len(traced)}")
        return
    places = {id(step): index for index, step in enumerate(steps_of(trace))}
    for step, plan in zip(traced, expected, strict=True):
        for key, wanted in (("step_id", plan.id), ("as", plan.as_), ("capability", plan.capability)):
            if step.get(key) != wanted:
                check.fault(f"/trace/steps/{places[id(step)]}/{key}", f"the pattern says {wanted!r}")
        if step.get("status") == "failed" and step.get("output_digest") is not None and not step.get("items"):
            if not plan.substitutes or digest(plan.value) != step["output_digest"]:
                message = f"step {plan.id} failed: the pattern gives no such substitute"
                check.fault(f"/trace/steps/{places[id(step)]}/output_digest", message)


def _outputs(check: _Check, trace: Mapping[str, Any]) -> None:
    data, refs = _object(check.result.get("data")), _object(check.result.get("refs"))
    strange = [pointer for pointer in refs if pointer != "/charts" and not _is_inside(pointer, data)]
    for pointer in strange:
        check.fault(f"/refs{_escaped(pointer)}", "expected the pointer of an output")
    if check.result.get("status") == "succeeded":
        for name, value in data.items():
            _output(check, trace, f"/data{_escaped(name)}", "", name, value, refs)
        missing = [p.get("output") for p in _list(trace.get("per_panel_staleness")) if p.get("output") not in data]
        for name in missing:
            check.fault(f"/data{_escaped(str(name))}", "expected this output of the pattern, it is missing")
    elif data:
        check.fault("/status", f"expected no data from an execution that is {check.result.get('status')!r}")
    if "/charts" in refs:
        if refs["/charts"] != refs.get("/data/charts"):
            check.fault("/refs/~1charts", "expected the reference of /data/charts")
        return
    charts, expected = check.result.get("charts", []), charts_of(data.get("charts"))
    if not _same(charts, expected):
        check.fault("/charts", "expected the charts of /data/charts")


def _output(
    check: _Check, trace: Mapping[str, Any], at: str, prefix: str, name: str, value: Any, refs: Mapping[str, Any]
) -> None:
    """Check one output against the step that made it; one of a sub-pattern output by output."""
    step = _maker(trace, prefix, name)
    if step is None:
        check.fault(at, f"no step of the trace makes {prefix + name!r}")
    elif str(step.get("capability")).startswith(SUB_PATTERN) and isinstance(value, Mapping):
        for inner, each in value.items():
            _output(check, trace, at + _escaped(inner), f"{step.get('step_id')}/", inner, each, refs)
    elif step.get("output_digest") is None:
        if value is not None or at in refs:
            check.fault(at, f"expected null: step {step.get('step_id')} is {step.get('status')}")
    elif at in refs:
        check.figures += 1
        _reference(check, at, refs[at], step)
    elif isinstance(step.get("items"), Mapping) and isinstance(value, list):
        check.figures += 1
        _items(check, at, value, step, refs)
    else:
        check.figures += 1
        actual = digest(value)
        if actual != step["output_digest"]:
            check.fault(at, f"is not what step {step.get('step_id')} answered: output digest {step['output_digest']}")


def _reference(check: _Check, at: str, sha256: Any, step: Mapping[str, Any]) -> None:
    if sha256 != step["output_digest"]:
        check.fault(f"/refs{_escaped(at)}", f"expected {step['output_digest']}, the output digest of its step")
    else:
        check.unchecked.append(Finding(at, f"stands in the artifact store as {sha256}"))


def _items(check: _Check, at: str, values: list[Any], step: Mapping[str, Any], refs: Mapping[str, Any]) -> None:
    stored = {index: refs[f"{at}/{index}"] for index in range(len(values)) if f"{at}/{index}" in refs}
    fits = _fits(values, step, stored)
    if fits is None:
        check.unchecked.append(Finding(at, "which of its items failed is not in the trace"))
    elif not fits:
        check.fault(at, f"is not what step {step.get('step_id')} answered: output digest {step['output_digest']}")


def _fits(value: Any, step: Mapping[str, Any], stored: Mapping[int, Any] | None = None) -> bool | None:
    """Whether a value is what a step answered; None when the trace cannot tell.

    Of a foreach step failed items have no output, or all the same substitute.
    """
    items = step.get("items")
    if not isinstance(items, Mapping) or not isinstance(value, list):
        return digest(value) == step.get("output_digest")
    if len(value) != items.get("count"):
        return False
    away = stored or {}
    known = [away.get(index) or digest(each) for index, each in enumerate(value)]
    failed = {int(failure.get("index", -1)) for failure in _list(items.get("failures"))}
    if items.get("failed", 0) > _FAILURES_LISTED_MAX:
        failed = {index for index, each in enumerate(value) if each is None and index not in away}
        if len(failed) != items.get("failed"):
            return None
    possible = [items_digest(known)]
    if all(value[index] is None for index in failed if index < len(value)):
        possible.append(items_digest([None if index in failed else each for index, each in enumerate(known)]))
    return step.get("output_digest") in possible


def _is_inside(pointer: str, data: Mapping[str, Any]) -> bool:
    head, _, rest = pointer.removeprefix("/").partition("/")
    return head == "data" and rest.partition("/")[0].replace("~1", "/").replace("~0", "~") in data


def _maker(trace: Mapping[str, Any], prefix: str, name: str) -> Mapping[str, Any] | None:
    """Return the last step that makes an output of this name, among those directly under a prefix."""
    found = None
    for step in steps_of(trace):
        own = str(step.get("step_id"))
        if own.startswith(prefix) and "/" not in own[len(prefix) :] and step.get("as") == name:
            found = step
    return found


def _arguments(check: _Check, trace: Mapping[str, Any]) -> None:
    for index, step in enumerate(steps_of(trace)):
        args, at = step.get("args"), f"/trace/steps/{index}"
        if isinstance(args, Mapping):
            check.arguments += 1
            if args_digest(args, _object(step.get("refs"))) != step.get("args_digest"):
                message = f"are not what step {step.get('step_id')} was asked with: {step.get('args_digest')}"
                check.fault(f"{at}/args", message)
        elif step.get("refs"):
            check.fault(f"{at}/refs", "expected none without arguments")
        elif step.get("args_digest") is not None and not isinstance(step.get("items"), Mapping):
            check.unchecked.append(Finding(f"{at}/args", "too long for the trace"))
        if step.get("output") is not None and _fits(step["output"], step) is False:
            check.fault(f"{at}/output", f"is not what step {step.get('step_id')} answered: {step.get('output_digest')}")
        if step.get("output_ref") not in (None, step.get("output_digest")):
            check.fault(f"{at}/output_ref", f"expected {step.get('output_digest')}, the output digest")


def _steps(check: _Check, trace: Mapping[str, Any]) -> None:
    pins = pins_of(trace)
    places = {id(step): index for index, step in enumerate(steps_of(trace))}
    counted = counted_steps(trace)
    wrong = [step for step in counted if step.get("digest") is not None and step_digest(step, pins) != step["digest"]]
    digests = sum(step.get("digest") is not None for step in counted)
    check.steps += digests
    if digests > 1 and len(wrong) == digests:
        for name in _suspects(trace):
            check.fault(f"/trace/{name}", "this pin is not the one the steps ran on: no step has its digest with it")
        return
    for step in wrong:
        message = f"expected {step_digest(step, pins)} from its capability, version, args, pins and output"
        check.fault(f"/trace/steps/{places[id(step)]}/digest", f"step {step.get('step_id')}: {message}")


def _suspects(trace: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pins that other parts of the trace contradict; all of them if none does."""
    sources = {str(source) for step in steps_of(trace) for source in _list_of_any(step.get("sources"))}
    found: list[str] = []
    for name, prefix in _BOUND_TO_SOURCES.items():
        cited = {source.removeprefix(prefix) for source in sources if source.startswith(prefix)}
        if cited and trace.get(name) not in cited:
            found.append(name)
    inputs = _object(trace.get("inputs"))
    if inputs.get("portfolio_id") is not None and inputs["portfolio_id"] != trace.get("portfolio_id"):
        found.append("portfolio_id")
    if any(bool(step.get("stale")) != bool(trace.get("stale")) for step in counted_steps(trace)):
        found.append("stale")
    yield from found or PINS


def _whole(check: _Check, trace: Mapping[str, Any]) -> None:
    own, error = check.result.get("digest"), _object(check.result.get("error"))
    expected = execution_digest(trace)
    if own == expected:
        return
    if error.get("code") == INTERNAL and own == internal_digest(trace, str(check.result.get("execution_id"))):
        return
    check.fault(
        "/digest",
        f"expected {expected} from /trace/pattern_digest, /trace/inputs, the pins and the steps' digests, order, "
        "statuses and reasons: one of these is not what the execution ran with",
    )


def _shape(check: _Check, trace: Mapping[str, Any]) -> None:
    """Check what follows from covered values: flags, statuses, labels."""
    stale = bool(trace.get("stale", False))
    succeeded = check.result.get("status") == "succeeded"
    if check.result.get("status") not in _STATUSES:
        check.fault("/status", f"expected one of {', '.join(_STATUSES)}, got {check.result.get('status')!r}")
    if succeeded != (check.result.get("error") is None):
        wanted = "no error" if succeeded else "an error"
        check.fault("/error", f"expected {wanted} from an execution that is {check.result.get('status')!r}")
    versions = _object(trace.get("capabilities"))
    for index, step in enumerate(steps_of(trace)):
        _step_shape(check, f"/trace/steps/{index}", step, stale)
        name = str(step.get("capability"))
        if versions and not name.startswith(SUB_PATTERN) and versions.get(name) != step.get("version"):
            check.fault(f"/trace/capabilities{_escaped(name)}", f"expected {step.get('version')}, as of the step")
    for index, panel in enumerate(_list(trace.get("per_panel_staleness"))):
        at, maker = f"/trace/per_panel_staleness/{index}", _maker(trace, "", str(panel.get("output")))
        status = "stale" if stale else "fresh"
        if maker is None:
            check.fault(f"{at}/output", f"no step of the trace makes {panel.get('output')!r}")
        else:
            if panel.get("capability") != maker.get("capability"):
                check.fault(f"{at}/capability", f"step {maker.get('step_id')} asked {maker.get('capability')}")
            answered = maker.get("status") == "succeeded" or maker.get("digest") is not None
            status = status if answered else "unavailable"
        if panel.get("status") != status:
            check.fault(f"{at}/status", f"expected {status!r}, got {panel.get('status')!r}")
        if bool(panel.get("stale", False)) != (status == "stale"):
            check.fault(f"{at}/stale", f"the panel is {status!r}")


def _step_shape(check: _Check, at: str, step: Mapping[str, Any], stale: bool) -> None:
    status, compensation = step.get("status"), step.get("compensation")
    if bool(step.get("success")) != (status == "succeeded"):
        check.fault(f"{at}/success", f"the step is {status!r}")
    if bool(step.get("skipped", False)) != (status == "skipped"):
        check.fault(f"{at}/skipped", f"the step is {status!r}")
    if step.get("skip_reason") is not None and status != "skipped":
        check.fault(f"{at}/skip_reason", f"the step is {status!r}")
    if step.get("error") is not None and (status == "succeeded" or status == "skipped"):
        check.fault(f"{at}/error", f"the step is {status!r}")
    if step.get("digest") is not None and status != "succeeded" and not was_undone(step):
        check.fault(f"{at}/status", f"expected 'succeeded' of a step with a digest, got {status!r}")
    if was_undone(step) != (compensation is not None):
        check.fault(f"{at}/compensation", "expected an account of undoing exactly with a status of undoing")
    elif isinstance(compensation, Mapping) and compensation.get("status") != status:
        check.fault(f"{at}/compensation/status", f"the step is {status!r}")
    if bool(step.get("stale", False)) != (stale and status != "blocked"):
        check.fault(f"{at}/stale", f"the pins say {stale}")


def _same(left: Any, right: Any) -> bool:
    return canonical_bytes(left) == canonical_bytes(right)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _list_of_any(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _escaped(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
