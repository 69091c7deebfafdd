"""Live progress on stderr: a line per step that updates in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from cli.console import err

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from topics.trace import StepTrace

_MARKS = {
    "queued": ("[yellow]…[/]", "queued"),
    "requested": ("[cyan]●[/]", "running"),
    "retrying": ("[yellow]↻[/]", "trying again"),
    "succeeded": ("[green]✔[/]", ""),
    "failed": ("[red]✘[/]", "failed"),
}
_NAMES = {"$resolve": "resolve pins", "$queue": "wait for room"}


class StepProgress:
    """Shows the steps of one execution as they are asked for and answered; use as a context manager.

    `update` is the progress callback of the Kafka client and of the in-process runner.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._console = err()
        self._steps: dict[str, tuple[str, float, float | None]] = {}
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
        begun = self._steps[step_id][1] if step_id in self._steps else now
        self._note(step_id, status, begun, now if status in ("succeeded", "failed") else None)

    def complete(self, steps: Iterable[StepTrace]) -> None:
        """Show the steps of a finished execution whose answers were not seen: its result may be quicker than they."""
        for step in steps:
            if step.started_at_ms is None or step.finished_at_ms is None:
                continue
            if step.step_id in self._steps and self._steps[step.step_id][2] is not None:
                continue
            now, took_s = time.monotonic(), (step.finished_at_ms - step.started_at_ms) / 1000
            self._note(step.step_id, "failed" if step.error else "succeeded", now - took_s, now)

    def _note(self, step_id: str, status: str, begun: float, ended: float | None) -> None:
        self._steps[step_id] = (status, begun, ended)
        if self._quiet or self._live is not None or ended is None:
            return
        mark, word = _MARKS[status]
        self._console.print(f"  {mark} {_label(step_id)} {word or f'{(ended - begun) * 1000:.0f} ms'}")

    def _table(self) -> Table:
        from rich.table import Table

        now = time.monotonic()
        table = Table.grid(padding=(0, 1))
        table.add_row("", f"[bold]{self._title}[/]", "")
        for step_id, (status, begun, ended) in self._steps.items():
            mark, word = _MARKS[status]
            took = f"[dim]{((ended or now) - begun) * 1000:6.0f} ms[/]"
            table.add_row(mark, _label(step_id), f"{took} {word}")
        return table


def _label(step_id: str) -> str:
    return _NAMES.get(step_id, step_id)
