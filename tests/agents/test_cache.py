import asyncio
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.agents.desk import request
from tests.agents.probe import Clock, MemoryCache, ProbeAgent, runtime
from topics.messages import CapabilityResult, Pins

PINS = Pins(
    pricing_pack_id=UUID("00000000-0000-4000-8000-00000000000a"),
    pack_sha256="0" * 64,
    ledger_commit_hash="1" * 40,
    portfolio_id=UUID("00000000-0000-4000-8000-00000000000b"),
    base_ccy="CAD",
    asof=date(2020, 1, 2),
    asof_requested=date(2020, 1, 2),
)


def how(answer: CapabilityResult) -> str:
    assert answer.error is None and answer.metadata is not None
    return answer.metadata.cache


async def read(serve: Any, pins: Pins = PINS, label: str = "a", **fields: Any) -> CapabilityResult:
    answer = await serve.handle(request("probe.read", {"label": label}, version=3, pins=pins, **fields))
    await serve.drain()
    return answer


async def test_a_hit_keeps_the_answer_and_its_provenance() -> None:
    agent, cache = ProbeAgent(), MemoryCache()
    serve = runtime(agent, cache=cache)
    first, second = await read(serve), await read(serve)
    assert (how(first), how(second), agent.calls) == ("miss", "hit", 1)
    assert (second.value, second.digest) == (first.value, first.digest)
    assert first.metadata is not None and second.metadata is not None
    assert first.metadata.model_copy(update={"cache": "hit"}) == second.metadata
    assert list(cache.ttls.values()) == [60]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pricing_pack_id": uuid4()}, "miss"),
        ({"pack_sha256": "2" * 64}, "miss"),
        ({"asof": date(2020, 1, 3)}, "miss"),
        ({"base_ccy": "USD"}, "miss"),
        # probe.read needs the pack only
        ({"ledger_commit_hash": "3" * 40}, "hit"),
        ({"portfolio_id": uuid4()}, "hit"),
        ({"asof_requested": date(2020, 1, 9)}, "hit"),
    ],
)
async def test_the_key_holds_exactly_the_pins_a_capability_needs(change: dict[str, Any], expected: str) -> None:
    serve = runtime(ProbeAgent(), cache=MemoryCache())
    await read(serve)
    assert how(await read(serve, PINS.model_copy(update=change))) == expected


async def test_other_arguments_are_another_answer() -> None:
    serve = runtime(ProbeAgent(), cache=MemoryCache())
    await read(serve)
    assert how(await read(serve, label="b")) == "miss"


async def test_answers_are_never_shared_between_users_or_tenants() -> None:
    serve = runtime(ProbeAgent(), cache=MemoryCache())
    users = [("t1", uuid4()), ("t1", uuid4()), ("t2", uuid4())]
    users.append(("t2", users[0][1]))
    for _ in range(2):
        for tenant, user in users:
            answer = await serve.handle(request("probe.private", tenant=tenant, user_id=user))
            assert answer.value == f"{tenant}/{user}"


async def test_answers_declared_shared_are() -> None:
    agent = ProbeAgent(lambda context: "everyone's")
    serve = runtime(agent, cache=MemoryCache())
    for tenant in ("t1", "t2"):
        await serve.handle(request("probe.public", tenant=tenant, user_id=uuid4()))
    assert agent.calls == 1


async def test_only_pure_capabilities_are_remembered() -> None:
    agent, cache = ProbeAgent(), MemoryCache()
    serve = runtime(agent, cache=cache)
    answers = [await serve.handle(request("probe.fetch")) for _ in range(2)]
    assert [how(answer) for answer in answers] == ["off", "off"]
    assert agent.calls == 2 and not cache.kept


@pytest.mark.parametrize(("reported", "kept"), [(None, [86_400]), (7, [7]), (0, [])])
async def test_an_answer_may_say_how_long_it_lasts(reported: int | None, kept: list[int]) -> None:
    cache = MemoryCache()
    agent = ProbeAgent(lambda context: context.report(ttl_s=reported) or "answer")
    serve = runtime(agent, cache=cache)
    await serve.handle(request("probe.private"))
    await serve.drain()
    assert list(cache.ttls.values()) == kept


