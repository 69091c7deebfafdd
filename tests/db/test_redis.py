"""Cache and breaker on Redis and in memory answer alike; losing Redis costs time and nothing else."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from db.breaker import RedisBreaker
from db.cache import RedisCache
from db.circuit import FAILURES_MAX, FIRST_PAUSE_MS, PAUSE_MS, TRIAL_MS
from db.memory import MemoryBreaker, MemoryCache
from db.redis_link import AWAY, RedisLink

NOW = 1_704_884_400_000
Cache = RedisCache | MemoryCache
Breaker = RedisBreaker | MemoryBreaker


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def redis_or_memory(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("redis_url") if request.param == "redis" else None


@pytest.fixture
async def link(redis_or_memory: str | None) -> AsyncIterator[RedisLink | None]:
    if redis_or_memory is None:
        yield None
        return
    link = RedisLink(redis_or_memory, timeout_s=5.0)
    yield link
    assert link.failures == 0
    await link.close()


@pytest.fixture
def cache(link: RedisLink | None) -> Cache:
    if link is None:
        return MemoryCache(lambda: time.monotonic_ns() // 1_000_000)
    return RedisCache(link, prefix=f"{uuid.uuid4()}.")


@pytest.fixture
def breaker(link: RedisLink | None) -> Breaker:
    return MemoryBreaker() if link is None else RedisBreaker(link, prefix=f"{uuid.uuid4()}.")


async def test_cache(cache: Cache) -> None:
    assert await cache.get("k") is None
    await cache.set("k", b"\x00\xff", 600)
    await cache.set("for-long", b"", None)
    await cache.set("never", b"x", 0)
    assert (await cache.get("k"), await cache.get("for-long"), await cache.get("never")) == (b"\x00\xff", b"", None)
    await cache.set("k", b"new", 600)
    assert await cache.get("k") == b"new"


async def test_memory_cache_forgets_by_age_and_by_number() -> None:
    now = 0
    cache = MemoryCache(lambda: now, entries_max=2)
    await cache.set("a", b"1", 1)
    now = 999
    assert await cache.get("a") == b"1"
    now = 1000
    assert await cache.get("a") is None
    for key in "bc":
        await cache.set(key, b"2", None)
    await cache.get("b")
    await cache.set("d", b"3", None)
    assert [await cache.get(key) for key in "bcd"] == [b"2", None, b"3"]


@pytest.mark.integration
async def test_redis_cache_expires_and_leaves_large_values_out(redis_url: str) -> None:
    link = RedisLink(redis_url, timeout_s=5.0)
    prefix = f"{uuid.uuid4()}."
    cache = RedisCache(link, prefix, value_bytes_max=3)
    await cache.set("small", b"123", 77)
    await cache.set("large", b"1234", 77)
    await cache.set("day", b"1", None)
    assert (await cache.get("small"), await cache.get("large")) == (b"123", None)
    ages = [await link.ask(lambda redis, key=key: redis.ttl(f"{prefix}cache:{key}")) for key in ("small", "day")]
    assert ages == [77, 24 * 3600]
    await link.close()


async def fail(breaker: Breaker, times: int, now_ms: int = NOW) -> None:
    for _ in range(times):
        await breaker.failed("analyst/postgres", now_ms)


async def pause_s(breaker: Breaker, now_ms: int) -> float | None:
    return (await breaker.admit("analyst/postgres", now_ms)).retry_after_s


async def test_the_fifth_failure_in_a_row_opens_for_a_second(breaker: Breaker) -> None:
    await fail(breaker, FAILURES_MAX - 1)
    before = await breaker.admit("analyst/postgres", NOW)
    assert (before.retry_after_s, before.failures) == (None, 4)
    await fail(breaker, 1)
    assert await pause_s(breaker, NOW) == 1
    assert await pause_s(breaker, NOW + FIRST_PAUSE_MS - 1) == 0.001
    assert (await breaker.admit("analyst/redis", NOW)).retry_after_s is None


async def test_a_success_in_between_starts_the_count_again(breaker: Breaker) -> None:
    await fail(breaker, FAILURES_MAX - 1)
    await breaker.succeeded("analyst/postgres", NOW)
    await fail(breaker, FAILURES_MAX - 1)
    assert await pause_s(breaker, NOW) is None


async def test_half_open_lets_one_trial_through(breaker: Breaker) -> None:
    await fail(breaker, FAILURES_MAX)
    later = NOW + FIRST_PAUSE_MS
    assert [await pause_s(breaker, later) for _ in range(3)] == [None, 1, 1]
    await breaker.succeeded("analyst/postgres", later + 5)
    after = await breaker.admit("analyst/postgres", later + 6)
    assert (after.retry_after_s, after.failures) == (None, 0)


async def test_each_failed_trial_doubles_the_pause_up_to_a_minute(breaker: Breaker) -> None:
    await fail(breaker, FAILURES_MAX)
    now, pauses = NOW, []
    for _ in range(8):
        pauses.append(await pause_s(breaker, now))
        now += round((pauses[-1] or 0) * 1000)
        assert await pause_s(breaker, now) is None
        await fail(breaker, 1, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    # Others wait for the trial of a long pause for 10 s only.
    assert [await pause_s(breaker, now + PAUSE_MS) for _ in range(2)] == [None, 10]


async def test_many_calls_that_fail_together_cost_one_second(breaker: Breaker) -> None:
    await fail(breaker, 100)
    await fail(breaker, 100, NOW + FIRST_PAUSE_MS - 1)
    assert await pause_s(breaker, NOW + FIRST_PAUSE_MS - 1) == 0.001
    assert await pause_s(breaker, NOW + FIRST_PAUSE_MS) is None
    await breaker.succeeded("analyst/postgres", NOW + FIRST_PAUSE_MS + 5)
    await fail(breaker, FAILURES_MAX, NOW + FIRST_PAUSE_MS + 10)
    assert await pause_s(breaker, NOW + FIRST_PAUSE_MS + 10) == 1


async def test_a_trial_nobody_reports_makes_room_for_another(breaker: Breaker) -> None:
    await fail(breaker, FAILURES_MAX)
    later = NOW + PAUSE_MS
    assert await pause_s(breaker, later) is None
    assert await pause_s(breaker, later + TRIAL_MS) is None


async def test_late_failures_do_not_prolong_the_pause(breaker: Breaker) -> None:
    await fail(breaker, FAILURES_MAX)
    await fail(breaker, 3, NOW + 300)
    assert await pause_s(breaker, NOW + 300) == 0.7


@pytest.mark.integration
async def test_workers_share_a_circuit(redis_url: str) -> None:
    links = [RedisLink(redis_url, timeout_s=5.0) for _ in range(2)]
    prefix = f"{uuid.uuid4()}."
    one, two = (RedisBreaker(link, prefix) for link in links)
    await fail(one, 3)
    await fail(two, 2)
    assert (await pause_s(one, NOW), await pause_s(two, NOW)) == (1, 1)
    later = NOW + FIRST_PAUSE_MS
    trials = await asyncio.gather(*(pause_s(breaker, later) for breaker in (one, two, one, two)))
    assert sorted(trials, key=str) == [1, 1, 1, None]
    for link in links:
        await link.close()


class Away:
    """A Redis that takes connections and never answers; `down` says so from the start."""

    def __init__(self) -> None:
        self.connections = 0
        self.now = 0.0

    async def silent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read()
        writer.close()


async def test_a_dead_redis_costs_one_time_limit_per_pause(caplog: pytest.LogCaptureFixture) -> None:
    away = Away()
    server = await asyncio.start_server(away.silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = RedisLink(f"redis://127.0.0.1:{port}", timeout_s=1.0, pause_s=5.0, monotonic=lambda: away.now)
    cache, breaker = RedisCache(link), RedisBreaker(link)
    with caplog.at_level(logging.WARNING, logger="db.redis_link"):
        async with server:
            for _ in range(50):
                assert await cache.get("k") is None
                await cache.set("k", b"v", 60)
                assert not await cache.reachable()
            assert (link.failures, away.connections) == (1, 1)
            away.now = 6.0
            assert await cache.get("k") is None
            assert (link.failures, away.connections) == (2, 2)
            await fail(breaker, FAILURES_MAX)
            assert await pause_s(breaker, NOW) == 1
            await link.close()
    assert len(caplog.records) == 1


@pytest.mark.integration
async def test_more_who_ask_than_there_are_connections_take_turns(redis_url: str) -> None:
    link = RedisLink(redis_url, timeout_s=5.0)
    cache = RedisCache(link, prefix=f"{uuid.uuid4()}.")
    await cache.set("k", b"v", 60)
    assert set(await asyncio.gather(*(cache.get("k") for _ in range(500)))) == {b"v"}
    assert link.failures == 0
    await link.close()


@pytest.mark.integration
async def test_redis_coming_back_is_used_again(redis_url: str) -> None:
    now = 0.0
    link = RedisLink(redis_url, timeout_s=5.0, pause_s=5.0, monotonic=lambda: now)

    async def fails(redis: object) -> None:
        raise ConnectionResetError("gone")

    assert await link.ask(fails) is AWAY
    cache = RedisCache(link, prefix=f"{uuid.uuid4()}.")
    await cache.set("k", b"v", 60)
    assert await cache.get("k") is None
    now = 6.0
    await cache.set("k", b"v", 60)
    assert await cache.get("k") == b"v" and await cache.reachable()
    await link.close()


@pytest.mark.integration
async def test_circuits_are_listed_as_they_stand(redis_url: str) -> None:
    link = RedisLink(redis_url, timeout_s=5.0)
    breaker = RedisBreaker(link, prefix=f"{uuid.uuid4()}[*].")
    await breaker.failed("a/flaky", NOW)
    for _ in range(FAILURES_MAX):
        await breaker.failed("b/down", NOW)
    found = await breaker.circuits(NOW + 1)
    assert found is not None
    assert [(each.circuit, each.state, each.failures) for each in found] == [
        ("a/flaky", "closed", 1),
        ("b/down", "open", FAILURES_MAX),
    ]
    assert found[1].retry_in_ms == FIRST_PAUSE_MS - 1
    later = await breaker.circuits(NOW + FIRST_PAUSE_MS)
    assert later is not None and later[1].state == "half_open"
    await link.close()
