"""Progress bars on stderr for long work; plain lines at the end where there is no terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from cli.console import err

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bars:
    """One bar per kind of work; use as a context manager.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = err()
        self._quiet = quiet
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._finished: set[str] = set()

    def __enter__(self) -> Bars:
        if not self._quiet and self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:<10}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self._console)
            self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)

    def update(self, what: str, done: int, total: int) -> None:
        """Say how far one kind of work is."""
        if self._progress is not None:
            if what not in self._tasks:
                self._tasks[what] = self._progress.add_task(what, total=total)
            self._progress.update(self._tasks[what], completed=done, total=total)
        elif not self._quiet and done >= total and what not in self._finished:
            self._finished.add(what)
            self._console.print(f"{what}: {total}", markup=False)
