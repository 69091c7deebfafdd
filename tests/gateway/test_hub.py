"""The hub against a model: whatever comes, in whatever order clients leave and return, each result is sent once."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from uuid import UUID

import orjson
import pytest

from gateway.bridge import cursor
from gateway.bridge.hub import HistoryUnavailable, Hub, SlowClient
from gateway.bridge.outbox import Outbox
from gateway.bridge.result import Owner, Result
from gateway.bridge.session import Session
from gateway.bridge.window import Window
from services.tokens import Principal, Role
from topics.socket import Subscribe

ALICE: Owner = ("acme", UUID(int=1))
BOB: Owner = ("acme", UUID(int=2))
PARTITIONS = 3


def name(number: int) -> str:
    return str(UUID(int=number))


class Topic:
    """Every result ever, as Postgres would have it, and the offsets given so far."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.ends = [0] * PARTITIONS
        self.behind = 0

    def publish(self, owner: Owner, partition: int, pattern: str = "p") -> Result:
        number = len(self.results)
        body = orjson.dumps({"execution_id": name(number)})[1:-1]
        result = Result(owner, name(number), pattern, partition, self.ends[partition], b"{}", body)
        self.ends[partition] += 1
        self.results.append(result)
        return result

    async def since(self, owner: Owner, offsets: Sequence[int], before: Sequence[int], limit: int) -> list[Result]:
        await asyncio.sleep(0)
        found = [
            each
            for each in self.results
            if each.owner == owner and offsets[each.partition] <= each.offset < before[each.partition]
        ]
        return sorted(found, key=lambda each: (each.partition, each.offset))[:limit]

    async def of(self, owner: Owner, execution_ids: Iterable[str]) -> list[Result]:
        await asyncio.sleep(0)
        reached = await self.projected()
        named = set(execution_ids)
        return [
            each
            for each in self.results
            if each.owner == owner and each.execution_id in named and each.offset < reached[each.partition]
        ]

    async def projected(self) -> list[int]:
        await asyncio.sleep(0)
        return [end - self.behind for end in self.ends]


class Client:
    """Reads a session as far as it likes, and knows what it has seen."""

    def __init__(self, hub: Hub, owner: Owner, at: str | None = None, outbox: Outbox | None = None) -> None:
        principal = Principal(owner[0], owner[1], Role.VIEWER, "s", 2e9)
        self.hub = hub
        self.session = Session(principal, hub.cursor, outbox)
        self.seen: list[str] = []
        self.at = at
        self.follower: asyncio.Task[None] | None = None
        self._behind = asyncio.Event()
        hub.add(self.session, self._behind.set)

    def subscribe(self, **fields: object) -> None:
        chosen = Subscribe.model_validate({"all": True, **fields})
        self.session.subscribe(chosen, cursor.decode(self.at or self.hub.cursor()))
        self._behind.set()
        if self.follower is None:
            self.follower = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            await self._behind.wait()
            self._behind.clear()
            await self.hub.follow(self.session)

    async def read(self, limit: int = 10**9) -> None:
        while len(self.session.outbox) and limit > 0:
            message = await self.session.outbox.get()
            self.seen.append(orjson.loads(message.text)["execution_id"])
            self.at = message.cursor
            limit -= 1

    async def read_all(self) -> None:
        for _ in range(1000):
            await self.read()
            await asyncio.sleep(0)
            if self.session.live and not len(self.session.outbox):
                return
        raise AssertionError("it never became live")

    def leave(self) -> None:
        self.hub.remove(self.session)
        if self.follower is not None:
            self.follower.cancel()


def make_hub(topic: Topic, **limits: int) -> Hub:
    return Hub(Window(topic.ends, **limits), topic, slow_s=0.2)


async def test_a_live_client_gets_its_own_and_only_its_own() -> None:
    topic = Topic()
    hub = make_hub(topic)
    alice, bob = Client(hub, ALICE), Client(hub, BOB)
    alice.subscribe()
    bob.subscribe(all=False, patterns=("q",))
    await alice.read_all()
    await bob.read_all()
    for owner, pattern in ((ALICE, "p"), (BOB, "p"), (BOB, "q"), (("other", UUID(int=1)), "p")):
        hub.result(topic.publish(owner, 0, pattern))
    await alice.read_all()
    await bob.read_all()
    assert alice.seen == [name(0)]
    assert bob.seen == [name(2)]


@pytest.mark.parametrize("kept", [1, 100])
async def test_what_is_named_by_id_is_given_though_it_ended_before_and_once(kept: int) -> None:
    topic = Topic()
    hub = make_hub(topic, count_max=kept)
    for owner in (ALICE, BOB, ALICE):
        hub.result(topic.publish(owner, 0))
    topic.behind = kept  # What the window has the projector may not have.
    client = Client(hub, ALICE)
    client.subscribe(all=False, executions=(name(0), name(1), name(2), name(3), name(9)))
    hub.result(topic.publish(ALICE, 0))
    hub.result(topic.publish(ALICE, 0))
    topic.behind = 0
    await client.read_all()
    assert sorted(client.seen) == [name(0), name(2), name(3)]
    client.subscribe(all=False, executions=(name(0),), cursor=hub.cursor())
    await client.read_all()
    assert len(client.seen) == 3


