"""How long a worker may believe that its place in the group is its own."""

import asyncio
from typing import Any

import pytest

from streams import failstop
from streams.lease import GroupLease


class Left(Exception):
    """The process would have ended."""


@pytest.fixture(autouse=True)
def leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(reason: str, error: BaseException | None) -> Any:
        raise Left(reason)

    monkeypatch.setattr(failstop, "leave", leave)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def waiting(lease: GroupLease) -> asyncio.Task[None]:
    task = asyncio.create_task(lease.held())
    await asyncio.sleep(0)
    return task


async def test_it_runs_from_when_a_confirmed_heartbeat_was_sent() -> None:
    clock = Clock()
    lease = GroupLease(5.0, 29.0, clock)
    lease.renew(98.0)
    clock.now_s = 103.0
    await lease.held()
    clock.now_s = 103.1
    task = await waiting(lease)
    assert not task.done()
    lease.renew(97.0)
    await asyncio.sleep(0)
    assert not task.done(), "an older confirmation proves nothing"
    lease.renew(103.0)
    await task


async def test_a_rebalance_that_goes_on_without_this_member_ends_it() -> None:
    clock = Clock()
    lease = GroupLease(5.0, 29.0, clock)
    lease.renew(100.0)
    for sent_at_s in range(101, 128):
        lease.renew(sent_at_s, rebalancing=True)
    clock.now_s = 129.0
    await lease.held()
    clock.now_s = 129.1
    task = await waiting(lease)
    lease.renew(128.0, rebalancing=True)
    await asyncio.sleep(0)
    assert not task.done(), "heartbeats do not keep it in the group for longer"
    lease.renew(129.1)
    await task


async def test_whoever_waits_while_the_group_says_that_we_are_out_ends_the_process() -> None:
    lease = GroupLease(5.0, 29.0, Clock())
    task = await waiting(lease)
    lease.end()
    with pytest.raises(Left, match="given this worker's partitions away"):
        await task


async def test_a_lease_the_group_ended_is_over_at_once_and_a_join_begins_another() -> None:
    clock = Clock()
    lease = GroupLease(5.0, 29.0, clock)
    lease.renew(clock.now_s)
    lease.end()
    with pytest.raises(Left):
        await lease.held()
    lease.renew(clock.now_s)
    await lease.held()


async def test_a_coordinator_that_stays_silent_ends_the_process() -> None:
    lease = GroupLease(5.0, 29.0, Clock(), patience_s=0.05)
    with pytest.raises(Left, match="no word"):
        await lease.held()
