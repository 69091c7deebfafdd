"""For how long nothing goes on when one of two orchestrators, or one of two agent workers, is killed or stopped.

Executions are asked for evenly; the worker is signalled in the middle, and the supervisor starts it again. Two figures:
the longest time in which no result was published at all, and the longest that any one execution took.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from bench.machine import machine
from bench.processes import end, part, until_again
from bench.steps import WARM_UP, load, on_own_system
from bench.timers import paced
from settings import Settings
from streams.publisher import ExecutionClient
from topics.codec import decode
from topics.messages import ExecutionResult, ExecutionStatus

PER_S = 20.0
_TWO_OF_EACH = (sys.executable, "-m", "chaos.instance", "--right-clocks")
_WORKERS = ("orchestrator-1", "agents-1")
_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
_BEFORE_S, _AFTER_S = 3.0, 20.0
_SETTLE_S = 10.0


def run_failover(per_s: float = PER_S) -> dict[str, Any]:
    """Start a system of its own, measure it, and stop it.

    Args:
        per_s: executions asked for per second.

    Returns:
        `{"rows": [{"worker", "signal", "executions", "no_result_s", "slowest_s"}], "machine"}`.
    """
    rows = on_own_system(lambda settings: measure(settings, per_s), argv=_TWO_OF_EACH)
    return {"rows": rows, "machine": machine()}


async def measure(settings: Settings, per_s: float) -> list[dict[str, Any]]:
    """Measure a running system with two orchestrators and two agent workers."""
    async with ExecutionClient(settings, "bench") as client:
        await load(client, 8, WARM_UP)
        return [await _failover(settings, client, worker, number, per_s) for worker in _WORKERS for number in _SIGNALS]


async def _failover(
    settings: Settings, client: ExecutionClient, worker: str, number: signal.Signals, per_s: float
) -> dict[str, Any]:
    former = part(settings, worker)
    results: list[ExecutionResult] = []
    forget = client.results.listen(lambda record: results.append(decode(record.value, ExecutionResult)))  # type: ignore[arg-type]
    async with _going_on(client, per_s):
        await asyncio.sleep(_BEFORE_S)
        end(former, number)
        await asyncio.sleep(_AFTER_S)
        await until_again(settings, worker, former)
    await asyncio.sleep(_SETTLE_S)
    forget()
    failed = [result for result in results if result.status is not ExecutionStatus.SUCCEEDED]
    if failed:
        raise RuntimeError(f"expected every execution to succeed, got {failed[0].status}: {failed[0].error}")
    ended = sorted(result.finished_at_ms for result in results)
    return {
        "worker": worker.partition("-")[0],
        "signal": number.name,
        "executions": len(results),
        "no_result_s": max(later - earlier for earlier, later in pairwise(ended)) / 1000,
        "slowest_s": max(result.finished_at_ms - result.started_at_ms for result in results) / 1000,
    }


@asynccontextmanager
async def _going_on(client: ExecutionClient, per_s: float) -> AsyncIterator[None]:
    """Submit executions meanwhile."""
    submitting = asyncio.create_task(paced(client, per_s))
    try:
        yield
    finally:
        if submitting.done():
            submitting.result()
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
