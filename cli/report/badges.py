"""Badges: how fresh a panel is, how an execution or a step ended."""

from __future__ import annotations

from cli.figures import day
from cli.hints import days_since, panel_of
from cli.report.markup import Html, tag
from topics.messages import ExecutionResult

_STATUS_TONE = {
    "succeeded": "good",
    "skipped": "",
    "blocked": "",
    "ready": "",
    "failed": "bad",
    "rejected": "bad",
    "timed_out": "bad",
}
_PANEL_TONE = {"fresh": "good", "stale": "warn", "unavailable": "bad"}


def status_badge(status: str) -> Html:
    """Return the badge of an execution's or a step's status."""
    return tag("span", status.replace("_", " "), class_=f"badge {_STATUS_TONE.get(status, 'warn')}".strip())


def freshness_badge(result: ExecutionResult, output: str, *, short: bool = False) -> Html | None:
    """Return the badge of one output: fresh, stale or unavailable, with its day unless it must be short."""
    panel = panel_of(result, output)
    if panel is None:
        return None
    text = panel.status if panel.asof is None or short else f"{panel.status} · {panel.asof.isoformat()}"
    reason = (
        panel.reason
        or {
            "fresh": "made on the pricing pack of the day asked for",
            "stale": f"made on an older pack than the day asked for ({day(result.trace.asof_requested)})",
            "unavailable": "not computed",
        }[panel.status]
    )
    return tag("span", text, class_=f"badge {_PANEL_TONE[panel.status]}", title=reason)


def ended_badge(result: ExecutionResult, last: str) -> Html | None:
    """Return the badge of figures that end long before the day of the answer; None for others."""
    age = days_since(result, last)
    if age is None:
        return None
    return tag("span", f"ends {last}", class_="badge warn", title=f"its newest figure is {age} days old")