async def test_errors_are_not_remembered() -> None:
    agent, cache = ProbeAgent(lambda context: ValueError("bug")), MemoryCache()
    serve = runtime(agent, cache=cache)
    await read(serve)
    agent.act = lambda context: None
    assert how(await read(serve)) == "miss" and len(cache.kept) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: b"",
        lambda entry: b"not json\n" + entry,
        lambda entry: entry[:-2],
        lambda entry: entry.replace(b'"label":"a"', b'"label":"b"'),
        lambda entry: b'{"sha256":"x"}\n' + entry.split(b"\n", 1)[1],
        lambda entry: b"[]\n" + entry,
        lambda entry: entry.replace(b'"sources":["probe:1"]', b'"sources":7'),
    ],
)
async def test_a_damaged_entry_is_a_miss(damage: Any) -> None:
    agent, cache = ProbeAgent(), MemoryCache()
    serve = runtime(agent, cache=cache)
    await read(serve)
    cache.kept = {key: damage(entry) for key, entry in cache.kept.items()}
    answer = await read(serve)
    assert how(answer) == "miss" and answer.value == {"amount": "1", "label": "a"} and agent.calls == 2
    assert how(await read(serve)) == "hit"


async def test_a_lost_cache_costs_time_only_and_is_left_alone_for_a_while() -> None:
    agent, cache, clock = ProbeAgent(), MemoryCache(), Clock()
    serve = runtime(agent, cache=cache, clock=clock)
    await read(serve)
    cache.down, cache.asked = True, 0
    assert how(await read(serve)) == "miss" and how(await read(serve)) == "miss"
    assert cache.asked == 1 and agent.calls == 3
    cache.down = False
    clock.now += 1_000
    assert how(await read(serve)) == "hit"


async def test_a_hit_on_a_large_answer_has_its_artifact() -> None:
    from services.local_artifacts import LocalArtifacts

    agent, cache = ProbeAgent(lambda context: ["x" * 9000]), MemoryCache()
    serve = runtime(agent, cache=cache)
    first = await serve.handle(request("probe.private"))
    await serve.drain()
    # Another worker, and an artifact store that has lost the value since.
    store = LocalArtifacts()
    hit = await runtime(agent, cache=cache, artifacts=store).handle(request("probe.private"))
    assert how(hit) == "hit" and hit.refs == first.refs
    assert await store.get("local", uuid4(), hit.refs[""]) is not None


class SlowCache(MemoryCache):
    """Writes only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.begun = 0

    async def set(self, key: str, value: bytes, ttl_s: int | None) -> None:
        self.begun += 1
        await self.let.wait()
        await super().set(key, value, ttl_s)


async def test_no_answer_waits_for_being_remembered_but_who_asks_again_meanwhile_does() -> None:
    agent, cache = ProbeAgent(), SlowCache()
    serve = runtime(agent, cache=cache)
    asked = request("probe.read", {"label": "a"}, version=3, pins=PINS)
    assert how(await serve.handle(asked)) == "miss"
    again = asyncio.create_task(serve.handle(asked))
    await asyncio.sleep(0)
    assert not cache.kept and not again.done()
    cache.let.set()
    assert how(await again) == "hit" and agent.calls == 1


async def test_while_the_cache_is_slow_answers_pile_up_to_a_bound_only() -> None:
    agent, cache = ProbeAgent(lambda context: "x" * 1_000_000), SlowCache()
    serve = runtime(agent, cache=cache)
    asked = [request("probe.private", user_id=uuid4()) for _ in range(30)]
    for each in asked:
        assert how(await serve.handle(each)) == "miss"
    await asyncio.sleep(0)
    assert cache.begun == 16
    cache.let.set()
    await serve.drain()
    assert len(cache.kept) == 16


async def test_who_asks_the_same_at_once_makes_one_entry() -> None:
    agent, cache = ProbeAgent(), SlowCache()
    serve = runtime(agent, cache=cache)
    asked = request("probe.read", {"label": "a"}, version=3, pins=PINS)
    asyncio.get_running_loop().call_later(0.05, cache.let.set)
    found = await asyncio.gather(*(serve.handle(asked) for _ in range(20)))
    await serve.drain()
    assert {answer.digest for answer in found} == {found[0].digest} and (cache.begun, len(cache.kept)) == (1, 1)


async def test_an_answer_is_remembered_though_its_artifact_could_not_be_written() -> None:
    from services.local_artifacts import LocalArtifacts

    class Away(LocalArtifacts):
        async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
            raise ConnectionError("no store")

    agent, cache = ProbeAgent(lambda context: ["x" * 9000]), MemoryCache()
    serve = runtime(agent, cache=cache, artifacts=Away())
    assert (await serve.handle(request("probe.private"))).error is not None
    await serve.drain()
    assert how(await runtime(agent, cache=cache).handle(request("probe.private"))) == "hit"
