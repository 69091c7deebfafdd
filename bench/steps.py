"""What one execution costs end to end: three sequential no-op steps, eight hops over Kafka, acks from all replicas.

The topology is the one `dawsos up` ships: broker, orchestrator, agents and projector each in a process of their own,
and this process as an external client that keeps a number of executions under way.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from bench.machine import machine
from bench.processes import CpuMeter, per_execution_ms
from local.stack import UP_ARGV, Stack
from settings import Settings, load_settings
from streams.publisher import ExecutionClient
from topics.messages import ExecuteRequest, ExecutionStatus

PATTERNS = Path(__file__).resolve().parent / "patterns"
PATTERN_ID = "bench_steps"
# Until Java has optimized what the broker does all the time; fewer, and the first rows measure the compiler.
WARM_UP = 8000
# Enough for a stable p99 at each concurrency, few enough for a minute in all.
_COUNTS = ((1, 1000), (16, 2500), (128, 8000))
USER = UUID(int=1)
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        rows: concurrency, p50_ms, p99_ms, per_s.
        cpu_ms_per_execution: by process and in total, with the concurrency; the projector may still be catching up.
    """

    rows: list[dict[str, Any]]
    cpu_ms_per_execution: list[dict[str, Any]]


async def measure(
    settings: Settings, concurrency: Sequence[int], count: int | None = None, pattern_id: str = PATTERN_ID
) -> Figures:
    """Measure a running system.

    Args:
        settings: with addresses; the orchestrator knows the pattern.
        concurrency: how many executions are kept under way, one row for each.
        count: executions per row; None chooses by concurrency.
        pattern_id: to be executed, without inputs.

    Raises:
        RuntimeError: an execution did not succeed.
    """
    rows: list[dict[str, Any]] = []
    cpu: list[dict[str, Any]] = []
    meter = CpuMeter(settings)
    async with ExecutionClient(settings, "bench") as client:
        await load(client, 8, WARM_UP, pattern_id)
        for level in concurrency:
            before = meter.read_ms()
            taken, seconds = await load(client, level, count or _count(level), pattern_id)
            cpu.append({"concurrency": level, **per_execution_ms(before, meter.read_ms(), len(taken))})
            taken.sort()
            rows.append(
                {
                    "concurrency": level,
                    "p50_ms": round(taken[len(taken) // 2] * 1000, 2),
                    "p99_ms": round(taken[int(len(taken) * 0.99)] * 1000, 2),
                    "per_s": round(len(taken) / seconds, 1),
                }
            )
    return Figures(rows, cpu)


def run_steps(
    concurrency: Sequence[int] = (1, 16, 128), *, flush_every_message: bool = False, count: int | None = None
) -> dict[str, Any]:
    """Start a system of its own in a temporary directory, measure it, and stop it.

    Args:
        concurrency: one row for each.
        flush_every_message: let Kafka fsync after every message.
        count: executions per row; None chooses by concurrency.

    Returns:
        `{"rows": [...], "cpu_ms_per_execution": [...], "machine": {...}}`, ready for JSON.
    """
    figures = on_own_system(lambda settings: measure(settings, concurrency, count), flush_every_message)
    return {
        "rows": figures.rows,
        "cpu_ms_per_execution": figures.cpu_ms_per_execution,
        "machine": machine() | {"kafka_flush_every_message": flush_every_message},
    }


def on_own_system(
    work: Callable[[Settings], Coroutine[Any, Any, Any]],
    flush_every_message: bool = False,
    patterns: Path = PATTERNS,
    argv: Sequence[str] = UP_ARGV,
) -> Any:
    """Return what `work` returns of the settings of an `own_system`."""
    with own_system(flush_every_message, patterns, argv) as settings:
        return run(work(settings))


@contextmanager
def own_system(
    flush_every_message: bool = False, patterns: Path = PATTERNS, argv: Sequence[str] = UP_ARGV
) -> Iterator[Settings]:
    """Start a system in a temporary directory, give its settings, and stop it.

    Args:
        flush_every_message: let Kafka fsync after every message.
        patterns: folder of pattern files.
        argv: runs the supervisor in the foreground; `dawsos up` by default.
    """
    with tempfile.TemporaryDirectory(prefix="dawsos-bench-", ignore_cleanup_errors=True) as folder:
        chosen = {
            "DAWSOS_PATTERNS": str(patterns),
            "DAWSOS_DATA_DIR": folder,
            "DAWSOS_KAFKA_FLUSH_EVERY_MESSAGE": str(flush_every_message).lower(),
            "DAWSOS_LOG_LEVEL": "WARNING",
            "DAWSOS_RATE_USER_PER_S": "1000000",
            "DAWSOS_RATE_TENANT_PER_S": "1000000",
        }
        before = {name: os.environ.get(name) for name in chosen}
        # The supervisor that Stack starts takes our environment.
        os.environ.update(chosen)
        try:
            with Stack(load_settings(), argv=argv) as settings:
                yield settings
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns, on the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def _count(concurrency: int) -> int:
    return next((count for level, count in reversed(_COUNTS) if concurrency >= level), _COUNTS[0][1])


async def load(
    client: ExecutionClient,
    concurrency: int,
    count: int,
    pattern_id: str = PATTERN_ID,
    inputs: Mapping[str, Any] | None = None,
) -> tuple[list[float], float]:
    """Keep `concurrency` executions under way until `count` are done; returns each one's seconds and all of it."""
    taken: list[float] = []
    left = count

    async def one_after_another() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            asked = request(pattern_id, inputs)
            begun = time.perf_counter()
            result = await client.execute(asked, _TIMEOUT_S)
            taken.append(time.perf_counter() - begun)
            if result.status is not ExecutionStatus.SUCCEEDED:
                raise RuntimeError(f"expected {pattern_id} to succeed, got {result.status}: {result.error}")

    begun = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))
    return taken, time.perf_counter() - begun


def request(pattern_id: str, inputs: Mapping[str, Any] | None = None, **fields: Any) -> ExecuteRequest:
    """Return a new request of the bench's tenant."""
    return ExecuteRequest(
        tenant="bench",
        request_id=uuid4().hex,
        user_id=USER,
        pattern_id=pattern_id,
        inputs=dict(inputs or {}),
        submitted_at=datetime.now(UTC),
        **fields,
    )
