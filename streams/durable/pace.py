"""How fast clients ask, and shorter ways through aiokafka: without Faust, so that mere clients need not load it."""

import asyncio
from typing import Any

import aiokafka.util

from streams.durable import connection, fetches, producing, sender, wire
from streams.durable.sender import CROWD_RECORDS

# Kafka answers a fetch as soon as there is one byte; this bounds only the wait of an idle fetch (stock: 1500 ms), and
# with it how long a new partition waits for its turn behind an idle fetch to the same broker.
FETCH_MAX_WAIT_MS = 20
# While nothing comes, asking 50 times a second is a waste; the first record ends a long fetch at once.
FETCH_MAX_WAIT_IDLE_MS = 500
# A fetched record that nobody has taken yet blocks fetching from its broker for this long (stock: 100 ms, which is
# the p99 of an idle system).
PREFETCH_BACKOFF_S = 0.002
# From so many records per poll on, a fetch waits for more of them, for a few milliseconds: see `sender.py`.
CROWD_WAIT_MS = 4
CROWD_BYTES_MIN = 16_384
# So much may gather for a reader that nobody waits for.
GATHER_BYTES_MIN = 1024 * 1024


def use_fast_paths() -> None:
    """Let aiokafka take shorter ways, in this process; calling it again changes nothing.

    Besides what the modules named here explain: aiokafka looks up the running loop through the policy, which costs 20%
    of a workflow's CPU; here it is looked up in C.
    """
    wire.install()
    sender.install()
    fetches.install()
    connection.install()
    producing.install()
    aiokafka.util.get_running_loop = asyncio.get_running_loop  # type: ignore[assignment]


def gather_fetches(consumer: Any, wait_ms: int | None) -> None:
    """Let fetches wait `wait_ms` for more than the first record; None, for not at all, is cheapest while none comes."""
    fetcher = consumer._fetcher
    fetcher._fetch_min_bytes = 1 if wait_ms is None else GATHER_BYTES_MIN
    fetcher._fetch_max_wait_ms = FETCH_MAX_WAIT_IDLE_MS if wait_ms is None else wait_ms


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
