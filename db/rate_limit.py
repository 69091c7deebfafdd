"""Requests per second of a user and of a tenant, counted in Redis over all gateways.

The generic cell rate algorithm: per key one number, the time at which the next request would be due if they came
evenly. A request passes when that time is at most one burst ahead. Both keys are looked at and moved in one script, so
a request that one of them refuses costs the other nothing. Without Redis nothing is limited.
"""

from dataclasses import dataclass

from redis.asyncio import Redis

from db.redis_link import AWAY, RedisLink

# KEYS: one per limit. ARGV: for each limit its interval and burst in microseconds. Returns microseconds to wait, or 0.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local due = {}
local wait = 0
for i, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[2 * i - 1])
  local burst = tonumber(ARGV[2 * i])
  local at = math.max(tonumber(redis.call('GET', key) or now), now)
  due[i] = at + interval
  wait = math.max(wait, due[i] - burst - now)
end
if wait > 0 then
  return math.ceil(wait)
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', due[i]), 'PX', math.ceil((due[i] - now) / 1000) + 1000)
end
return 0
"""
_BURST_S = 2.0


@dataclass(frozen=True, slots=True)
class Limit:
    """So many per second on average; after a pause up to two seconds' worth at once, and at least one."""

    per_s: float

    def arguments(self) -> tuple[int, int]:
        """Return interval and burst in microseconds."""
        interval = max(1, round(1_000_000 / self.per_s))
        return interval, max(interval, round(_BURST_S * 1_000_000))


class RateLimit:
    """Limits for users and tenants.

    Args:
        link: from `db.redis_link`.
        prefix: put before every key.
        user: limit of each user.
        tenant: limit of each tenant.
    """

    def __init__(self, link: RedisLink, prefix: str, user: Limit, tenant: Limit) -> None:
        self._link = link
        self._prefix = f"{prefix}rate:"
        self._arguments = (*tenant.arguments(), *user.arguments())
        self._digest: str | None = None

    async def wait_s(self, tenant: str, user: str) -> float:
        """Count one request; returns 0 when it may pass, else the seconds after which it might."""
        keys = (f"{self._prefix}{{{tenant}}}", f"{self._prefix}{{{tenant}}}:{user}")
        answer = await self._link.ask(lambda redis: self._run(redis, keys))
        return 0.0 if answer is AWAY else int(answer) / 1_000_000  # type: ignore[call-overload]

    async def _run(self, redis: Redis, keys: tuple[str, ...]) -> int:
        from redis.exceptions import NoScriptError

        try:
            if self._digest is not None:
                return await redis.evalsha(self._digest, len(keys), *keys, *map(str, self._arguments))
        except NoScriptError:
            # Redis was started anew.
            pass
        self._digest = await redis.script_load(_SCRIPT)
        return await redis.evalsha(self._digest, len(keys), *keys, *map(str, self._arguments))
