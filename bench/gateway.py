"""What the gateway costs: the same executions over HTTP and straight over Kafka; and its memory over many requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import orjson
import psutil

from bench.steps import PATTERN_ID, USER, machine, on_own_system
from local.data_dir import DataDir
from local.state import running_state
from services.tokens import Role, demo_token
from settings import Settings
from streams.publisher import ExecutionClient
from topics.messages import ExecuteRequest, ExecutionStatus

_WARM_UP = 30
_COUNTS = ((1, 200), (16, 1500), (500, 3000))
_TENANT = "bench"
_TIMEOUT_S = 120.0
Once = Callable[[], Awaitable[None]]


async def measure(settings: Settings, concurrency: Sequence[int], requests: int) -> dict[str, Any]:
    """Measure a running system.

    Args:
        settings: with addresses; the orchestrator knows the pattern.
        concurrency: how many executions are kept under way, one row for each.
        requests: further requests over HTTP, to see what becomes of the gateway's memory; 0 for none.

    Returns:
        `{"rows": [...]}`, and `memory` with the gateway's resident megabytes before, at each tenth and after.
    """
    state = running_state(DataDir(settings.data_dir))
    if state is None or state.gateway is None:
        raise RuntimeError("expected a running gateway in the data directory")
    pid = next(part.pid for part in state.parts if part.name == "gateway")
    token = demo_token(settings, _TENANT, USER, Role.VIEWER, 86_400)
    rows = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        ExecutionClient(settings, "bench") as kafka,
        httpx.AsyncClient(base_url=state.gateway, headers=headers, timeout=_TIMEOUT_S, limits=limits) as http,
    ):

        async def over_http() -> None:
            answer = await http.post("/execute", json={"pattern_id": PATTERN_ID})
            if answer.status_code != 200:
                raise RuntimeError(f"expected 200, got {answer.status_code}: {answer.text[:300]}")
            orjson.loads(answer.content)

        async def over_kafka() -> None:
            result = await kafka.execute(_request(), _TIMEOUT_S)
            if result.status is not ExecutionStatus.SUCCEEDED:
                raise RuntimeError(f"expected success, got {result.status}")

        await _load(over_http, 8, _WARM_UP)
        await _load(over_kafka, 8, _WARM_UP)
        for level in concurrency:
            count = next((count for limit, count in _COUNTS if level <= limit), _COUNTS[-1][1])
            # In turns, so that both see the same machine.
            direct, through = [], []
            for _ in range(4):
                direct += await _load(over_kafka, level, count // 4)
                through += await _load(over_http, level, count // 4)
            rows.append(_row(level, direct, through))
        memory = await _memory(over_http, int(pid or 0), requests) if requests else None
    return {"rows": rows, **({} if memory is None else {"memory": memory})}


def run_gateway_bench(concurrency: Sequence[int] = (1, 16, 500), requests: int = 0) -> dict[str, Any]:
    """Start a system of its own in a temporary directory, measure it, and stop it; ready for JSON."""
    figures = on_own_system(lambda settings: measure(settings, concurrency, requests))
    return {**figures, "machine": machine()}


def _request() -> ExecuteRequest:
    return ExecuteRequest(
        tenant=_TENANT, request_id=uuid4().hex, user_id=USER, pattern_id=PATTERN_ID, submitted_at=datetime.now(UTC)
    )


async def _load(once: Once, concurrency: int, count: int) -> list[float]:
    taken: list[float] = []
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            begun = time.perf_counter()
            await once()
            taken.append(time.perf_counter() - begun)

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return taken


def _row(level: int, direct: list[float], through: list[float]) -> dict[str, Any]:
    kafka, http = (sorted(taken) for taken in (direct, through))
    middle = len(kafka) // 2
    return {
        "concurrency": level,
        "kafka_p50_ms": round(kafka[middle] * 1000, 2),
        "http_p50_ms": round(http[middle] * 1000, 2),
        "overhead_p50_ms": round((http[middle] - kafka[middle]) * 1000, 2),
        "http_p99_ms": round(http[int(len(http) * 0.99)] * 1000, 2),
    }


async def _memory(once: Once, pid: int, requests: int) -> dict[str, Any]:
    process = psutil.Process(pid)

    def resident_mb() -> float:
        return round(process.memory_info().rss / 1024**2, 1)

    seen = [resident_mb()]
    for _ in range(10):
        await _load(once, 64, requests // 10)
        seen.append(resident_mb())
    return {"requests": requests, "resident_mb": seen}
