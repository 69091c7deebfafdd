"""What a bulk build has to do: compare the wanted content of each day with what is stored. Pure.

Building again with the same rows does nothing. A day whose rows differ gets revision n + 1, which supersedes the one
before. A day with faults is not written at all and is reported.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from db.pack_checks import Finding, check_content
from db.pack_content import PackContent, PackRejected, require_valid
from topics.messages import PackRef, PackStatus


@dataclass(frozen=True, slots=True)
class PlannedPack:
    """One pack to write and freeze."""

    asof: date
    revision: int
    content: PackContent
    sha256: str
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        created: days that had no frozen pack before.
        restated: days whose rows differ from the fresh pack's; it is superseded.
        restated_days: those days.
        unchanged: days whose fresh pack has exactly these rows.
        written: the new packs, by day.
        faulty: days that were not written, because of these faults.
        warnings: findings of packs that were written.
    """

    created: int = 0
    restated: int = 0
    unchanged: int = 0
    restated_days: list[date] = field(default_factory=list)
    written: list[PackRef] = field(default_factory=list)
    faulty: list[tuple[date, Finding]] = field(default_factory=list)
    warnings: list[tuple[date, Finding]] = field(default_factory=list)

    @property
    def days(self) -> int:
        """Days looked at."""
        return self.created + self.restated + self.unchanged + len({day for day, _ in self.faulty})


def plan_build(
    days: Iterable[tuple[date, PackContent]],
    stored: Mapping[date, Sequence[PackRef]],
    previous: PackContent | None,
    report: BuildReport,
    required: Sequence[str] = (),
) -> Iterator[PlannedPack]:
    """Yield the packs to write, in order of days, and count everything in `report`.

    Args:
        days: wanted content, ascending.
        stored: all revisions there are, by day.
        previous: content of the newest frozen pack before the first day, for the checks.
        report: filled as packs are yielded.
        required: symbols every pack must have.

    Raises:
        PackRejected: rows that no pack can hold.
    """
    for asof, content in days:
        require_valid(content)
        findings = check_content(content, previous, asof, required)
        faults = [finding for finding in findings if finding.fault]
        if faults:
            report.faulty.extend((asof, fault) for fault in faults)
            continue
        previous = content
        sha256 = content.sha256()
        revisions = stored.get(asof, ())
        fresh = next((pack for pack in revisions if pack.status is PackStatus.FRESH), None)
        if fresh is not None and fresh.content_sha256 == sha256:
            report.unchanged += 1
            continue
        if fresh is None:
            report.created += 1
        else:
            report.restated += 1
            report.restated_days.append(asof)
        report.warnings.extend((asof, finding) for finding in findings)
        revision = max((pack.revision for pack in revisions), default=0) + 1
        yield PlannedPack(asof, revision, content, sha256, findings)


def no_session(policy: str, day: date, policies: Iterable[str], sessions: Sequence[date] = ()) -> str:
    """Say why a day has no pack: its policy is none of those there are, or the market is closed.

    Args:
        policy: asked for.
        day: asked for.
        policies: all there are.
        sessions: of the policy's calendar, ascending; the end of one that has ended is named, with the way beyond.
    """
    known = sorted(policies)
    # XNYS stands for any exchange; its calendar reaches a year beyond the prices.
    command = f"on an instance `dawsos packs import --policy {policy} --calendar XNYS --prices FILE`"
    if policy not in known:
        return f"there is no pricing policy {policy!r}; there are: {', '.join(known) or 'none yet'}; {command} makes it"
    closed = f"{day} is no session of the calendar of policy {policy!r}"
    if not sessions or day <= sessions[-1]:
        return closed
    return f"{closed}, which ends on {sessions[-1]}; {command} gives it an exchange's, with the sessions to come"


def require_sessions(policy: str, days: Iterable[date], sessions: Container[date], policies: Iterable[str]) -> None:
    """Refuse packs of an unknown policy, or for days on which the market is closed.

    Raises:
        PackRejected: naming every such day.
    """
    known = tuple(policies)
    faults = list(dict.fromkeys(no_session(policy, day, known) for day in days if day not in sessions))
    if faults:
        raise PackRejected(faults)
