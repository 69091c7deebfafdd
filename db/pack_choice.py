"""Which pack answers a question: one decision table.

====================================  ==========================================================
asked for                             answer
====================================  ==========================================================
a pack by id that does not exist      UNKNOWN_PACK
… that has failed                     PACK_FAILED
… that is fresh or warming            that pack (the gate decides about a warming one)
… that is superseded                  that pack, with a warning
… of another day than asked for       INVALID_REQUEST
a day the calendar does not know      NO_PACK
a day                                 target = the last session at or before it
no day                                target = the newest day with a pack that has not failed
target without any pack               NO_PACK
target with a fresh revision          the newest fresh one, whatever came after it
… else with a warming one             the newest warming one
… else                                PACK_FAILED
====================================  ==========================================================

Never silently an older day: with a day asked for, only its target day counts. Without one, days on which every
revision failed are passed over, with a warning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from topics.errors import Code, TerminalError
from topics.messages import PackRef, PackStatus


@dataclass(frozen=True, slots=True)
class PackDecision:
    """Which pack a question is answered from.

    Attributes:
        asof: target day.
        pack: the pack the table chose; fresh, warming, or superseded if asked for by id.
        previous_fresh: newest fresh pack of an earlier day; None without one.
    """

    asof: date
    pack: PackRef
    previous_fresh: PackRef | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackFacts:
    """What the store knows that matters for one question.

    Attributes:
        policy: the pricing policy asked for.
        asof: day asked for; None for the newest.
        pack_id: pack asked for; None to let the table choose.
        known: first and last day of the policy's calendar; None when the policy is unknown.
        session: last session at or before `asof`; None without one or without `asof`.
        newest: newest day with a pack that has not failed; None without one.
        newest_failed: newest day on which every revision failed, if later than `newest`.
        given: the pack `pack_id` names; None if it does not exist.
        revisions: all packs of the target day, in any order.
        previous_fresh: newest fresh pack of the policy on a day before the target.
    """

    policy: str
    asof: date | None
    pack_id: UUID | None
    known: tuple[date, date] | None
    session: date | None
    newest: date | None
    newest_failed: date | None
    given: PackRef | None
    revisions: Sequence[PackRef]
    previous_fresh: PackRef | None

    @property
    def target(self) -> date | None:
        """The day the question is about; None when the calendar or the packs do not say."""
        if self.pack_id is not None:
            return self.given.asof_date if self.given else None
        return self.newest if self.asof is None else self.session


def choose_pack(facts: PackFacts) -> PackDecision:
    """Apply the table.

    Raises:
        TerminalError: UNKNOWN_PACK, PACK_FAILED, NO_PACK or INVALID_REQUEST, as the table says.
    """
    if facts.pack_id is not None:
        return _given(facts)
    if facts.known is None:
        raise TerminalError(Code.NO_PACK, f"there is no pricing policy {facts.policy!r}, so it has no packs")
    first, last = facts.known
    asof = facts.asof
    if asof is not None and not first <= asof <= last:
        raise TerminalError(
            Code.NO_PACK, f"no pack for {asof}: the calendar of policy {facts.policy} is known from {first} to {last}"
        )
    target = facts.target
    if target is None:
        missing = f"no session at or before {asof}" if asof else "no day has a pack that has not failed"
        raise TerminalError(Code.NO_PACK, f"no pack of policy {facts.policy}: {missing}")
    warnings = ()
    if asof is None and facts.newest_failed is not None:
        warnings = (f"the pack of {facts.newest_failed} has failed; {target} is the newest day that has not",)
    return PackDecision(target, _of_day(facts, target), facts.previous_fresh, warnings)


def _of_day(facts: PackFacts, target: date) -> PackRef:
    if not facts.revisions:
        asked = "" if facts.asof in (None, target) else f" (the last session at or before {facts.asof})"
        raise TerminalError(Code.NO_PACK, f"there is no pack of policy {facts.policy} for {target}{asked}")
    newest_first = sorted(facts.revisions, key=lambda pack: pack.revision, reverse=True)
    for status in (PackStatus.FRESH, PackStatus.WARMING):
        for pack in newest_first:
            if pack.status is status:
                return pack
    states = ", ".join(f"revision {pack.revision} {pack.status}" for pack in reversed(newest_first))
    raise TerminalError(Code.PACK_FAILED, f"no usable pack of policy {facts.policy} for {target}: {states}")


def _given(facts: PackFacts) -> PackDecision:
    pack = facts.given
    if pack is None:
        raise TerminalError(Code.UNKNOWN_PACK, f"there is no pack {facts.pack_id}")
    if pack.status is PackStatus.FAILED:
        raise TerminalError(Code.PACK_FAILED, f"pack {pack.pack_id} of {pack.asof_date} has failed")
    if facts.asof is not None and pack.asof_date not in (facts.asof, facts.session):
        raise TerminalError(
            Code.INVALID_REQUEST,
            f"pack {pack.pack_id} is of {pack.asof_date}, but the day asked for is {facts.asof}: ask for one of them",
        )
    warnings: list[str] = []
    if pack.status is PackStatus.SUPERSEDED:
        warnings.append(f"pack {pack.pack_id} of {pack.asof_date} is superseded by a newer revision or withdrawn")
    if pack.policy != facts.policy:
        warnings.append(f"pack {pack.pack_id} is of policy {pack.policy}, not {facts.policy}")
    return PackDecision(pack.asof_date, pack, facts.previous_fresh, tuple(warnings))
