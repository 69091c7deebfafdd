"""How late timers are, by the broker's time: on an idle system, at half of its load, and saturated.

Executions that wait for a pack end at their deadlines, which are spread evenly over some seconds. Each one's timer is
late by what lies between its deadline and the append time of the event that ended it.
"""

import asyncio
import itertools
import time
from collections.abc import Coroutine
from typing import Any

from bench.machine import machine
from bench.parked import DAY, PATTERN_ID, WAIT_S, warming_pack
from bench.steps import PATTERN_ID as STEPS
from bench.steps import WARM_UP, load, on_own_system, request
from settings import Settings
from streams.publisher import ExecutionClient
from topics.messages import ExecutionStatus, Gate, GatePolicy

TIMERS = 1000
CONCURRENCY = 128
# The first come up when all executions have been parked, also on a busy machine.
_FIRST_S, _SPREAD_S = 12.0, 15.0
_TIMEOUT_S = 120.0
_ALIVE = 1_000_000
_CALM = 50


def run_timers(timers: int = TIMERS) -> dict[str, Any]:
    """Start a system of its own, measure it, and stop it.

    Args:
        timers: for each load.

    Returns:
        `{"rows": [{"load", "executions_per_s", "timers", "p50_ms", "p99_ms", "max_ms"}], "machine"}`.
    """
    return {"rows": on_own_system(lambda settings: measure(settings, timers)), "machine": machine()}


async def measure(settings: Settings, timers: int) -> list[dict[str, Any]]:
    """Measure a running system."""
    await warming_pack(settings)
    async with ExecutionClient(settings, "bench") as client:
        await load(client, 8, WARM_UP)
        idle = await _beside(client, timers, "none", asyncio.sleep(_TIMEOUT_S))
        saturated = await _beside(client, timers, "saturated", load(client, CONCURRENCY, _ALIVE))
        # Whatever was under way has ended by then.
        await load(client, 1, _CALM)
        half = await _beside(client, timers, "half", paced(client, saturated["executions_per_s"] / 2))
    return [idle, half, saturated]


async def _beside(client: ExecutionClient, timers: int, name: str, work: Coroutine[Any, Any, Any]) -> dict[str, Any]:
    """Let timers come up while some work goes on, which is cancelled then."""
    results: list[bytes] = []
    forget = client.results.listen(lambda result: results.append(result.key))
    begun = time.perf_counter()
    working = asyncio.create_task(work)
    late = sorted(await asyncio.gather(*(_late_ms(client, number / timers) for number in range(timers))))
    seconds = time.perf_counter() - begun
    forget()
    if working.done():
        working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return {
        "load": name,
        "executions_per_s": round((len(results) - timers) / seconds, 1),
        "timers": timers,
        "p50_ms": late[timers // 2],
        "p99_ms": late[int(timers * 0.99)],
        "max_ms": late[-1],
    }


async def _late_ms(client: ExecutionClient, share: float) -> int:
    """Park an execution until its deadline, and return how late that was noticed."""
    deadline_s = round(_FIRST_S + share * _SPREAD_S, 3)
    gate = Gate(policy=GatePolicy.WAIT, wait_s=WAIT_S)
    asked = request(PATTERN_ID, gate=gate, deadline_s=deadline_s, asof=DAY)
    result = await client.execute(asked, _TIMEOUT_S)
    if result.status is ExecutionStatus.SUCCEEDED:
        raise RuntimeError("expected an execution that waits for its pack to end at its deadline, it succeeded")
    return result.finished_at_ms - result.started_at_ms - round(deadline_s * 1000)


async def paced(client: ExecutionClient, per_s: float) -> None:
    """Submit executions of three steps evenly until cancelled, whether or not earlier ones have ended."""
    begun = time.perf_counter()
    for number in itertools.count():
        await asyncio.sleep(begun + number / per_s - time.perf_counter())
        # Kafka takes them one by one in any case.
        await client.submit(request(STEPS))
