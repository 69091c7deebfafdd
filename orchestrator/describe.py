"""A compiled pattern for people: as a graph in JSON, as Mermaid text, and as plain text that tests compare."""

from collections.abc import Iterator
from typing import Any

from orchestrator.pattern import RESOLVE_STEP, CompiledPattern, CompiledStep

_TEXT_CHARS_MAX = 60


def graph(pattern: CompiledPattern) -> dict[str, Any]:
    """Return the pattern as a graph.

    Returns:
        `nodes`: id, as, capability, version, agent, condition (or null), parallel, output; foreach and undone_by
            where they are given.
        `edges`: from, to, kind: `data` (reads its output), `order` (only waits for it) or `pins`.
    """
    nodes: list[dict[str, Any]] = []
    if pattern.resolve is not None:
        spec = pattern.resolve
        nodes.append(_node(RESOLVE_STEP, RESOLVE_STEP, spec.name, spec.version, spec.agent, None, False, False))
    for step in pattern.steps:
        condition = step.condition.text if step.condition else None
        node = _node(
            step.id, step.as_, step.capability, step.version, step.agent, condition, step.parallel, step.output
        )
        if step.foreach is not None:
            node["foreach"] = step.foreach.text
        if step.compensate is not None:
            node["undone_by"] = step.compensate.capability
        nodes.append(node)
    edges = [
        {"from": source, "to": step.id, "kind": kind}
        for step in pattern.steps
        for source, kind in _edges(pattern, step)
    ]
    return {"id": pattern.id, "name": pattern.name, "digest": pattern.digest, "nodes": nodes, "edges": edges}


def mermaid(pattern: CompiledPattern) -> str:
    """Return the pattern as a Mermaid flowchart; data edges are solid, order edges dotted."""
    names = {RESOLVE_STEP: "resolve", **{step.id: f"s{step.index}" for step in pattern.steps}}
    lines = ["flowchart TD"]
    drawn = graph(pattern)
    for node in drawn["nodes"]:
        condition = f"<br/>if {_safe(node['condition'])}" if node["condition"] else ""
        each = f"<br/>for each of {_safe(node['foreach'])}" if "foreach" in node else ""
        undo = f"<br/>undone by {_safe(node['undone_by'])}" if "undone_by" in node else ""
        label = f"{_safe(node['as'])}<br/>{_safe(node['capability'])}{condition}{each}{undo}"
        left, right = ('(["', '"])') if node["output"] else ('["', '"]')
        lines.append(f"    {names[node['id']]}{left}{label}{right}")
    for edge in drawn["edges"]:
        arrow = "-->" if edge["kind"] == "data" else "-.->"
        lines.append(f"    {names[edge['from']]} {arrow} {names[edge['to']]}")
    return "\n".join(lines) + "\n"


def describe(pattern: CompiledPattern) -> str:
    """Return everything the compiler decided about a pattern, one line per fact."""
    lines = [f"pattern {pattern.id} {pattern.digest[:12]}"]
    if pattern.needs_pins:
        lines.append("  pinned by context.resolve")
    lines.extend(f"  input {name}: {kind}{_default(pattern, name)}" for name, kind in pattern.inputs.types.items())
    for step in pattern.steps:
        how = "parallel" if step.parallel else "sequential"
        if step.part is not None:
            lines.append(f"  {'begin' if step.part.begins else 'end'} {step.part.step} = {step.capability}, {how}")
            lines.extend(f"    {fact}" for fact in _order_facts(step))
            continue
        lines.append(f"  step {step.id} = {step.capability}@{step.version} on {step.agent}, {how}")
        lines.extend(f"    {fact}" for fact in _facts(step))
    lines.extend(f"  output {name} from {step}" for name, step in pattern.outputs.items())
    return "\n".join(lines) + "\n"


def _order_facts(step: CompiledStep) -> Iterator[str]:
    if step.condition:
        yield f"if {step.condition.text}"
    if step.after:
        yield f"after {', '.join(step.after)}"
    tested = [name for name in step.after if name not in step.requires and step.part is None]
    if tested:
        yield f"runs without {', '.join(tested)}"


def _facts(step: CompiledStep) -> Iterator[str]:
    yield from _order_facts(step)
    if step.foreach is not None:
        yield f"for each of {step.foreach.text}, at most {step.foreach.concurrency_max} at a time"
    if step.projections:
        yield f"others read {', '.join(step.projections)}"
    retry = step.retry
    yield (
        f"timeout {step.timeout_ms} ms, {retry.attempts_max} attempts, "
        f"backoff {retry.backoff_s:g} s x {retry.factor:g} up to {retry.cap_s:g} s"
    )
    if step.on_error.action != "fail":
        yield f"on error {step.on_error.action}"
    if step.compensate is not None:
        undo = step.compensate
        yield f"undone by {undo.capability}@{undo.version} on {undo.agent}, {undo.retry.attempts_max} attempts"


def _default(pattern: CompiledPattern, name: str) -> str:
    if name not in pattern.inputs.defaults:
        return ", required"
    default = pattern.inputs.defaults[name]
    return "" if default is None else f", default {default!r}"


def _edges(pattern: CompiledPattern, step: CompiledStep) -> Iterator[tuple[str, str]]:
    reads = {reference.step for reference in step.args.references}
    if step.condition:
        reads |= {reference.step for reference in step.condition.references}
    if step.foreach:
        reads.add(step.foreach.source.step)
    for name in step.after:
        yield name, "data" if name in reads else "order"
    if not step.parallel and step.index > 0:
        previous = pattern.steps[step.index - 1].id
        if previous not in step.after:
            yield previous, "order"
    if pattern.needs_pins and (step.index == 0 or (step.parallel and not step.after)):
        yield RESOLVE_STEP, "pins"


def _node(
    step_id: str,
    as_: str,
    capability: str,
    version: int,
    agent: str,
    condition: str | None,
    parallel: bool,
    output: bool,
) -> dict[str, Any]:
    return {
        "id": step_id,
        "as": as_,
        "capability": capability,
        "version": version,
        "agent": agent,
        "condition": condition,
        "parallel": parallel,
        "output": output,
    }


def _safe(text: str) -> str:
    """Return text that cannot leave its Mermaid label."""
    short = text if len(text) <= _TEXT_CHARS_MAX else text[: _TEXT_CHARS_MAX - 1] + "…"
    return "".join(char if char.isalnum() or char in " ._$-/…" else f"#{ord(char)};" for char in short)
