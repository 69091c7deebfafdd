"""Pricing policy and calendar of an import: made or extended, and the sessions that get a pack."""

from collections.abc import Sequence
from datetime import date, timedelta

from db.pack_policies import PolicyRepository
from db.pack_writer import PackWriter
from services.pack_import_request import GivenPrice, ImportRequest
from services.packs_build import extend_exchange
from topics.errors import Code, TerminalError
from topics.messages import PackStatus

_AHEAD = timedelta(days=366)


async def settle_policy(
    writer: PackWriter, policies: PolicyRepository, request: ImportRequest, prices: Sequence[GivenPrice] | None
) -> tuple[date, ...]:
    """Make or extend policy and calendar and return the sessions to write.

    Raises:
        TerminalError: INVALID_INPUT for a policy without days, a due time without an exchange's calendar, an unknown
            exchange, or prices of days that are no session.
    """
    known = await policies.get(request.policy)
    calendar = request.exchange or request.calendar or (known.calendar if known else request.policy)
    priced = sorted({row.observed_on for row in prices or ()})
    given = priced or sorted({row.observed_on for row in request.rates or ()})
    sessions = request.sessions
    if not sessions and given and (priced or known):
        sessions = await _exchange(policies, request, calendar, given)
    if bare := not sessions and (known is None or known.calendar == request.policy):
        # A calendar without an exchange behind it: the days that have prices are its sessions.
        sessions = tuple(priced)
    if not sessions and known is None:
        raise TerminalError(
            Code.INVALID_INPUT, f"policy {request.policy!r} is new: give prices or sessions, so that it has days"
        )
    if request.expected_by is not None:
        if bare:
            raise TerminalError(
                Code.INVALID_INPUT,
                f"the sessions of policy {request.policy!r} are the days that have prices, so none can be overdue:"
                " a due time needs an exchange's calendar (--calendar XNYS)",
            )
    await policies.extend_calendar(calendar, sessions)
    if known is None or known.calendar != calendar:
        await writer.set_policy(request.policy, calendar, known.description if known else "")
    if request.expected_by is not None:
        since = known.expected_from if known and known.expected_from else (given or list(sessions) or [None])[-1]
        await policies.expect(request.policy, request.expected_by, request.time_zone, since)
    if request.required_symbols is not None:
        await policies.require(request.policy, request.required_symbols)
    start = request.start or (given[0] if given else date.max)
    end = request.end or (given[-1] if given else date.min)
    # Sessions after the last price wait for theirs.
    last = priced[-1] if priced else await _last_priced(writer, request.policy)
    end = end if last is None else min(end, last)
    wanted = await writer.sessions(request.policy, start, end) if start <= end else ()
    strange = sorted(set(priced) - set(await writer.sessions(request.policy, date.min, date.max)))
    strange = [on for on in strange if start <= on <= end]
    if strange:
        listed = ", ".join(map(str, strange[:10]))
        raise TerminalError(
            Code.INVALID_INPUT, f"{len(strange)} day(s) with prices are no session of calendar {calendar}: {listed}"
        )
    return wanted


async def calendar_of(policies: PolicyRepository, policy: str) -> tuple[str, date] | None:
    """Return the name of a policy's calendar and the last day it is known for."""
    known = await policies.get(policy)
    covered = known and await policies.calendar_range(known.calendar)
    return (known.calendar, covered[1]) if known and covered else None


async def _exchange(
    policies: PolicyRepository, request: ImportRequest, calendar: str, days: Sequence[date]
) -> tuple[date, ...]:
    """Return the sessions of the exchange behind a calendar, well past the given days; none when there is none."""
    if request.exchange is None and (request.calendar is not None or calendar == request.policy):
        return ()
    try:
        return await extend_exchange(policies, calendar, days[0], days[-1] + _AHEAD)
    except LookupError as unknown:
        if request.exchange is None:
            return ()
        raise TerminalError(Code.INVALID_INPUT, str(unknown)) from None


async def _last_priced(writer: PackWriter, policy: str) -> date | None:
    newest = await writer.list(policy, status=PackStatus.FRESH, limit=1)
    return newest[0].ref.asof_date if newest and newest[0].prices else None
