"""What a foreach step costs: items that do nothing, over Kafka, in the topology of `dawsos up`."""

import time
from collections.abc import Sequence
from typing import Any

from bench.machine import machine
from bench.processes import CpuMeter, per_execution_ms
from bench.steps import WARM_UP, load, on_own_system, request
from settings import Settings
from streams.publisher import ExecutionClient
from topics.messages import ExecutionStatus

PATTERN_ID = "bench_foreach"
ITEMS = (1_000, 10_000)
_TIMEOUT_S = 300.0


def run_foreach(items: Sequence[int] = ITEMS, runs: int = 3) -> dict[str, Any]:
    """Start a system of its own, measure it, and stop it.

    Args:
        items: one row for each number of items.
        runs: executions per row; the median counts.

    Returns:
        `{"rows": [{"items", "seconds", "cpu_ms_per_item"}], "machine"}`, ready for JSON.
    """
    return {"rows": on_own_system(lambda settings: measure(settings, items, runs)), "machine": machine()}


async def measure(settings: Settings, items: Sequence[int], runs: int) -> list[dict[str, Any]]:
    """Measure a running system.

    Raises:
        RuntimeError: an execution did not give back its items in order.
    """
    rows: list[dict[str, Any]] = []
    meter = CpuMeter(settings)
    async with ExecutionClient(settings, "bench") as client:
        await load(client, 8, WARM_UP)
        for count in items:
            values = list(range(count))
            taken: list[float] = []
            before = meter.read_ms()
            for _ in range(runs):
                begun = time.perf_counter()
                result = await client.execute(request(PATTERN_ID, {"items": values}, deadline_s=_TIMEOUT_S), _TIMEOUT_S)
                taken.append(time.perf_counter() - begun)
                if result.status is not ExecutionStatus.SUCCEEDED or result.data["each"] != values:
                    raise RuntimeError(f"expected {count} items in order, got {result.status}: {result.error}")
            cpu = per_execution_ms(before, meter.read_ms(), runs * count)["total"]
            rows.append({"items": count, "seconds": round(sorted(taken)[runs // 2], 3), "cpu_ms_per_item": cpu})
    return rows
