"""Chooses what to fetch next with one short loop over the partitions.

aiokafka asks several objects about each partition, before every fetch and after every one; with 24 stream partitions
and the changelog's that is 4% of a workflow's CPU. The usual case, where every partition has a leader and a position,
is decided here; anything else is left to aiokafka.

Paused partitions differ: stock waits for the resumption of each, with as many callbacks to add and remove per fetch.
Here nobody waits; who resumes a partition must call `look_again`, or it is noticed at the next fetch.
"""

from typing import Any

from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest

_stock = Fetcher._get_actions_per_node


def install() -> None:
    """Let all consumers of this process choose so; calling it again changes nothing."""
    Fetcher._get_actions_per_node = _get_actions_per_node  # type: ignore[method-assign]


def look_again(fetcher: Any) -> None:
    """Let a fetcher look at its partitions at once."""
    fetcher._notify(fetcher._wait_consume_future)


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
    requests = [
        (leader, _request(fetcher, list(topics.items())))
        for leader, topics in wanted.items()
        if leader not in unconsumed
    ]
    wait_s = min(map(max, unconsumed.values())) if unconsumed else fetcher._fetcher_timeout
    return requests, {}, wait_s, False, ()


def _request(fetcher: Any, topics: list[tuple[str, list[tuple[int, int, int]]]]) -> FetchRequest:
    # The broker fills its answer in the order asked for; so that none comes last for ever, it goes round.
    fetcher._turn = turn = getattr(fetcher, "_turn", -1) + 1
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
