import asyncio

import pytest

from gateway.bridge.outbox import Outbox, OutboxFull, Outgoing


def texts(outbox: Outbox) -> list[str]:
    found = []
    while len(outbox):
        found.append(asyncio.run(outbox.get()).text)
    return found


def test_a_newer_state_replaces_one_that_waits_and_moves_to_the_end() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("a1"), "a")
    outbox.put(Outgoing("result"))
    outbox.put(Outgoing("a2"), "a")
    assert texts(outbox) == ["result", "a2"]


def test_too_many_or_too_long_is_refused_and_nothing_is_lost() -> None:
    outbox = Outbox(messages_max=2, chars_max=10)
    outbox.put(Outgoing("one"))
    outbox.put(Outgoing("two"))
    with pytest.raises(OutboxFull):
        outbox.put(Outgoing("three"))
    assert texts(outbox) == ["one", "two"]
    outbox.put(Outgoing("longer than ten, but alone"))
    with pytest.raises(OutboxFull):
        outbox.put(Outgoing("x"))


async def test_room_is_said_when_half_is_gone() -> None:
    outbox = Outbox(messages_max=4, chars_max=100)
    for number in range(4):
        outbox.put(Outgoing(str(number)))
    waiting = asyncio.create_task(outbox.drained())
    await outbox.get()
    await asyncio.sleep(0)
    assert not waiting.done()
    await outbox.get()
    await asyncio.wait_for(waiting, 1)


async def test_get_waits() -> None:
    outbox = Outbox()
    getting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put(Outgoing("now"))
    assert (await asyncio.wait_for(getting, 1)).text == "now"
