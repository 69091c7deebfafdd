"""Live progress on stderr: a line per step that updates in a terminal, plain lines elsewhere.

While steps run, a terminal shows for how long so far by the clock here. What is left standing are the trace's times,
as in every report of the same execution.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from cli.console import err
from cli.figures import STEP_TIME, duration

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from topics.trace import Trace

_MARKS = {
    "queued": ("[yellow]…[/]", "queued"),
    "requested": ("[cyan]●[/]", "running"),
    "retrying": ("[yellow]↻[/]", "trying again"),
    "succeeded": ("[green]✔[/]", ""),
    "failed": ("[red]✘[/]", "failed"),
}
_QUEUE = "$queue"
_NAMES = {"$resolve": "resolve pins", _QUEUE: "wait for room"}
_UNDO = "$undo:"
# Requests and answers come from two topics, so what was earlier may come later: then it is no news. Nothing follows a
# success; a failure is followed by another attempt or by its answer.
_NEWS_AFTER = {"succeeded": (), "failed": ("retrying", "succeeded")}


class StepProgress:
    """Shows the steps of one execution as they are asked for and answered; use as a context manager.

    `update` is the progress callback of the Kafka client and of the in-process runner.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._console = err()
        self._steps: dict[str, tuple[str, float, float | None]] = {}
        self._times: dict[str, str] = {}
        self._live: Live | None = None

    def __enter__(self) -> StepProgress:
        if not self._quiet and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=12)
            self._live.__enter__()
        elif not self._quiet:
            self._console.print(self._title, markup=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def update(self, step_id: str, status: str) -> None:
        """Note that a step was `queued` or `requested`, is `retrying`, has `succeeded` or `failed`."""
        now = time.monotonic()
        before, begun, _ = self._steps.get(step_id, ("", now, None))
        if status not in _NEWS_AFTER.get(before, _MARKS):
            return
        self._note(step_id, status, begun, now if status in ("succeeded", "failed") else None)

    def complete(self, trace: Trace) -> None:
        """Show the times of a finished execution's steps, and those whose answers were not seen.

        Its result may be quicker than the answers.
        """
        if _QUEUE in self._steps and trace.queued_ms is not None:
            self._times[_QUEUE] = duration(0, trace.queued_ms)
        for step in trace.steps:
            if step.started_at_ms is None or step.finished_at_ms is None:
                continue
            self._times[step.step_id] = duration(step.started_at_ms, step.finished_at_ms)
            settled = "failed" if step.error else "succeeded"
            if step.step_id not in self._steps or self._steps[step.step_id][0] != settled:
                now = time.monotonic()
                self._note(step.step_id, settled, now, now)
        if self._times and not self._quiet and self._live is None:
            times = ", ".join(f"{_label(step_id)} {took}" for step_id, took in self._times.items())
            self._console.print(f"  {STEP_TIME}: {times}", markup=False, soft_wrap=True)

    def _note(self, step_id: str, status: str, begun: float, ended: float | None) -> None:
        self._steps[step_id] = (status, begun, ended)
        if self._quiet or self._live is not None or ended is None:
            return
        mark, word = _MARKS[status]
        self._console.print(f"  {mark} {_label(step_id)} {word}".rstrip())

    def _table(self) -> Table:
        from rich.table import Table

        now = time.monotonic()
        table = Table.grid(padding=(0, 1))
        table.add_row("", f"[bold]{self._title}[/]", f"[dim]{STEP_TIME}[/]")
        for step_id, (status, begun, ended) in self._steps.items():
            mark, word = _MARKS[status]
            took = self._times.get(step_id) or duration(0, round(((ended or now) - begun) * 1000))
            table.add_row(mark, _label(step_id), f"[dim]{took:>9}[/] {word}")
        return table


def _label(step_id: str) -> str:
    if step_id.startswith(_UNDO):
        return f"undo {step_id.removeprefix(_UNDO)}"
    return _NAMES.get(step_id, step_id)
