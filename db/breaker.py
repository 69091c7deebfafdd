"""Circuit breakers shared by all workers, in Redis; while Redis is away each process counts for itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from db.circuit import FAILURES_MAX, FIRST_PAUSE_MS, PAUSE_MS, TRIAL_MS, Admission
from db.memory import MemoryBreaker
from db.redis_link import RedisLink

# An idle circuit is forgotten after this; also the longest that a wrong clock can keep one open.
_KEPT_MS = 3_600_000
_CIRCUITS_MAX = 1000

# The rules of db/circuit.py, in one atomic step each. KEYS[1] circuit; ARGV: now, longest pause,
# failures, kept, trial, first pause.
_ADMIT = """
local state = redis.call('HMGET', KEYS[1], 'failures', 'open', 'trial', 'pause')
local failures, open, trial = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
local pause = tonumber(state[4] or 0)
local now = tonumber(ARGV[1])
if open == 0 then return {-1, failures} end
local wait = math.max(open, trial) - now
if wait > 0 then return {wait, failures} end
redis.call('HSET', KEYS[1], 'trial', string.format('%.0f', now + math.min(pause, tonumber(ARGV[5]))))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {-1, failures}
"""
_FAILED = """
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local open = tonumber(redis.call('HGET', KEYS[1], 'open') or 0)
local now = tonumber(ARGV[1])
if (open > 0 and open <= now) or (open == 0 and failures >= tonumber(ARGV[3])) then
    local pause = tonumber(redis.call('HGET', KEYS[1], 'pause') or 0) * 2
    if pause == 0 then pause = tonumber(ARGV[6]) end
    pause = math.min(pause, tonumber(ARGV[2]))
    redis.call('HSET', KEYS[1], 'open', string.format('%.0f', now + pause), 'trial', 0, 'pause', pause)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return failures
"""


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit as it stands.

    Attributes:
        circuit: `<agent>/<service>`.
        state: `closed`, `open`, or `half_open`: the pause is over and one call decides.
        retry_in_ms: until the next call is let through; 0 unless it is open.
    """

    circuit: str
    state: str
    failures: int
    retry_in_ms: int


def _circuit(name: str, fields: Sequence[bytes | None], now_ms: int) -> Circuit:
    failures, opened, trial = (int(float(field or 0)) for field in fields)
    if opened == 0:
        return Circuit(name, "closed", failures, 0)
    wait_ms = max(opened - now_ms, 0)
    return Circuit(name, "open" if wait_ms else "half_open", failures, wait_ms or max(trial - now_ms, 0))


def _literal(text: str) -> str:
    """Return a pattern that matches just this text."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)


class RedisBreaker:
    """State of all circuits. `circuit` is `<agent>/<service>`.

    Args:
        link: from `db.redis_link`.
        prefix: put before every key.
    """

    def __init__(self, link: RedisLink, prefix: str = "dawsos.") -> None:
        self._link = link
        self._prefix = prefix
        self._local = MemoryBreaker()

    async def admit(self, circuit: str, now_ms: int) -> Admission:
        """Ask before a call. An open circuit lets one trial through once its pause is over (half-open)."""
        answer = await self._link.ask(lambda redis: self._run(redis, _ADMIT, circuit, now_ms))
        if not isinstance(answer, list):
            return await self._local.admit(circuit, now_ms)
        wait_ms, failures = answer
        return Admission(None if wait_ms < 0 else wait_ms / 1000, failures)

    async def succeeded(self, circuit: str, now_ms: int) -> None:
        """Close the circuit and forget its failures."""
        await self._local.succeeded(circuit, now_ms)
        await self._link.ask(lambda redis: redis.delete(self._name(circuit)))

    async def failed(self, circuit: str, now_ms: int) -> None:
        """Count a failure: the 5th in a row, or a failed trial, opens the circuit; see `db.circuit`."""
        # Counted here as well, so that losing Redis in the middle of an outage does not close the circuit.
        await self._local.failed(circuit, now_ms)
        await self._link.ask(lambda redis: self._run(redis, _FAILED, circuit, now_ms))

    async def circuits(self, now_ms: int) -> tuple[Circuit, ...] | None:
        """Return every circuit that has counted a failure, by name; None while Redis is away."""

        async def read(redis: Redis) -> list[tuple[str, Any]]:
            start = self._name("")
            names = sorted([name.decode() async for name in redis.scan_iter(match=f"{_literal(start)}*", count=500)])
            fields: list[Any] = [
                await redis.hmget(name, ["failures", "open", "trial"])  # pyright: ignore[reportGeneralTypeIssues]
                for name in names[:_CIRCUITS_MAX]
            ]
            return [(name.removeprefix(start), each) for name, each in zip(names, fields, strict=False)]

        found = await self._link.ask(read)
        if not isinstance(found, list):
            return None
        return tuple(_circuit(name, fields, now_ms) for name, fields in found)

    async def _run(self, redis: Redis, script: str, circuit: str, now_ms: int) -> object:
        return await redis.eval(  # pyright: ignore[reportGeneralTypeIssues]
            script,
            1,
            self._name(circuit),
            str(now_ms),
            str(PAUSE_MS),
            str(FAILURES_MAX),
            str(_KEPT_MS),
            str(TRIAL_MS),
            str(FIRST_PAUSE_MS),
        )

    def _name(self, circuit: str) -> str:
        return f"{self._prefix}circuit:{circuit}"
