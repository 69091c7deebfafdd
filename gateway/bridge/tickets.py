"""Tickets let a browser open a websocket: it cannot send an Authorization header, and a token in a URL ends up in logs.

A ticket is random, good once and for 30 seconds, on any gateway: they share Redis, which holds only its hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from uuid import UUID

import orjson
from redis.asyncio import Redis

from db.redis_link import AWAY, RedisLink
from services.tokens import Principal, Role
from topics.errors import Code, RetryableError

LIFETIME_S = 30
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class Tickets:
    """Issues and redeems tickets.

    Args:
        link: from `db.redis_link`.
        prefix: put before every key.
    """

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def issue(self, principal: Principal) -> str:
        """Return a new ticket for a principal; the session it opens ends with the principal's token.

        Raises:
            RetryableError: Redis is away.
        """
        ticket = secrets.token_urlsafe(32)
        data = orjson.dumps(
            [
                principal.tenant,
                str(principal.user_id),
                principal.role.value,
                principal.subject,
                principal.expires_at,
            ]
        )
        name = self._name(ticket)
        if await self._link.ask(lambda redis: redis.set(name, data, ex=LIFETIME_S)) is AWAY:
            raise _unavailable()
        return ticket

    async def redeem(self, ticket: str) -> Principal | None:
        """Return whom a ticket was issued to; None when it is unknown, used or too old.

        Raises:
            RetryableError: Redis is away.
        """
        if not _FORM.fullmatch(ticket):
            return None
        name = self._name(ticket)

        async def take(redis: Redis) -> bytes | None:
            return await redis.getdel(name)

        data = await self._link.ask(take)
        if data is AWAY:
            raise _unavailable()
        if not isinstance(data, bytes):
            return None
        tenant, user_id, role, subject, expires_at = orjson.loads(data)
        return Principal(tenant, UUID(user_id), Role(role), subject, expires_at)

    def _name(self, ticket: str) -> str:
        return f"{self._prefix}ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


def _unavailable() -> RetryableError:
    return RetryableError(Code.UPSTREAM_FAILED, "tickets cannot be kept now: Redis does not answer", service="redis")
