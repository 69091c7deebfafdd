"""How long a worker may believe that its place in the consumer group is still its own.

A worker that runs and reaches its partitions' brokers, but not the group's coordinator, notices nothing: it goes on
with what it has fetched while the group gives its partitions away. Its rows are outranked by the new owner's, but a
result has no rank, and a take-over that comes too late would outrank the rightful owner. So both ask this lease first.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.group import SyncGroupRequest

from streams.failstop import boot_clock_s, fail_stop

log = logging.getLogger(__name__)

# Heartbeats are retried every 100 ms; a coordinator that has moved is found again within a second or two.
_PATIENCE_S = 15.0


class GroupLease:
    """Runs from the moment a heartbeat or join was sent that the coordinator then confirmed.

    The coordinator counts the session from when that request arrived, which is later: while the lease runs nobody
    else can have been given the partitions. While the group is rebalancing, heartbeats keep a member in it only until
    the rebalance timeout has passed; so far the lease runs at most.

    Args:
        limit_s: how long it runs; less than the group's session timeout.
        rebalance_s: how long it runs at most from the last heartbeat before a rebalance; less than the group's
            rebalance timeout.
        now_s: seconds that go on while the process does not; None for the machine's boot clock.
        patience_s: how long whoever needs it waits for the coordinator's word once it has run out.
    """

    def __init__(
        self,
        limit_s: float,
        rebalance_s: float,
        now_s: Callable[[], float] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._limit_s = limit_s
        self._rebalance_s = rebalance_s
        self._now_s = now_s or boot_clock_s
        self._patience_s = patience_s
        self._until_s = float("-inf")
        self._calm_at_s = float("-inf")
        self._expelled = False
        self._news = asyncio.Event()

    def renew(self, sent_at_s: float, *, rebalancing: bool = False) -> None:
        """Let it run on from the moment something was sent that is confirmed by now.

        Args:
            sent_at_s: by the lease's clock.
            rebalancing: the group waits for its members to join again.
        """
        until_s = sent_at_s + self._limit_s
        if rebalancing:
            until_s = min(until_s, self._calm_at_s + self._rebalance_s)
        else:
            self._calm_at_s = max(self._calm_at_s, sent_at_s)
        self._until_s = max(self._until_s, until_s)
        self._expelled = False
        self._news.set()

    def end(self) -> None:
        """Note that the coordinator does not know this member (any more)."""
        self._until_s = float("-inf")
        self._expelled = True
        self._news.set()

    async def held(self) -> None:
        """Return while the lease runs; wait for a heartbeat if it has run out, as while the broker is restarted.

        Ends the process if the coordinator says that this member is none, or nothing for too long.
        """
        if self._now_s() <= self._until_s:
            return
        log.warning("no heartbeat confirmed for %.1f s; waiting for the group's coordinator", self._limit_s)
        try:
            async with asyncio.timeout(self._patience_s):
                while self._now_s() > self._until_s:
                    if self._expelled:
                        fail_stop("the consumer group has given this worker's partitions away")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            fail_stop(f"no word from the consumer group's coordinator for {self._limit_s + self._patience_s:.0f} s")

    def follow(self, coordinator: Any) -> None:
        """Learn from the heartbeats and joins of a consumer; one that is in no group teaches nothing."""
        if not isinstance(coordinator, GroupCoordinator):
            return
        stock: Any = coordinator
        send, heartbeat = stock._send_req, stock._do_heartbeat
        joined, reset = stock._on_join_complete, stock.reset_generation
        synced_at_s = self._now_s()

        async def send_req(request: Any) -> Any:
            nonlocal synced_at_s
            if isinstance(request, SyncGroupRequest):
                synced_at_s = self._now_s()
            return await send(request)

        async def do_heartbeat() -> bool:
            sent_at_s = self._now_s()
            confirmed = await heartbeat()
            if confirmed:
                self.renew(sent_at_s, rebalancing=stock._rejoin_needed_fut.done())
            return confirmed

        async def on_join_complete(*args: Any) -> None:
            # The session begins when the coordinator answers this request.
            self.renew(synced_at_s)
            await joined(*args)

        def reset_generation() -> None:
            self.end()
            reset()

        stock._send_req = send_req
        stock._do_heartbeat = do_heartbeat
        stock._on_join_complete = on_join_complete
        stock.reset_generation = reset_generation
