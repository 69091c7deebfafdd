"""Where the figures come from: warnings, provenance and the trace of every step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cli.figures import NOT_AVAILABLE, STEP_TIME, counted, duration, moment, percent
from cli.hints import NO_HINTS, Hints, inputs_of
from cli.report.badges import status_badge
from cli.report.markup import Child, Html, tag
from cli.report.panels import is_ratings, panel
from cli.report.tables import figure, heading, row, table, text, two_lines
from topics.messages import ExecutionResult
from topics.trace import StepTrace

_DIGEST_SHOWN = 8


def problem(result: ExecutionResult) -> Html | None:
    """Return why there is no answer, or None."""
    if result.error is None:
        return None
    retry = f" Try again in {result.error.retry_after_s:g} s." if result.error.retry_after_s is not None else ""
    return tag("div", tag("strong", str(result.error.code)), ": ", result.error.message, retry, class_="notice bad")


def warnings(result: ExecutionResult, hints: Hints = NO_HINTS) -> Html | None:
    """Return the warnings of the execution and its steps, each once; None without any.

    What the ratings say about themselves stands in their panel, which a pattern with panels of its own has not.
    """
    rated = [] if hints.panels else [value for value in result.data.values() if is_ratings(value)]
    shown = {str(text) for value in rated for text in value.get("warnings") or ()}
    every = (*result.trace.warnings, *(text for step in result.trace.steps for text in step.warnings))
    texts = [text for text in dict.fromkeys(every) if text not in shown]
    if not texts:
        return None
    return tag("div", tag("strong", "Please note"), tag("ul", [tag("li", each) for each in texts]), class_="notice")


def provenance(result: ExecutionResult) -> Html:
    """Return everything needed to make this answer again."""
    trace = result.trace
    pack = [_code(trace.pricing_pack_id)]
    if trace.pack_sha256:
        pack += [tag("br"), "content ", _code(trace.pack_sha256)]
    pattern: list[Child] = [trace.pattern_id, f" version {trace.pattern_version}" if trace.pattern_version else None]
    if trace.pattern_digest:
        pattern += [tag("br"), _code(trace.pattern_digest)]
    versions = [f"{name} v{version}" for name, version in sorted(trace.capabilities.items())]
    sources = tag("ul", [tag("li", _code(source)) for source in trace.sources], class_="plain")
    facts: list[tuple[str, Child]] = [
        ("Pricing pack", pack if trace.pricing_pack_id else None),
        ("Ledger commit", _code(trace.ledger_commit_hash)),
        ("Portfolio", _code(trace.portfolio_id)),
        ("Inputs", _inputs(result)),
        ("Pattern", pattern),
        ("Capabilities", ", ".join(versions)),
        ("Agents", ", ".join(sorted({f"{s.agent} {s.agent_version or ''}".strip() for s in trace.steps if s.agent}))),
        ("Sources", sources if trace.sources else None),
        ("Execution", [_code(result.execution_id), f", request {result.request_id}"]),
        ("Tenant and user", [result.tenant, ", ", _code(str(result.user_id))]),
        ("Digest", _code(result.digest)),
    ]
    entries = [(tag("dt", name), tag("dd", value)) for name, value in facts if value]
    return panel(
        "Provenance",
        tag("dl", entries, class_="provenance"),
        tag("p", "Run again on the same pins, the same pattern gives the same digest.", class_="footnote"),
        subtitle="the data, the code and the pattern this answer is pinned to",
    )


def _inputs(result: ExecutionResult) -> Html | None:
    lines = [tag("li", f"{name} ", _code(value)) for name, value in inputs_of(result).items()]
    return tag("ul", lines, class_="plain") if lines else None


def trace_panel(result: ExecutionResult) -> Html:
    """Return every step with its timing, cache use and digests."""
    steps = result.trace.steps
    begun = [step.started_at_ms for step in steps if step.started_at_ms is not None]
    ended = [step.finished_at_ms for step in steps if step.finished_at_ms is not None]
    first = min(begun, default=0)
    span = max(max(ended, default=0) - first, 1)
    rows = [_step(step, first, span) for step in steps]
    columns = (
        "Step",
        "Agent",
        "Status",
        "Timeline",
        STEP_TIME.capitalize(),
        "Attempts",
        "Cache",
        "As of",
        "Confidence",
        "Output digest",
    )
    return panel(
        "Execution trace",
        table(columns, rows, texts=4),
        _details(steps),
        subtitle=f"{counted(len(steps), 'step')}, {duration(result.started_at_ms, result.finished_at_ms)} in all, "
        f"finished {moment(result.finished_at_ms)}",
        badge=status_badge(result.status),
        long=True,
    )


def _step(step: StepTrace, first: int, span: int) -> Html:
    note = step.skip_reason or (f"{step.error.code}: {step.error.message}" if step.error else None)
    return row(
        heading(two_lines(step.as_ if step.step_id != "$resolve" else "pins", f"{step.capability} v{step.version}")),
        text(two_lines(step.agent or NOT_AVAILABLE, step.agent_version)),
        text(status_badge(step.status), tag("span", note, class_="sub wrap") if note else None),
        text(_bar(step, first, span)),
        figure(duration(step.started_at_ms, step.finished_at_ms)),
        figure(str(step.attempts)),
        figure(step.cache or NOT_AVAILABLE),
        figure(step.asof.isoformat() if step.asof else NOT_AVAILABLE),
        figure(percent(step.confidence, 0)),
        tag("td", _short(step.output_digest)),
    )


def _bar(step: StepTrace, first: int, span: int) -> Html:
    if step.started_at_ms is None or step.finished_at_ms is None:
        return tag("span", class_="gantt")
    left = (step.started_at_ms - first) / span * 100
    width = (step.finished_at_ms - step.started_at_ms) / span * 100
    tone = "bad" if step.status == "failed" else "hit" if step.cache == "hit" else None
    return tag("span", tag("b", class_=tone, style=f"left:{left:.2f}%;width:{width:.2f}%"), class_="gantt")


def _details(steps: Sequence[StepTrace]) -> Html:
    found: list[Child] = [tag("summary", "Arguments, sources and digests of every step")]
    for step in steps:
        shown: dict[str, Any] = step.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        body = json.dumps(shown, ensure_ascii=False, indent=2)
        found += [tag("h3", step.step_id), tag("pre", body)]
    return tag("details", found)


def _short(digest: str | None) -> Html:
    if digest is None:
        return Html(NOT_AVAILABLE)
    return tag("code", digest[:_DIGEST_SHOWN], title=digest)


def _code(value: str | None) -> Html | None:
    return tag("code", value) if value else None
