"""Which dead letters a `dawsos dlq` command means: options and their check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.failures import CommandFailed

if TYPE_CHECKING:
    from db.dead_letters import LetterFilter
    from settings import Settings

_AGE = re.compile(r"^(\d+)\s*([smhd])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Stage = Annotated[
    str | None,
    typer.Option(help="Only those that stopped at decode, route, process, capability, project or compensate."),
]
Topic = Annotated[str | None, typer.Option(help="Only those that came from one topic, with or without the prefix.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Only those with this text in their reason.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only those whose record names this tenant.")]
OlderThan = Annotated[str | None, typer.Option(metavar="AGE", help="Only those that arrived before: 15m, 2h, 30d.")]
NewerThan = Annotated[str | None, typer.Option(metavar="AGE", help="Only those that arrived since.")]


def require_one_way(letters: Sequence[int] | None, all_: bool, filters: Sequence[object]) -> None:
    """Check that letters are named in one way only.

    Raises:
        CommandFailed: in none, or by ids and by filters.
    """
    filtered = any(each is not None for each in filters)
    if sum((bool(letters), all_ or filtered)) != 1:
        raise CommandFailed("expected either IDs, or filters, or --all", Exit.USAGE)


def make_filter(
    found: Settings,
    stage: str | None,
    topic: str | None,
    reason: str | None,
    tenant: str | None,
    older_than: str | None,
    newer_than: str | None,
    waiting: bool | None,
) -> LetterFilter:
    """Return what the options ask for.

    Raises:
        CommandFailed: an option has not its form.
    """
    from db.dead_letters import LetterFilter
    from streams.dead_letter import Stage

    stages = [each.value for each in Stage]
    if stage is not None and stage not in stages:
        raise CommandFailed(f"--stage: expected one of {', '.join(stages)}, got {stage!r}", Exit.USAGE)
    return LetterFilter(
        stage=stage,
        origin_topics=None if topic is None else (topic, found.topic_prefix + topic),
        reason=reason,
        tenant=tenant,
        since=_ago(newer_than, "--newer-than"),
        before=_ago(older_than, "--older-than"),
        waiting=waiting,
    )


def _ago(age: str | None, option: str) -> datetime | None:
    if age is None:
        return None
    match = _AGE.match(age)
    if match is None:
        raise CommandFailed(f"{option}: expected an age like 90s, 15m, 2h or 30d, got {age!r}", Exit.USAGE)
    try:
        return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise CommandFailed(f"{option}: {age} is before the year 1", Exit.USAGE) from None
