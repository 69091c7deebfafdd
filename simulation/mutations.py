"""Faults built into our own code on purpose, to see that the simulation notices each.

Each is a small patch of the real code (or, where it is Faust's part, of its model), in place only while it is tried.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import simulation.world
import streams.durable.fence
import streams.durable.owned
import streams.execution_rows
import streams.orchestrator
from orchestrator.execution import Status
from orchestrator.transitions import TABLE, Action, Row
from simulation.world import patched
from streams.durable.acks import OrderedAcks
from streams.durable.fence import Fence
from streams.freshness import FreshnessMap
from streams.orchestrator import Processor
from streams.timers import TimerHeap
from topics.messages import ExecuteRequest, TimerFired

SEEDS_MAX = 2_000
Mutation = Callable[[], AbstractContextManager[None]]


def ack_before_confirm() -> AbstractContextManager[None]:
    """An event is acknowledged as soon as it is processed."""

    async def add(self: OrderedAcks, event: Any, deliveries: Sequence[Awaitable[Any]]) -> None:
        self._acknowledge(event)

    return patched(OrderedAcks, "add", add)


def header_row_first() -> AbstractContextManager[None]:
    """The commit record is written before the pages it lists."""
    encode_rows = streams.execution_rows.encode_rows
    return patched(streams.execution_rows, "encode_rows", lambda before, after: encode_rows(before, after)[::-1])


def parking_without_recheck() -> AbstractContextManager[None]:
    """Whoever parks is not told that the gate has opened meanwhile."""

    async def park(self: FreshnessMap, key: bytes, pack_id: Any) -> None:
        self._parked.setdefault(pack_id, set()).add(key)

    return patched(FreshnessMap, "park", park)


def zombie_with_the_same_version() -> AbstractContextManager[None]:
    """Rows carry no epoch: those of a former owner rank by their number alone."""

    def next_prefix(self: Fence) -> bytes:
        self._version += 1
        return self._version.to_bytes(8, "big")

    return patched(Fence, "next_prefix", next_prefix)


def early_timer_accepted() -> AbstractContextManager[None]:
    """A timer's due time is believed, whatever the time is."""
    real = streams.orchestrator.Event

    def event(message: Any, at_ms: int, *rest: Any) -> Any:
        if isinstance(message, TimerFired):
            at_ms = max(at_ms, message.due_at_ms)
        return real(message, at_ms, *rest)

    return patched(streams.orchestrator, "Event", event)


def lost_timer() -> AbstractContextManager[None]:
    """After a take-over no timers are armed for what is outstanding."""
    rebuild = Processor._rebuild

    async def rebuilt(self: Processor, partitions: frozenset[int]) -> None:
        await rebuild(self, partitions)
        self._timers.clear()

    return patched(Processor, "_rebuild", rebuilt)


@contextmanager
def non_idempotent_fold() -> Iterator[None]:
    """A request that comes again while its execution runs admits it again."""
    table: Any = TABLE
    key = (Status.RUNNING, ExecuteRequest)
    before, first = table[key], table[None, ExecuteRequest]
    table[key] = Row(Action.ADMIT, first.to | {Status.RUNNING, Status.CANCELLED})
    try:
        yield
    finally:
        table[key] = before


def answer_on_the_wrong_partition() -> AbstractContextManager[None]:
    """Agents answer on the partition beside the one that asked."""
    return patched(simulation.world, "WRONG_PARTITION", True)


@contextmanager
def result_before_state_is_durable() -> Iterator[None]:
    """Results are sent together with the rows that justify them."""
    finish = Processor._finish

    async def at_once(self: Processor, partition: int, key: bytes, deliveries: Any, results: Any, headers: Any) -> None:
        await finish(self, partition, key, [], results, headers)
        for delivery in deliveries:
            await delivery

    with ExitStack() as stack:
        stack.enter_context(patched(Processor, "_finish", at_once))
        yield


def seek_after_resume() -> AbstractContextManager[None]:
    """As stock Faust: records fetched while it seeks are dropped, and counted as acknowledged."""
    return patched(simulation.world, "SEEK_AFTER_RESUME", True)


def timer_not_rearmed() -> AbstractContextManager[None]:
    """The processor believes the engine that a timer is armed though it has come and gone (a fault found this way)."""
    return patched(TimerHeap, "later_than", lambda self, key, due_at_ms: False)


MUTATIONS: dict[str, Mutation] = {
    mutation.__name__.replace("_", "-"): mutation
    for mutation in (
        ack_before_confirm,
        header_row_first,
        parking_without_recheck,
        zombie_with_the_same_version,
        early_timer_accepted,
        lost_timer,
        non_idempotent_fold,
        answer_on_the_wrong_partition,
        result_before_state_is_durable,
        seek_after_resume,
        timer_not_rearmed,
    )
}