@pytest.mark.parametrize("seed", range(30))
async def test_each_result_once_however_clients_come_and_go(seed: int) -> None:
    """Leaving at any message, another gateway, restarts that empty the window, outboxes that overflow."""
    rng = random.Random(seed)
    topic = Topic()
    limits = {"count_max": rng.choice([1, 5, 50])}
    hubs = [make_hub(topic, **limits), make_hub(topic, **limits)]
    client = Client(hubs[0], ALICE, outbox=Outbox(messages_max=rng.choice([2, 6, 1000])))
    client.subscribe()
    await client.read_all()
    client.at = hubs[0].cursor()
    seen: list[str] = []
    for _ in range(300):
        action = rng.random()
        if action < 0.6:
            result = topic.publish(rng.choice([ALICE, ALICE, BOB]), rng.randrange(PARTITIONS))
            for hub in hubs:
                hub.result(result)
        elif action < 0.8:
            await client.read(rng.randrange(4))
        elif action < 0.9:
            await asyncio.sleep(0)
        else:
            number = rng.randrange(2)
            if rng.random() < 0.3:
                hubs[number] = make_hub(topic, **limits)
            seen += client.seen
            client.leave()
            client = Client(hubs[number], ALICE, client.at, Outbox(messages_max=rng.choice([2, 6, 1000])))
            client.subscribe()
    await client.read_all()
    client.leave()
    assert sorted(seen + client.seen) == sorted(each.execution_id for each in topic.results if each.owner == ALICE)


async def test_a_gateway_that_is_behind_the_cursor_waits_and_repeats_nothing() -> None:
    topic = Topic()
    ahead, behind = make_hub(topic), make_hub(topic)
    client = Client(ahead, ALICE)
    client.subscribe()
    await client.read_all()
    first = topic.publish(ALICE, 1)
    ahead.result(first)
    await client.read_all()
    other = Client(behind, ALICE, client.at)
    other.subscribe()
    await asyncio.sleep(0.05)
    assert not other.session.live
    behind.result(first)
    second = topic.publish(ALICE, 1)
    behind.result(second)
    await asyncio.sleep(0.2)
    await other.read_all()
    assert other.seen == [second.execution_id]


async def test_a_client_that_makes_no_room_is_found_out_and_others_are_not_held_up() -> None:
    topic = Topic()
    hub = make_hub(topic)
    slow, fast = Client(hub, ALICE, outbox=Outbox(messages_max=10)), Client(hub, ALICE)
    for client in (slow, fast):
        client.subscribe()
        await client.read_all()
    for _ in range(50):
        hub.result(topic.publish(ALICE, 0))
    await fast.read_all()
    assert len(fast.seen) == 50
    assert slow.follower is not None
    with pytest.raises(SlowClient):
        await asyncio.wait_for(slow.follower, 2)
    assert len(slow.session.outbox) <= 10
    await slow.read()
    again = Client(hub, ALICE, slow.at)
    again.subscribe()
    await again.read_all()
    assert slow.seen + again.seen == [name(number) for number in range(50)]


async def test_results_the_projector_has_not_stored_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic()
    start = cursor.encode(topic.ends)
    missed = topic.publish(ALICE, 2)
    topic.behind = 1
    hub = make_hub(topic)
    client = Client(hub, ALICE, start)
    client.subscribe()
    await asyncio.sleep(0.15)
    assert client.seen == [] and not client.session.live
    topic.behind = 0
    await asyncio.sleep(0.15)
    await client.read_all()
    assert client.seen == [missed.execution_id]

    monkeypatch.setattr("gateway.bridge.hub._PROJECTED_S", 0.0)
    topic.behind = 1
    late = Client(make_hub(topic), ALICE, start)
    late.subscribe()
    assert late.follower is not None
    with pytest.raises(HistoryUnavailable):
        await asyncio.wait_for(late.follower, 2)


async def test_a_cursor_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.bridge.hub._REACH_S", 0.0)
    topic = Topic()
    hub = make_hub(topic)
    for offsets in ([5, 0, 0], [0, 0]):
        client = Client(hub, ALICE, cursor.encode(offsets))
        client.subscribe()
        assert client.follower is not None
        with pytest.raises(cursor.CursorInvalid):
            await asyncio.wait_for(client.follower, 2)


@pytest.mark.parametrize("missing", ["the end", "the projector"])
async def test_a_subscription_that_waits_does_not_hold_up_the_one_that_replaces_it(missing: str) -> None:
    topic = Topic()
    hub = make_hub(topic, count_max=1)
    start = hub.cursor()
    for _ in range(3):
        hub.result(topic.publish(ALICE, 0))
    topic.behind = 3
    client = Client(hub, ALICE, cursor.encode([99, 0, 0]) if missing == "the end" else start)
    client.subscribe()
    await asyncio.sleep(0.2)
    assert not client.session.live
    client.at = None
    client.subscribe()
    async with asyncio.timeout(2):
        while not client.session.live:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    hub.result(topic.publish(ALICE, 1))
    await client.read_all()
    assert client.seen == [name(3)]
    client.leave()


async def test_what_a_subscription_names_outlasts_the_one_it_replaces() -> None:
    topic = Topic()
    hub = make_hub(topic, count_max=1)
    hub.result(topic.publish(ALICE, 0))
    hub.result(topic.publish(ALICE, 0))
    client = Client(hub, ALICE)
    client.subscribe(all=False, executions=(name(9),))
    await asyncio.sleep(0)
    # The first one is asking Postgres now.
    client.subscribe(all=False, executions=(name(0),))
    await client.read_all()
    assert client.seen == [name(0)]
    client.leave()
