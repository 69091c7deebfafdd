"""The capability cache in Redis. Losing Redis, or anything in it, costs time and nothing else."""

from db.redis_link import AWAY, RedisLink

TTL_S_DEFAULT = 24 * 3600
VALUE_BYTES_MAX = 1024 * 1024


class RedisCache:
    """Bytes that may vanish at any time.

    Args:
        link: from `db.redis_link`.
        prefix: put before every key, so that systems can share a Redis.
        value_bytes_max: larger values are not kept.
    """

    def __init__(self, link: RedisLink, prefix: str = "dawsos.", value_bytes_max: int = VALUE_BYTES_MAX) -> None:
        self._link = link
        self._prefix = prefix
        self._value_bytes_max = value_bytes_max

    async def get(self, key: str) -> bytes | None:
        """Return the bytes; None when absent, expired, or Redis is away."""
        answer = await self._link.ask(lambda redis: redis.get(self._name(key)))
        return answer if isinstance(answer, bytes) else None

    async def set(self, key: str, value: bytes, ttl_s: int | None) -> None:
        """Keep the bytes for `ttl_s` seconds (None: a day; 0 or less: not at all), if Redis is there."""
        ttl_s = TTL_S_DEFAULT if ttl_s is None else ttl_s
        if ttl_s > 0 and len(value) <= self._value_bytes_max:
            await self._link.ask(lambda redis: redis.set(self._name(key), value, ex=ttl_s))

    async def reachable(self) -> bool:
        """Whether Redis answers now."""
        return await self._link.ask(lambda redis: redis.exists(self._name(""))) is not AWAY

    def _name(self, key: str) -> str:
        return f"{self._prefix}cache:{key}"
