"""Pricing packs: what is fresh, what is still warming and who waits for it; portfolios of the caller."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from db.pack_series import PackInfo
from gateway.auth import Caller, Operator
from gateway.connections import Connected
from gateway.cursors import cursor_refused, read_cursor, write_cursor
from gateway.examples import ANNOUNCE_EXAMPLES
from gateway.fields import NO_NUL, Day
from gateway.problems import Problem, responses
from orchestrator.execution import Status
from topics.errors import Code
from topics.messages import PackAnnouncement, PackStatus, Sha256

router = APIRouter(tags=["packs"])


class PackBody(BaseModel):
    """One revision of the pack of one day."""

    model_config = ConfigDict(title="Pack")

    pack_id: UUID
    policy: str
    asof_date: date
    revision: int
    status: PackStatus
    content_sha256: str | None = None
    supersedes: UUID | None = None
    created_at: AwareDatetime
    known_at: AwareDatetime | None = None
    prices: int
    rates: int
    findings: list[dict[str, Any]] = Field(description="What the checks noticed.")
    failure: str | None = None
    waiting: int = Field(description="Executions of the caller that wait for it.")


class PackPage(BaseModel):
    """Some packs, the newest day and revision first."""

    packs: list[PackBody]
    next_cursor: str | None = None


class AnnouncementBody(BaseModel):
    """All rows of a warming pack are loaded."""

    model_config = ConfigDict(extra="forbid", title="PackAnnouncement")

    pack_id: UUID
    policy: str = Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["nyse-close"])
    asof_date: Day
    revision: int = Field(ge=1, lt=2**31)
    content_sha256: Sha256 = Field(description="Digest the pipeline computed over its rows.")


class PortfolioBody(BaseModel):
    """One portfolio of the caller."""

    model_config = ConfigDict(title="Portfolio")

    portfolio_id: UUID
    name: str
    base_ccy: str
    benchmark_id: str | None = None
    policy: str


class PortfolioList(BaseModel):
    """The caller's portfolios by name."""

    portfolios: list[PortfolioBody]


@router.get(
    "/packs",
    operation_id="listPacks",
    summary="Find pricing packs",
    response_model=PackPage,
    responses=responses(Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def list_packs(
    caller: Caller,
    connected: Connected,
    policy: Annotated[str | None, Query(max_length=200, pattern=NO_NUL)] = None,
    status: Annotated[PackStatus | None, Query()] = None,
    start: Annotated[Day | None, Query(description="First day.")] = None,
    end: Annotated[Day | None, Query(description="Last day.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> PackPage:
    """Return packs, the newest day and revision first."""
    after = _after(cursor)
    found = await connected.packs.page(policy, start, end, status, after, limit + 1)
    waiting = _waiting(connected, caller.tenant, caller.user_id)
    page = [_body(pack, waiting) for pack in found[:limit]]
    more = len(found) > limit
    last = page[-1] if more else None
    return PackPage(
        packs=page,
        next_cursor=write_cursor(last.asof_date.isoformat(), last.policy, last.revision) if last else None,
    )


@router.post(
    "/packs",
    operation_id="announcePack",
    summary="Announce that a pack's rows are loaded",
    response_model=PackBody,
    responses={
        200: {"description": "It was frozen with these rows before; nothing was done."},
        202: {
            "description": "It will be checked and frozen; look at Location.",
            "model": PackBody,
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The pack."}},
        },
        **responses(*(Code.FORBIDDEN, Code.UNKNOWN_PACK, Code.PACK_FAILED, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED)),
    },
)
async def announce_pack(
    body: Annotated[AnnouncementBody, Body(openapi_examples=ANNOUNCE_EXAMPLES)], caller: Operator, connected: Connected
) -> Response:
    """Ask for a warming pack to be frozen, as a pipeline does on `pack-announcements`; repeating it is harmless.

    Packs are everybody's data: only operators of a tenant in `DAWSOS_PACK_TENANTS` may announce them.
    """
    if caller.tenant not in connected.settings.pack_tenants:
        raise Problem(Code.FORBIDDEN, "this tenant may not change pricing packs")
    announcement = PackAnnouncement(**body.model_dump())
    pack = await connected.packs.announced(announcement)
    if pack.status is PackStatus.WARMING:
        await connected.announcer.send(announcement)
    shown = _body(await connected.packs.show(pack.pack_id), _waiting(connected, caller.tenant, caller.user_id))
    if pack.status is PackStatus.FAILED:
        raise Problem(Code.PACK_FAILED, f"{shown.failure}; load a new revision")
    if pack.status is not PackStatus.WARMING:
        return Response(shown.model_dump_json(), media_type="application/json")
    headers = {"Location": f"/packs/{pack.pack_id}"}
    return Response(shown.model_dump_json(), 202, headers, "application/json")


@router.get(
    "/packs/{pack_id}",
    operation_id="getPack",
    summary="One pricing pack",
    response_model=PackBody,
    responses=responses(Code.UNKNOWN_PACK, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def get_pack(
    pack_id: Annotated[UUID, Path(description="Id of a pack.")], caller: Caller, connected: Connected
) -> PackBody:
    """Return a pack with what the checks noticed about it."""
    return _body(await connected.packs.show(pack_id), _waiting(connected, caller.tenant, caller.user_id))


@router.get(
    "/portfolios",
    operation_id="listPortfolios",
    summary="The caller's portfolios",
    response_model=PortfolioList,
    responses=responses(Code.UPSTREAM_FAILED),
)
async def list_portfolios(caller: Caller, connected: Connected) -> PortfolioList:
    """Return the caller's portfolios by name."""
    found = await connected.portfolios.list(caller.tenant, caller.user_id)
    return PortfolioList(
        portfolios=[
            PortfolioBody(
                portfolio_id=each.id,
                name=each.name,
                base_ccy=each.base_ccy,
                benchmark_id=each.benchmark_id,
                policy=each.policy,
            )
            for each in found
        ]
    )


def _waiting(connected: Connected, tenant: str, user_id: UUID) -> Counter[UUID]:
    return Counter(
        pack_id
        for progress in connected.progress.of_user(tenant, user_id)
        if progress.view.status is Status.WAITING_FOR_PACK and (pack_id := progress.view.waits_for_pack) is not None
    )


def _body(pack: PackInfo, waiting: Counter[UUID]) -> PackBody:
    ref = pack.ref
    return PackBody(
        pack_id=ref.pack_id,
        policy=ref.policy,
        asof_date=ref.asof_date,
        revision=ref.revision,
        status=ref.status,
        content_sha256=ref.content_sha256,
        supersedes=pack.supersedes,
        created_at=pack.created_at,
        known_at=pack.known_at,
        prices=pack.prices,
        rates=pack.rates,
        findings=[dict(finding) for finding in pack.findings],
        failure=pack.failure,
        waiting=waiting[ref.pack_id],
    )


def _after(cursor: str | None) -> tuple[date, str, int] | None:
    values = read_cursor(cursor, str, str, int)
    if values is None:
        return None
    try:
        return date.fromisoformat(values[0]), values[1].replace("\x00", ""), _int4(values[2])
    except ValueError:
        raise cursor_refused() from None


def _int4(value: int) -> int:
    if not 0 <= value < 2**31:
        raise ValueError(value)
    return value
