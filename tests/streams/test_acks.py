import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from streams.durable import acks as module
from streams.durable.acks import OrderedAcks
from streams.kafka_port import FaustPort

Closing = Callable[[OrderedAcks], OrderedAcks]


class Message:
    def __init__(self, offset: int, generation_id: int) -> None:
        self.offset, self.generation_id = offset, generation_id


class Event:
    def __init__(self, number: int, acked: list[int], generation: int = 1) -> None:
        self.message = Message(number, generation)
        self._number, self._acked = number, acked

    def ack(self) -> None:
        self._acked.append(self._number)


def app(generation: int = 1) -> Any:
    return FaustPort(
        SimpleNamespace(consumer_generation_id=generation, consumer=SimpleNamespace(_unacked_messages=set()))
    )


@pytest.fixture
async def closing() -> AsyncIterator[Closing]:
    windows: list[OrderedAcks] = []

    def note(window: OrderedAcks) -> OrderedAcks:
        windows.append(window)
        return window

    yield note
    for window in windows:
        await window.close()


def future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_events_are_acknowledged_in_order_each_after_its_deliveries(closing: Closing) -> None:
    acked: list[int] = []
    window = closing(OrderedAcks(app()))
    first, second = future(), future()
    await window.add(Event(1, acked), [first])
    await window.add(Event(2, acked), [second])
    second.set_result(None)
    await settle()
    assert acked == []
    first.set_result(None)
    await settle()
    assert acked == [1, 2]


async def test_a_full_window_waits_for_room(closing: Closing) -> None:
    acked: list[int] = []
    window = closing(OrderedAcks(app(), events_max=2))
    held = future()
    await window.add(Event(1, acked), [held])
    adding = asyncio.create_task(window.add(Event(2, acked), []))
    await settle()
    assert not adding.done()
    held.set_result(None)
    await adding
    await settle()
    assert acked == [1, 2]


async def test_an_event_from_before_a_rebalance_is_not_acknowledged(closing: Closing) -> None:
    acked: list[int] = []
    window = closing(OrderedAcks(app(generation=2)))
    await window.add(Event(1, acked, generation=1), [])
    await settle()
    assert (acked, window.stale, len(window)) == ([], 1, 0)


async def test_a_failed_delivery_ends_the_process(monkeypatch: pytest.MonkeyPatch, closing: Closing) -> None:
    ended: list[str] = []

    def stop(reason: str, error: BaseException | None = None) -> None:
        ended.append(f"{reason}: {error}")

    monkeypatch.setattr(module, "fail_stop", stop)
    acked: list[int] = []
    window = closing(OrderedAcks(app()))
    failed = future()
    failed.set_exception(ConnectionError("broker gone"))
    await window.add(Event(1, acked), [failed])
    await settle()
    assert ended == ["Kafka did not confirm a delivery: broker gone"]
    assert acked == []
