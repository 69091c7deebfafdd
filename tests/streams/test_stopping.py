"""Waiting for work or for the process to stop: one of them, and nothing is left behind."""

import asyncio

import pytest

from streams.stopping import Stopping, unless_stopping


async def endless(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("given up")


async def test_what_the_work_gives_or_raises_passes() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    before = asyncio.all_tasks()
    assert await unless_stopping(asyncio.Event(), asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        await unless_stopping(asyncio.Event(), fails())
    assert asyncio.all_tasks() == before


async def test_a_stop_gives_the_work_up() -> None:
    stop, ended = asyncio.Event(), []
    asyncio.get_running_loop().call_soon(stop.set)
    with pytest.raises(Stopping):
        await unless_stopping(stop, endless(ended))
    assert ended == ["given up"]


async def test_a_caller_who_leaves_gives_the_work_up() -> None:
    ended: list[str] = []
    waiting = asyncio.create_task(unless_stopping(asyncio.Event(), endless(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["given up"]
