"""Dead letters: what could not be processed, why, and another try. For operators.

A letter belongs to the tenant its record names. Letters of records that name none, and those of all tenants, are for
admins of the operations tenant only: they may hold anybody's data.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from db.dead_letters import DeadLetter, LetterFilter
from gateway.auth import Operator
from gateway.connections import Connected
from gateway.cursors import read_cursor, write_cursor
from gateway.problems import Problem, responses
from services.tokens import Principal, Role
from topics.errors import Code

router = APIRouter(prefix="/dead-letters", tags=["dead letters"])

LetterId = Annotated[int, Path(ge=1, lt=2**63, description="Number of a dead letter.")]
_VALUE_CHARS_MAX = 65_536


class LetterBody(BaseModel):
    """One dead letter."""

    model_config = ConfigDict(title="DeadLetter")

    id: int
    tenant: str | None = None
    arrived_at: AwareDatetime
    redriven_at: AwareDatetime | None = None
    stage: str = Field(description="decode, route, process, capability, project or compensate.")
    reason: str
    origin_topic: str
    origin_partition: int | None = None
    origin_offset: int | None = None
    key: str | None = None
    value: str | None = Field(
        default=None, description="The record as text, at most 64 Ki characters; only of a single letter."
    )
    value_base64: str | None = Field(default=None, description="The record byte for byte; only of a single letter.")


class LetterPage(BaseModel):
    """Some dead letters, the newest first."""

    dead_letters: list[LetterBody]
    next_cursor: str | None = None


class RedrivenBody(BaseModel):
    """What became of a letter that was to be redriven."""

    model_config = ConfigDict(title="Redriven")

    id: int
    redriven: bool = Field(description="Whether it was sent now.")
    why: str | None = Field(default=None, description="Why it was not.")


@router.get(
    "",
    operation_id="listDeadLetters",
    summary="Find dead letters",
    response_model=LetterPage,
    responses=responses(Code.FORBIDDEN, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def list_dead_letters(
    caller: Operator,
    connected: Connected,
    stage: Annotated[str | None, Query(max_length=40, pattern=r"^[a-z]*$")] = None,
    topic: Annotated[str | None, Query(max_length=249, pattern=r"^[A-Za-z0-9._-]*$")] = None,
    reason: Annotated[str | None, Query(max_length=200, description="Part of the reason.")] = None,
    waiting: Annotated[bool | None, Query(description="True: never redriven; false: redriven.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> LetterPage:
    """Return dead letters of the caller's tenant, the newest first; an admin of the operations tenant sees all."""
    values = read_cursor(cursor, int)
    before = None if values is None else min(max(values[0], 0), 2**63 - 1)
    wanted = LetterFilter(
        stage=stage,
        origin_topics=None if topic is None else (topic,),
        reason=reason,
        tenant=None if _sees_all(caller, connected) else caller.tenant,
        waiting=waiting,
    )
    found = await connected.dead_letters.list(wanted, before_id=before, limit=limit + 1)
    page = [_body(letter, whole=False) for letter in found[:limit]]
    return LetterPage(dead_letters=page, next_cursor=write_cursor(page[-1].id) if page and len(found) > limit else None)


@router.get(
    "/{letter_id}",
    operation_id="getDeadLetter",
    summary="One dead letter",
    response_model=LetterBody,
    responses=responses(Code.FORBIDDEN, Code.UNKNOWN_DEAD_LETTER, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def get_dead_letter(letter_id: LetterId, caller: Operator, connected: Connected) -> LetterBody:
    """Return a dead letter with its record."""
    return _body(await _find(letter_id, caller, connected), whole=True)


@router.post(
    "/{letter_id}/redrive",
    operation_id="redriveDeadLetter",
    summary="Send a dead letter to its topic again",
    response_model=RedrivenBody,
    responses=responses(Code.FORBIDDEN, Code.UNKNOWN_DEAD_LETTER, Code.INVALID_REQUEST, Code.UPSTREAM_FAILED),
)
async def redrive_dead_letter(
    letter_id: LetterId,
    caller: Operator,
    connected: Connected,
    again: Annotated[bool, Query(description="Also when it was redriven before.")] = False,
) -> RedrivenBody:
    """Send a letter to the topic it came from, bytes as they were; do so after mending what stopped it.

    Nothing is processed twice: executions keep their identity.
    """
    await _find(letter_id, caller, connected)
    done = await connected.dead_letters.redrive([letter_id], connected.redriver.send, datetime.now(UTC), again=again)
    why = None
    if done.handled:
        why = f"it was redriven at {done.handled[0][1].isoformat()}"
    elif done.refused:
        why = done.refused[0][1]
    return RedrivenBody(id=letter_id, redriven=bool(done.sent), why=why)


async def _find(letter_id: int, caller: Principal, connected: Connected) -> DeadLetter:
    found = await connected.dead_letters.read([letter_id])
    if not found or not (_sees_all(caller, connected) or found[0].tenant == caller.tenant):
        raise Problem(Code.UNKNOWN_DEAD_LETTER, f"there is no dead letter {letter_id}")
    return found[0]


def _sees_all(caller: Principal, connected: Connected) -> bool:
    return caller.role.covers(Role.ADMIN) and caller.tenant == connected.settings.operations_tenant


def _body(letter: DeadLetter, *, whole: bool) -> LetterBody:
    assert letter.id is not None
    value = letter.value if whole else None
    return LetterBody(
        id=letter.id,
        tenant=letter.tenant,
        arrived_at=letter.arrived_at,
        redriven_at=letter.redriven_at,
        stage=letter.stage,
        reason=letter.reason,
        origin_topic=letter.origin_topic,
        origin_partition=letter.origin_partition,
        origin_offset=letter.origin_offset,
        key=None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        value=None if value is None else value.decode("utf-8", "backslashreplace")[:_VALUE_CHARS_MAX],
        value_base64=None if value is None else base64.b64encode(value).decode(),
    )
