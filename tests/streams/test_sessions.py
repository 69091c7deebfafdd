"""Fetch sessions against a model of the broker's side of KIP-227."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11

from streams.durable.sessions import FetchSession, SessionRequest

SESSION_UNKNOWN, EPOCH_INVALID = 70, 71
Place = tuple[str, int]


class Broker:
    """Keeps sessions as Kafka does: the partitions of each, and the epoch that has to come next."""

    def __init__(self, slots: int = 1000) -> None:
        self.slots = slots
        self.sessions: dict[int, dict[Place, tuple[int, int]]] = {}
        self.next_epoch: dict[int, int] = {}
        self.made = 0
        self.named = 0

    def fetch(self, request: Any) -> tuple[int, int, dict[Place, tuple[int, int]]]:
        """Return error, session id, and everything the broker then looks at."""
        topics = {
            (topic, partition): (offset, bytes_max)
            for topic, partitions in request.topics
            for partition, _, offset, _, bytes_max in partitions
        }
        self.named += len(topics)
        number, epoch = request.session_id, request.session_epoch
        if epoch == 0:
            self.sessions.pop(number, None)
            if len(self.sessions) >= self.slots:
                return 0, 0, topics
            self.made += 1
            self.sessions[self.made], self.next_epoch[self.made] = topics, 1
            return 0, self.made, dict(topics)
        if number not in self.sessions:
            return SESSION_UNKNOWN, 0, {}
        if self.next_epoch[number] != epoch:
            return EPOCH_INVALID, 0, {}
        self.next_epoch[number] = epoch + 1
        session = self.sessions[number]
        session |= topics
        for topic, partitions in request.forgotten_topics_data:
            for partition in partitions:
                del session[topic, partition]
        return 0, number, dict(session)


def answered(request: SessionRequest, error: int, session_id: int) -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result(SimpleNamespace(error_code=error, session_id=session_id))
    request.answered(future)


def ask(session: FetchSession, wanted: dict[Place, tuple[int, int]]) -> tuple[SessionRequest, Any]:
    topics: dict[str, list[tuple[int, int, int]]] = {}
    for (topic, partition), (offset, bytes_max) in wanted.items():
        topics.setdefault(topic, []).append((partition, offset, bytes_max))
    request = SessionRequest(session, 20, 1, 1000, 1, list(topics.items()), rack_id="")
    return request, request.build(FetchRequest_v11)


@pytest.mark.parametrize("seed", range(20))
async def test_the_broker_looks_at_what_is_wanted_whatever_gets_lost(seed: int) -> None:
    rng = random.Random(seed)
    broker, session = Broker(slots=rng.choice([0, 1000])), FetchSession()
    wanted: dict[Place, tuple[int, int]] = {(topic, n): (0, 1000) for topic in "ab" for n in range(4)}
    looked = 0
    for _ in range(400):
        for _ in range(rng.randrange(3)):
            place = rng.choice("abc"), rng.randrange(5)
            if rng.random() < 0.3:
                wanted.pop(place, None)
            else:
                wanted[place] = wanted.get(place, (0, 0))[0] + rng.randrange(2), 1000
        request, sent = ask(session, wanted)
        fate = rng.random()
        if fate < 0.05:  # never arrives
            lost = asyncio.get_running_loop().create_future()
            lost.set_exception(TimeoutError())
            request.answered(lost)
            continue
        if fate < 0.1:
            broker.sessions.clear()  # evicted, or the broker began anew
        error, session_id, seen = broker.fetch(sent)
        if fate > 0.95:  # nobody waits for the answer
            dropped = asyncio.get_running_loop().create_future()
            dropped.cancel()
            request.answered(dropped)
            continue
        answered(request, error, session_id)
        if not error:
            assert seen == wanted
            looked += 1
    assert looked > 300


async def test_only_what_changed_is_named() -> None:
    broker, session = Broker(), FetchSession()
    wanted = {("a", number): (0, 1000) for number in range(24)}
    for offset in range(100):
        wanted["a", 7] = offset, 1000
        request, sent = ask(session, wanted)
        error, session_id, _ = broker.fetch(sent)
        answered(request, error, session_id)
    assert (broker.made, broker.named) == (1, 24 + 99)


async def test_a_request_that_was_never_sent_changes_nothing() -> None:
    broker, session = Broker(), FetchSession()
    wanted = {("a", 0): (0, 1000)}
    request, sent = ask(session, wanted)
    answered(request, *broker.fetch(sent)[:2])
    unsent = SessionRequest(session, 20, 1, 1000, 1, [("a", [(0, 9, 1000)])], rack_id="")
    refused = asyncio.get_running_loop().create_future()
    refused.set_exception(OSError())
    unsent.answered(refused)
    request, sent = ask(session, wanted | {("a", 1): (0, 1000)})
    error, _, seen = broker.fetch(sent)
    assert (error, len(seen), broker.made) == (0, 2, 1)


async def test_an_old_broker_is_asked_as_by_aiokafka() -> None:
    topics = [("a", [(0, 5, 1000)])]
    ours = SessionRequest(FetchSession(), 20, 1, 1000, 1, topics).build(FetchRequest_v4)
    assert ours.encode() == FetchRequest(20, 1, 1000, 1, topics).build(FetchRequest_v4).encode()
