"""What a step costs in a long pattern against a short one, over Kafka: sequential no-op steps."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.machine import machine
from bench.processes import CpuMeter, per_execution_ms
from bench.steps import PATTERNS, WARM_UP, load, on_own_system
from settings import Settings
from streams.publisher import ExecutionClient

STEPS = (5, 500)
CONCURRENCY = 16
_STEPS_PER_ROW = 24_000


def run_long(steps: Sequence[int] = STEPS, steps_per_row: int = _STEPS_PER_ROW) -> dict[str, Any]:
    """Start a system of its own, measure it, and stop it.

    Args:
        steps: lengths of the patterns, one row for each.
        steps_per_row: steps executed in all for each row.

    Returns:
        `{"rows": [{"steps", "executions", "step_ms", "cpu_ms_per_step"}], "ratio", "cpu_ratio", "machine"}`: the
        ratios are of the last row to the first.
    """
    with tempfile.TemporaryDirectory(prefix="dawsos-bench-") as folder:
        for source in PATTERNS.glob("*.json"):
            (Path(folder) / source.name).write_bytes(source.read_bytes())
        for count in steps:
            (Path(folder) / f"{_name(count)}.json").write_bytes(_pattern(count))
        rows = on_own_system(lambda settings: measure(settings, steps, steps_per_row), patterns=Path(folder))
    return {
        "rows": rows,
        "ratio": round(rows[-1]["step_ms"] / rows[0]["step_ms"], 3),
        "cpu_ratio": round(rows[-1]["cpu_ms_per_step"] / rows[0]["cpu_ms_per_step"], 3),
        "machine": machine(),
    }


async def measure(settings: Settings, steps: Sequence[int], steps_per_row: int) -> list[dict[str, Any]]:
    """Measure a running system that knows the patterns."""
    rows: list[dict[str, Any]] = []
    meter = CpuMeter(settings)
    async with ExecutionClient(settings, "bench") as client:
        await load(client, 8, WARM_UP)
        for count in steps:
            executions = max(CONCURRENCY, steps_per_row // count)
            before = meter.read_ms()
            _, seconds = await load(client, CONCURRENCY, executions, _name(count))
            cpu = per_execution_ms(before, meter.read_ms(), executions * count)["total"]
            rows.append(
                {
                    "steps": count,
                    "executions": executions,
                    "step_ms": round(seconds * 1000 / (executions * count), 4),
                    "cpu_ms_per_step": cpu,
                }
            )
    return rows


def _name(steps: int) -> str:
    return f"bench_long_{steps}"


def _pattern(steps: int) -> bytes:
    def step(index: int) -> dict[str, Any]:
        value = 1 if index == 0 else f"{{{{state.s{index - 1}}}}}"
        return {"capability": "bench.noop", "as": f"s{index}", "args": {"value": value}}

    document = {
        "id": _name(steps),
        "name": f"{steps} steps that do nothing",
        "description": "Measures what a step costs in a pattern of this length.",
        "category": "analysis",
        "inputs": {},
        "steps": [step(index) for index in range(steps)],
        "outputs": [f"s{steps - 1}"],
    }
    return orjson.dumps(document)
