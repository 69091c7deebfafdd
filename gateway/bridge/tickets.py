"""Tickets let a browser open a websocket: it cannot send an Authorization header, and a token in a URL ends up in logs.

A ticket is good once, for 30 seconds, on any gateway; the session it opens ends with the token it was issued for.
"""

from __future__ import annotations

from uuid import UUID

import orjson

from db.one_time import OneTimeStore
from db.redis_link import RedisLink
from services.tokens import Principal, Role

LIFETIME_S = 30


class Tickets:
    """Issues and redeems tickets.

    Args:
        link: from `db.redis_link`.
        prefix: put before every key.
    """

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._store = OneTimeStore(link, prefix, "ticket", LIFETIME_S)

    async def issue(self, principal: Principal) -> str:
        """Return a new ticket for a principal.

        Raises:
            RetryableError: Redis is away.
        """
        return await self._store.put(
            orjson.dumps(
                [
                    principal.tenant,
                    str(principal.user_id),
                    principal.role.value,
                    principal.subject,
                    principal.expires_at,
                ]
            )
        )

    async def redeem(self, ticket: str) -> Principal | None:
        """Return whom a ticket was issued to; None when it is unknown, used or too old.

        Raises:
            RetryableError: Redis is away.
        """
        data = await self._store.take(ticket)
        if data is None:
            return None
        tenant, user_id, role, subject, expires_at = orjson.loads(data)
        return Principal(tenant, UUID(user_id), Role(role), subject, expires_at)
