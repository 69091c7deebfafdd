"""Secrets that are good once and for a short while, shared by all gateways: Redis holds only their hashes."""

import hashlib
import re
import secrets

from redis.asyncio import Redis

from db.redis_link import AWAY, RedisLink
from topics.errors import Code, RetryableError

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class OneTimeStore:
    """Exchanges data for a random secret, and the secret for the data, once.

    Args:
        link: from `db.redis_link`.
        prefix: put before every key.
        kind: what the secrets are for; a secret of one kind is none of another.
        lifetime_s: how long a secret is good.
    """

    def __init__(self, link: RedisLink, prefix: str, kind: str, lifetime_s: int) -> None:
        self._link = link
        self._prefix = f"{prefix or 'dawsos.'}{kind}:"
        self._lifetime_s = lifetime_s

    async def put(self, data: bytes) -> str:
        """Return the secret that stands for the data: 43 characters, safe in URLs and headers.

        Raises:
            RetryableError: Redis is away.
        """
        secret = secrets.token_urlsafe(32)
        name = self._name(secret)
        if await self._link.ask(lambda redis: redis.set(name, data, ex=self._lifetime_s)) is AWAY:
            raise _unavailable()
        return secret

    async def take(self, secret: str) -> bytes | None:
        """Return the data and forget it; None when the secret is unknown, used or too old.

        Raises:
            RetryableError: Redis is away; whether the secret is used is then not known.
        """
        if not _FORM.fullmatch(secret):
            return None
        name = self._name(secret)

        async def get_and_delete(redis: Redis) -> bytes | None:
            found = await redis.getdel(name)
            return found if isinstance(found, bytes) else None

        data = await self._link.ask(get_and_delete)
        if data is AWAY:
            raise _unavailable()
        return data if isinstance(data, bytes) else None

    def _name(self, secret: str) -> str:
        return self._prefix + hashlib.sha256(secret.encode()).hexdigest()


def _unavailable() -> RetryableError:
    return RetryableError(
        Code.UPSTREAM_FAILED, "one-time secrets cannot be kept: Redis does not answer", service="redis"
    )
