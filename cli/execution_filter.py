"""Which executions a command means: by status, age, error code and pattern."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.failures import CommandFailed

if TYPE_CHECKING:
    from db.executions import ExecutionFilter
    from orchestrator.view import ExecutionView

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Status = Annotated[str | None, typer.Option(help="Only those that stand so.")]
Error = Annotated[str | None, typer.Option(help="Only those with this error code.")]
PatternId = Annotated[str | None, typer.Option(help="Only those of one pattern.")]
Older = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Started longer ago: 90s, 10m, 2h, 3d.")]
Newer = Annotated[str | None, typer.Option("--newer-than", metavar="AGE", help="Started less long ago.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter; what is None does not matter.

    Attributes:
        older, newer: started at least, and less than, so long ago.
    """

    status: str | None = None
    pattern: str | None = None
    error: str | None = None
    older: timedelta | None = None
    newer: timedelta | None = None

    @property
    def under_way(self) -> bool:
        """Whether the status is one of executions that have not ended."""
        from orchestrator.execution import TERMINAL

        return self.status is not None and self.status not in TERMINAL

    def refuse_ended(self, option: str) -> None:
        """Refuse the status of executions that have ended.

        Args:
            option: the one that asks for those under way.

        Raises:
            CommandFailed: no execution can fit both.
        """
        if self.status is not None and not self.under_way:
            message = f"{option} is about executions under way, but one that is {self.status} has ended; leave one out"
            raise CommandFailed(message, Exit.USAGE)

    def fits(self, view: ExecutionView) -> bool:
        """Whether an execution is meant."""
        age = datetime.now(UTC) - datetime.fromtimestamp(view.started_at_ms / 1000, UTC)
        return (
            (self.status is None or view.status == self.status)
            and (self.pattern is None or view.pattern_id == self.pattern)
            and (self.error is None or view.error_code == self.error)
            and (self.older is None or age >= self.older)
            and (self.newer is None or age < self.newer)
        )

    def stored(self) -> ExecutionFilter:
        """Return it as the database takes it."""
        from db.executions import ExecutionFilter

        now = datetime.now(UTC)
        return ExecutionFilter(
            status=self.status,
            pattern_id=self.pattern,
            error_code=self.error,
            since=None if self.newer is None else now - self.newer,
            before=None if self.older is None else now - self.older,
        )


def parse_wanted(
    status: str | None = None,
    pattern: str | None = None,
    error: str | None = None,
    older_than: str | None = None,
    newer_than: str | None = None,
) -> Wanted:
    """Return a filter from options.

    Raises:
        CommandFailed: no such status or code, or an age that is none.
    """
    from orchestrator.execution import Status as Known
    from topics.errors import Code

    # To everybody else an execution that was cancelled before it began does not exist.
    statuses = [each for each in Known if each is not Known.CANCELLED_EARLY]
    for option, text, known in (("--status", status, statuses), ("--error", error, list(Code))):
        if text is not None and text not in known:
            raise CommandFailed(f"{option}: expected one of {', '.join(known)}, got {text!r}", Exit.USAGE)
    older, newer = parse_age(older_than, "--older-than"), parse_age(newer_than, "--newer-than")
    return Wanted(status, pattern, error, older, newer)


def parse_age(text: str | None, option: str) -> timedelta | None:
    """Return an age from `90s`, `10m`, `2h` or `3d`.

    Raises:
        CommandFailed: anything else.
    """
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit():
        raise CommandFailed(f"{option}: expected an age like 90s, 10m, 2h or 3d, got {text!r}", Exit.USAGE)
    return timedelta(seconds=int(number) * _UNITS[unit])
