"""How fast clients ask, and shorter ways through aiokafka: without Faust, so that mere clients need not load it."""

import asyncio
from typing import Any

import aiokafka.util

from streams.durable import fetch_codec

# Kafka answers a fetch as soon as there is one byte; this bounds only the wait of an idle fetch (stock: 1500 ms), and
# with it how long a new partition waits for its turn behind an idle fetch to the same broker.
FETCH_MAX_WAIT_MS = 20
# While nothing comes, asking 50 times a second is a waste; the first record ends a long fetch at once.
FETCH_MAX_WAIT_IDLE_MS = 500
# A fetched record that nobody has taken yet blocks fetching from its broker for this long (stock: 100 ms, which is
# the p99 of an idle system).
PREFETCH_BACKOFF_S = 0.002


def use_fast_paths() -> None:
    """Let aiokafka take shorter ways, in this process: the fetch codec, and the running loop looked up in C.

    Its own way to the loop, through the policy, costs 20% of a workflow's CPU.
    """
    fetch_codec.install()
    aiokafka.util.get_running_loop = asyncio.get_running_loop  # type: ignore[assignment]


def pace_fetches(consumer: Any, busy: bool) -> None:
    """Choose how long fetches wait for data: call with what the last poll brought."""
    fetcher = consumer._fetcher
    if fetcher is not None:
        fetcher._fetch_max_wait_ms = FETCH_MAX_WAIT_MS if busy else FETCH_MAX_WAIT_IDLE_MS
