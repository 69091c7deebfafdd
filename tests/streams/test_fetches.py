"""The short way to choose what to fetch asks for the same as aiokafka's own, and leaves at the right moment."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from settings import Settings
from streams.clients import start_consumer, start_producer, topic_name
from streams.durable import fetches
from streams.topics_admin import create_topics
from topics.table import CAPABILITY_RESULTS, EXECUTION_REQUESTS

TOPICS = ("a", "b")


class Records:
    def __init__(self, backoff: float) -> None:
        self._backoff = backoff

    def calculate_backoff(self) -> float:
        return self._backoff


def fetcher(**changes: Any) -> Any:
    """As much of a fetcher as choosing looks at: two topics of three partitions, partition 2 led by broker 2."""
    leaders = {topic: {n: SimpleNamespace(leader=2 if n == 2 else 1) for n in range(3)} for topic in TOPICS}

    def leader_for_partition(partition: TopicPartition) -> int | None:
        known = leaders.get(partition.topic, {}).get(partition.partition)
        return None if known is None else known.leader

    cluster = SimpleNamespace(_partitions=leaders, leader_for_partition=leader_for_partition)
    fake = SimpleNamespace(
        _preferred_read_replica={},
        _records={},
        _in_flight=set(),
        _max_partition_fetch_bytes=1000,
        _client=SimpleNamespace(cluster=cluster),
        _fetcher_timeout=0.1,
        _fetch_max_wait_ms=20,
        _fetch_min_bytes=1,
        _fetch_max_bytes=5000,
        _isolation_level=1,
        _client_rack=None,
    )
    fake._select_read_replica = leader_for_partition
    for name, value in changes.items():
        setattr(fake, name, value)
    return fake


def assignment(**states: Any) -> Any:
    """Every partition at offset 5, but for those named `a0`, `b2`, … ."""
    known = {}
    for topic in TOPICS:
        for number in range(3):
            position, paused = states.get(f"{topic}{number}", (5, False))
            known[TopicPartition(topic, number)] = SimpleNamespace(
                _position=position,
                position=position,
                has_valid_position=position is not None,
                _paused=paused,
                paused=paused,
                resume_fut=None,
            )
    return SimpleNamespace(_tp_state=known, tps=list(known), state_value=known.get)


def asked(actions: tuple[Any, ...]) -> tuple[Any, ...]:
    requests, resets, wait_s, no_leader, _ = actions
    wanted = {
        node: {(topic, partition) for topic, partitions in request.topics for partition in partitions}
        for node, request in requests
    }
    return wanted, {node: set(partitions) for node, partitions in resets.items()}, wait_s, no_leader


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "everything": ({}, {}),
    "one broker is being asked": ({"_in_flight": {1}}, {}),
    "some are paused": ({}, {"a0": (5, True), "b2": (7, True)}),
    "records wait to be consumed": ({"_records": {TopicPartition("a", 0): Records(0.002)}}, {}),
    "records have waited long enough": ({"_records": {TopicPartition("a", 0): Records(0)}}, {}),
    "one has no position": ({}, {"a1": (None, False)}),
    "one has no position and is paused": ({}, {"a1": (None, True)}),
    "a paused one of a busy broker": ({"_in_flight": {2}}, {"b2": (None, True), "a0": (9, False)}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_asked_for_as_by_aiokafka(name: str) -> None:
    changes, states = CASES[name]
    short = asked(fetches._get_actions_per_node(fetcher(**changes), assignment(**states)))
    assert short == asked(fetches._stock(fetcher(**changes), assignment(**states)))


def test_a_partition_without_a_leader_is_left_to_aiokafka() -> None:
    fake = fetcher()
    fake._client.cluster._partitions["a"][0].leader = -1
    assert asked(fetches._get_actions_per_node(fake, assignment()))[3]
    fake = fetcher()
    del fake._client.cluster._partitions["b"]
    assert asked(fetches._get_actions_per_node(fake, assignment()))[3]


def test_a_preferred_replica_is_left_to_aiokafka() -> None:
    fake = fetcher(_preferred_read_replica={TopicPartition("a", 0): (1, time.monotonic() + 60)})
    assert asked(fetches._get_actions_per_node(fake, assignment())) == asked(fetches._stock(fake, assignment()))


class Fetched:
    """So many records that are still to be consumed."""

    def __init__(self, count: int) -> None:
        self.left = count

    def getall(self, max_records: int | None = None) -> list[int]:
        found = list(range(self.left))[:max_records]
        self.left -= len(found)
        return found

    def has_more(self) -> bool:
        return self.left > 0


def test_each_partition_gets_its_share_of_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deep partition fetched first does not keep the others waiting until it is empty."""
    monkeypatch.setattr(fetches, "FetchResult", Fetched)
    deep, shallow, late = (TopicPartition("a", number) for number in range(3))
    fake = fetcher(
        _records={deep: Fetched(9000), shallow: Fetched(3)}, _wait_consume_future=None, _notify=lambda _: None
    )
    first = fetches._drain(fake, None, 500)
    assert {partition: len(found) for partition, found in first.items()} == {deep: 250, shallow: 3}
    assert list(fake._records) == [deep]
    fake._records[late] = Fetched(400)
    second = fetches._drain(fake, None, 500)
    assert {partition: len(found) for partition, found in second.items()} == {deep: 250, late: 250}
    alone = fetcher(_records={deep: Fetched(9000)}, _wait_consume_future=None, _notify=lambda _: None)
    assert len(fetches._drain(alone, None, 500)[deep]) == 500
    assert len(fetches._drain(alone, None, None)[deep]) == 8500


def test_no_partition_comes_last_for_ever() -> None:
    fake, first = fetcher(), set()
    for _ in range(6):
        requests = fetches._get_actions_per_node(fake, assignment())[0]
        topic, partitions = dict(requests)[1].topics[0]
        first.add((topic, partitions[0][0]))
    assert {topic for topic, _ in first} == {"a", "b"}
    assert {number for _, number in first} == {0, 1}


@pytest.mark.integration
async def test_what_a_record_causes_leaves_before_the_next_fetch(
    service_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(service_settings, ["probe"])
    asked, answers = (topic_name(service_settings, name) for name in (EXECUTION_REQUESTS, CAPABILITY_RESULTS))
    producer = await start_producer(service_settings, "probe")
    consumer = await start_consumer(service_settings, client_id="probe")
    consumer.assign([TopicPartition(asked, 0)])
    written: list[str] = []
    send = AIOKafkaConnection.send

    def noted(connection: Any, request: Any, **options: Any) -> Any:
        written.extend({ProduceRequest: ["produce"], FetchRequest: ["fetch"]}.get(type(request), []))
        return send(connection, request, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", noted)
    try:
        # Until the new topics have leaders, produces are tried again and fetches make way for questions.
        for topic in (answers, asked):
            await producer.send_and_wait(topic, b"first", b"key", 0)
        assert len(await consumer.getmany(timeout_ms=10_000)) == 1
        first: list[str] = []
        for number in range(20):
            await producer.send_and_wait(asked, b"%d" % number, b"key", 0)
            assert len(await consumer.getmany(timeout_ms=10_000)) == 1
            written.clear()
            await (await producer.send(answers, b"answer", b"key", 0))
            first.append(written[0])
        # On a machine that stands still for a tenth of a second it is simply time for a fetch.
        assert first.count("produce") >= 18
        # The fetch is late, not left out.
        await producer.send_and_wait(asked, b"last", b"key", 0)
        assert len(await consumer.getmany(timeout_ms=10_000)) == 1
    finally:
        await consumer.stop()
        await producer.stop()
