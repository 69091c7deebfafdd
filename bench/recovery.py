"""How long an orchestrator that is started again takes to have its state back, and what an idle execution costs it.

The state is that of executions that wait for a pack which stays warming: live, and idle. The changelog's records are
theirs and have not been compacted.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.machine import machine
from bench.parked import park, warming_pack
from bench.processes import Process, cpu_s, end, gauge, part, resident_bytes, until_again, until_gone
from bench.steps import load, on_own_system
from settings import Settings
from streams.clients import start_consumer, topic_name
from streams.publisher import ExecutionClient
from topics.table import STATE_CHANGELOG

RECORDS = 150_000
# Rows an execution writes until it waits: asked for its pins, then parked.
_ROWS_EACH = 2
_BATCH_MAX = 10_000
_SERVES_WITHIN_S = 600.0
# What recovery left behind is given back by then.
_SETTLE_S = 5.0


def run_recovery(records: int = RECORDS) -> dict[str, Any]:
    """Start a system of its own, measure it, and stop it.

    Args:
        records: at least so many are in the changelog.

    Returns:
        `{"rows": [{"records", "executions", "serving_s", "cpu_s", "first_result_s", "resident_mb"}],
        "bytes_per_execution", "bytes_per_execution_grown", "machine"}`: a row with the empty changelog and one with the
        full one. Seconds count from the end of the old process; `cpu_s` is what the new one had used when it owned
        every partition. `grown` is of the process that parked them all.
    """
    return on_own_system(lambda settings: measure(settings, records)) | {"machine": machine()}


async def measure(settings: Settings, records: int) -> dict[str, Any]:
    """Measure a running system; leaves the executions parked."""
    await warming_pack(settings)
    async with ExecutionClient(settings, "bench") as client, _changelog(settings) as changelog:
        await load(client, 8, 200)
        rows = [await _restart(settings, client, await _records(changelog), 0)]
        grown = resident_bytes(part(settings, "orchestrator").pid)
        parked = 0
        while (missing := records - await _records(changelog)) > 0:
            count = min(_BATCH_MAX, -(-missing // _ROWS_EACH))
            await park(settings, client, count)
            parked += count
        grown = resident_bytes(part(settings, "orchestrator").pid) - grown
        rows.append(await _restart(settings, client, await _records(changelog), parked))
    empty, full = rows
    return {
        "rows": [{**row, "resident_mb": round(row["resident_mb"], 1)} for row in rows],
        "bytes_per_execution": round((full["resident_mb"] - empty["resident_mb"]) * 1024**2 / parked),
        "bytes_per_execution_grown": round(grown / parked),
    }


async def _restart(settings: Settings, client: ExecutionClient, records: int, executions: int) -> dict[str, Any]:
    former = part(settings, "orchestrator")
    end(former, signal.SIGTERM)
    await until_gone(former)
    begun = time.perf_counter()
    async with asyncio.timeout(_SERVES_WITHIN_S):
        first = asyncio.create_task(load(client, 1, 1))
        now = await until_again(settings, "orchestrator", former)
        await _owns_all(settings, now)
        serving_s, used_s = time.perf_counter() - begun, cpu_s(now.pid)
        await first
    first_result_s = time.perf_counter() - begun
    await asyncio.sleep(_SETTLE_S)
    return {
        "records": records,
        "executions": executions,
        "serving_s": round(serving_s, 2),
        "cpu_s": round(used_s, 2),
        "first_result_s": round(first_result_s, 2),
        "resident_mb": resident_bytes(now.pid) / 1024**2,
    }


async def _owns_all(settings: Settings, worker: Process) -> None:
    while await gauge(worker, "dawsos_partitions_owned") < settings.partitions:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _changelog(settings: Settings) -> AsyncIterator[Any]:
    consumer = await start_consumer(settings, topic_name(settings, STATE_CHANGELOG), client_id="bench-changelog")
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _records(changelog: Any) -> int:
    """Return how many records the changelog holds; nothing is compacted yet."""
    assigned = changelog.assignment()
    return sum((await changelog.end_offsets(assigned)).values())
