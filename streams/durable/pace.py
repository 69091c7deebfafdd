"""How fast clients ask, and shorter ways through aiokafka: without Faust, so that mere clients need not load it."""

import asyncio
from typing import Any

import aiokafka.util
from aiokafka.producer.sender import Sender, SendProduceReqHandler

from streams.durable import fetch_codec

# Kafka answers a fetch as soon as there is one byte; this bounds only the wait of an idle fetch (stock: 1500 ms), and
# with it how long a new partition waits for its turn behind an idle fetch to the same broker.
FETCH_MAX_WAIT_MS = 20
# While nothing comes, asking 50 times a second is a waste; the first record ends a long fetch at once.
FETCH_MAX_WAIT_IDLE_MS = 500
# A fetched record that nobody has taken yet blocks fetching from its broker for this long (stock: 100 ms, which is
# the p99 of an idle system).
PREFETCH_BACKOFF_S = 0.002
# From so many records per poll or per produce request on, records are gathered for a few milliseconds: a request costs
# broker and client as much CPU as several executions' worth of records, and in a crowd nobody waits for one hop alone.
CROWD_RECORDS = 8
CROWD_WAIT_MS = 8
CROWD_BYTES_MIN = 16_384
CROWD_LINGER_S = 0.006


def use_fast_paths() -> None:
    """Let aiokafka take shorter ways, in this process: the fetch codec, and the running loop looked up in C.

    Its own way to the loop, through the policy, costs 20% of a workflow's CPU.
    """
    fetch_codec.install()
    aiokafka.util.get_running_loop = asyncio.get_running_loop  # type: ignore[assignment]
    Sender._send_produce_req = _send_produce_req  # type: ignore[method-assign]


async def _send_produce_req(sender: Any, node_id: int, batches: dict[Any, Any]) -> None:
    """Send one produce request; after a crowded one, let records gather before the next to that broker."""
    await SendProduceReqHandler(sender, batches).do(node_id)
    if sum(batch.record_count for batch in batches.values()) >= CROWD_RECORDS:
        await asyncio.sleep(CROWD_LINGER_S)
    sender._in_flight.remove(node_id)
    for partition in batches:
        sender._muted_partitions.remove(partition)


def pace_fetches(consumer: Any, records: int) -> None:
    """Choose how long fetches wait for data: call with how many records the last poll brought."""
    fetcher = consumer._fetcher
    if fetcher is None:
        return
    crowded = records >= CROWD_RECORDS
    fetcher._fetch_min_bytes = CROWD_BYTES_MIN if crowded else 1
    if crowded:
        fetcher._fetch_max_wait_ms = CROWD_WAIT_MS
    else:
        fetcher._fetch_max_wait_ms = FETCH_MAX_WAIT_MS if records else FETCH_MAX_WAIT_IDLE_MS
