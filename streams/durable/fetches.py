"""aiokafka's fetch loop with fewer wake-ups, and a shorter way to choose what to fetch next.

Stock waits with `asyncio.wait` for its requests, its consumer, the assignment and each paused partition: callbacks to
add and remove on a dozen futures, twice per hop. Here whatever happens resolves the one future the loop waits for, and
a finished fetch wakes the consumer at once rather than through the loop.

Stock takes the records of one partition after another, which starves the last ones under load: see `_drain`.

Stock also asks several objects about each partition, before and after every fetch; with 24 stream partitions and
the changelog's that is 4% of a workflow's CPU. The usual case, where every partition has a leader and a position, is
decided here; anything else is left to stock.

After a few records the next fetch goes out a little later than what they caused: the broker takes requests one after
another, and the write alone would wake it, often on the processor we are running on.

Nobody waits for the resumption of a paused partition; who resumes one must call `look_again`, or it is noticed within
the fetcher's timeout, a tenth of a second.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest

# With so many records at once handling takes longer than a fetch, which then goes on meanwhile.
_MANY_RECORDS = 16
# Turns of the event loop from a record to the produce request it caused, at most, when nothing is waited for.
_TURNS = 8

_stock = Fetcher._get_actions_per_node


def install() -> None:
    """Let all consumers of this process fetch so; calling it again changes nothing."""
    Fetcher._fetch_requests_routine = _fetch_requests_routine  # type: ignore[method-assign]
    Fetcher._get_actions_per_node = _get_actions_per_node  # type: ignore[method-assign]
    Fetcher.fetched_records = _fetched_records  # type: ignore[method-assign]


def look_again(fetcher: Any) -> None:
    """Let a fetcher look at its partitions at once."""
    fetcher._notify(fetcher._wait_consume_future)


def _look_soon(fetcher: Any, turns: int = _TURNS) -> None:
    """Let a fetcher look at its partitions after so many turns of the event loop."""
    if turns:
        asyncio.get_running_loop().call_soon(_look_soon, fetcher, turns - 1)
    else:
        look_again(fetcher)


async def _fetch_requests_routine(fetcher: Any) -> None:
    """Keep one fetch under way to each broker whose records are wanted, until cancelled."""
    loop = asyncio.get_running_loop()
    failures: list[BaseException] = []
    assignment: Any = None

    def wake(_: Any = None) -> None:
        look_again(fetcher)

    def start(work: Any, node_id: int) -> None:
        def ended(task: asyncio.Task[bool]) -> None:
            fetcher._in_flight.discard(node_id)
            if not task.cancelled():
                error = task.exception()
                if error is not None:
                    failures.append(error)
                elif task.result():
                    for waiter in fetcher._fetch_waiters:
                        fetcher._notify(waiter)
                    # Whoever takes the records wakes us; a consumer that is busy elsewhere does not.
                    fetcher._unconsumed_timer = loop.call_later(fetcher._prefetch_backoff, wake)
                    return
            wake()

        task = loop.create_task(work)
        fetcher._pending_tasks.add(task)
        fetcher._in_flight.add(node_id)
        task.add_done_callback(ended)

    try:
        while True:
            if assignment is None or not assignment.active:
                assignment = await _next_assignment(fetcher)
                if assignment is None:
                    continue
                assignment.unassign_future.add_done_callback(wake)
            # Before looking, so that whatever happens from here on is not missed.
            fetcher._wait_consume_future = woken = loop.create_future()
            requests, resets, wait_s, no_leader, _ = fetcher._get_actions_per_node(assignment)
            for node_id, request in requests:
                start(fetcher._proc_fetch_request(assignment, node_id, request), node_id)
            for node_id, partitions in resets.items():
                start(fetcher._update_fetch_positions(assignment, node_id, partitions), node_id)
            if no_leader:
                fetcher._client.force_metadata_update().add_done_callback(wake)
            timer = loop.call_later(wait_s, wake)
            try:
                await woken
            finally:
                timer.cancel()
            if failures:
                raise failures[0]
            fetcher._pending_tasks.difference_update([task for task in fetcher._pending_tasks if task.done()])
    except asyncio.CancelledError:
        pass
    except Exception as error:
        raise KafkaError("unexpected error while fetching") from error


async def _next_assignment(fetcher: Any) -> Any:
    """Give up what is under way for the former assignment and wait for the next; None if it could not be had."""
    for task in fetcher._pending_tasks:
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    fetcher._pending_tasks.clear()
    fetcher._records.clear()
    subscription = fetcher._subscriptions.subscription
    if subscription is None or subscription.assignment is None:
        try:
            await fetcher._subscriptions.wait_for_assignment()
        except KafkaError:
            # Whoever uses the consumer is told.
            return None
    return fetcher._subscriptions.subscription.assignment


async def _fetched_records(
    fetcher: Any,
    partitions: Any,
    timeout: float = 0,  # noqa: ASYNC109 - as upstream
    max_records: int | None = None,
) -> dict[Any, list[Any]]:
    """Return what was fetched, waiting so many seconds if there is nothing, and note it as consumed."""
    loop = asyncio.get_running_loop()
    until = time.monotonic() + timeout
    while True:
        # What was fetched may belong to somebody else after a rebalance.
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        drained = _drain(fetcher, partitions, max_records)
        left_s = until - time.monotonic()
        if drained or not timeout or left_s <= 0:
            return drained
        waiter = fetcher._create_fetch_waiter()
        timer = loop.call_later(left_s, fetcher._notify, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
        if fetcher._closed:
            return {}


def _drain(fetcher: Any, partitions: Any, max_records: int | None) -> dict[Any, list[Any]]:
    """Take what was fetched, of each partition an equal share of `max_records`.

    Stock empties one partition after another, so that what is in the others waits for all the thousands of records that
    one fetch may have brought of the first.
    """
    records = fetcher._records
    drained: dict[Any, list[Any]] = {}
    emptied = False
    taken = 0
    share = None if max_records is None else max(1, max_records // max(1, len(records)))
    for partition in list(records):
        if partitions and partition not in partitions:
            if not fetcher._subscriptions.is_assigned(partition):
                del records[partition]
            continue
        fetched = records[partition]
        if type(fetched) is not FetchResult:
            if drained:
                # The error is raised by the next call.
                break
            del records[partition]
            look_again(fetcher)
            fetched.check_raise()
            continue
        found = fetched.getall(share)
        if not fetched.has_more():
            del records[partition]
            emptied = True
        if found:
            drained[partition] = found
            taken += len(found)
    if emptied:
        timer = getattr(fetcher, "_unconsumed_timer", None)
        if timer is not None:
            timer.cancel()
        if taken < _MANY_RECORDS:
            _look_soon(fetcher)
        else:
            look_again(fetcher)
    return drained


def _get_actions_per_node(fetcher: Any, assignment: Any) -> tuple[Any, ...]:
    """Return fetch requests by broker, no resets, seconds to wait at most, no need of metadata, and no futures."""
    if fetcher._preferred_read_replica:
        return _stock(fetcher, assignment)
    records, in_flight, bytes_max = fetcher._records, fetcher._in_flight, fetcher._max_partition_fetch_bytes
    leaders = fetcher._client.cluster._partitions
    wanted: dict[int, dict[str, list[tuple[int, int, int]]]] = {}
    unconsumed: dict[int, list[float]] = {}
    for partition, state in assignment._tp_state.items():
        topic, number = partition
        known = leaders.get(topic)
        leader = None if known is None or number not in known else known[number].leader
        if leader is None or leader == -1:
            return _stock(fetcher, assignment)
        if partition in records:
            backoff = records[partition].calculate_backoff()
            if backoff:
                unconsumed.setdefault(leader, []).append(backoff)
        elif leader in in_flight or (state._paused and state._position is not None):
            continue
        elif state._position is None:
            return _stock(fetcher, assignment)
        else:
            wanted.setdefault(leader, {}).setdefault(topic, []).append((number, state._position, bytes_max))
    # A broker fills its answer in the order asked for; so that no partition comes last for ever, it goes round.
    fetcher._turn = turn = getattr(fetcher, "_turn", -1) + 1
    requests = [
        (leader, _request(fetcher, list(topics.items()), turn))
        for leader, topics in wanted.items()
        if leader not in unconsumed
    ]
    wait_s = min(map(max, unconsumed.values())) if unconsumed else fetcher._fetcher_timeout
    return requests, {}, wait_s, False, ()


def _request(fetcher: Any, topics: list[tuple[str, list[tuple[int, int, int]]]], turn: int) -> FetchRequest:
    if len(topics) > 1:
        at = turn % len(topics)
        topics = topics[at:] + topics[:at]
    for index, (topic, partitions) in enumerate(topics):
        at = turn % len(partitions)
        if at:
            topics[index] = (topic, partitions[at:] + partitions[:at])
    return FetchRequest(
        fetcher._fetch_max_wait_ms,
        fetcher._fetch_min_bytes,
        fetcher._fetch_max_bytes,
        fetcher._isolation_level,
        topics,
        rack_id=fetcher._client_rack or "",
    )
