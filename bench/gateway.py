"""What the gateway costs: the same executions over HTTP and straight over Kafka; and its memory over many requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import psutil

from bench.machine import machine
from bench.processes import CpuMeter
from bench.steps import PATTERN_ID, USER, on_own_system
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
        `{"rows": [...]}` with latencies and the gateway's CPU time for a request over HTTP, and for one straight over
        Kafka, of which it reads progress and result; and `memory` with its resident megabytes before, at each tenth
        and after.
    """
    state = running_state(DataDir(settings.data_dir))
    if state is None or state.gateway is None:
        raise RuntimeError("expected a running gateway in the data directory")
    pid = next(part.pid for part in state.parts if part.name == "gateway")
    token = demo_token(settings, _TENANT, USER, Role.VIEWER, 86_400)
    rows = []
    meter = CpuMeter(settings)
    http = _Http(state.gateway, token)
    async with ExecutionClient(settings, "bench") as kafka:

        async def over_http() -> None:
            orjson.loads(await http.post("/execute", orjson.dumps({"pattern_id": PATTERN_ID})))

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
            used = {"kafka": 0.0, "http": 0.0}
            for _ in range(4):
                begun = meter.read_ms()
                direct += await _load(over_kafka, level, count // 4)
                between = meter.read_ms()
                through += await _load(over_http, level, count // 4)
                ended = meter.read_ms()
                used["kafka"] += between["gateway"] - begun["gateway"]
                used["http"] += ended["gateway"] - between["gateway"]
            cpu = {f"gateway_{way}_cpu_ms": round(ms / len(through), 2) for way, ms in used.items()}
            rows.append(_row(level, direct, through) | cpu)
        memory = await _memory(over_http, int(pid or 0), requests) if requests else None
        http.close()
    return {"rows": rows, **({} if memory is None else {"memory": memory})}


class _Http:
    """Requests over kept connections, as many as are under way.

    A full client library takes about a millisecond of CPU time for one request; this one leaves the gateway's time.
    """

    def __init__(self, url: str, token: str) -> None:
        place = urlsplit(url)
        self._place = (place.hostname, place.port)
        self._headers = f"Host: {place.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> bytes:
        """Return the body of the answer.

        Raises:
            RuntimeError: its status is not 200.
        """
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._place)
        head = f"POST {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        async with asyncio.timeout(_TIMEOUT_S):
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
            answer = await reader.readexactly(length)
        if status.split()[1] != b"200":
            raise RuntimeError(f"expected 200, got {status.decode()}: {answer[:300].decode()}")
        self._idle.append((reader, writer))
        return answer

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._idle:
            writer.close()


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
