"""Does it cost anything that many executions wait for their pack? Two systems in turn, one with and one without them.

A machine's speed drifts by more, over the minutes that parking takes, than what is asked here.
"""

import asyncio
import statistics
import time
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.machine import machine
from bench.processes import CpuMeter, part, per_execution_ms, resident_bytes
from bench.steps import WARM_UP, load, own_system, request, run
from db.pack_writer import PackWriter
from db.postgres import open_pool
from settings import Settings
from streams.clients import start_consumer, topic_name
from streams.publisher import ExecutionClient
from streams.results import ResultRecord
from topics.codec import decode
from topics.messages import ExecutionResult, ExecutionStatus, Gate, GatePolicy
from topics.table import CAPABILITY_RESULTS, EXECUTION_REQUESTS, EXECUTION_SIGNALS

PATTERN_ID = "bench_parked"
PARKED = 100_000
CONCURRENCY = 128
_PAIRS = 10
_AT_ONCE = 500
DAY = date(2024, 5, 17)
WAIT_S = 86_000.0
_PARKED_WITHIN_S = 3600.0


def run_parked(parked: int = PARKED, count: int = 3000) -> dict[str, Any]:
    """Start two systems, let executions wait in one of them, measure both in turn, and stop them.

    Args:
        parked: executions that wait at the gate.
        count: executions in each round; a pair of rounds has one of each system.

    Returns:
        `{"rows": [{"parked", "per_s", "lowest", "highest", "cpu_ms", "cpu_ms_of"}], "ratio", "cpu_ratio",
        "bytes_per_parked", "parking_s", "let_go_s", "meanwhile_ms", "machine"}`: medians; CPU per execution, in all and
        by process; `ratio` and `cpu_ratio` are medians of the pairs; `meanwhile_ms` is how long others take, one after
        another, while those that were parked all end at once.
    """
    with own_system() as without, own_system() as beside:
        return run(measure(without, beside, parked, count)) | {"machine": machine()}


async def measure(without: Settings, beside: Settings, parked: int, count: int) -> dict[str, Any]:
    """Measure two running systems."""
    pack_id = await warming_pack(beside)
    rounds: dict[int, list[dict[str, Any]]] = {0: [], parked: []}
    async with ExecutionClient(without, "bench") as free, ExecutionClient(beside, "bench") as crowded:
        for client in (free, crowded):
            await load(client, 8, WARM_UP)
            await load(client, CONCURRENCY, count)
        size = resident_bytes(part(beside, "orchestrator").pid)
        begun = time.perf_counter()
        await park(beside, crowded, parked)
        parking_s = time.perf_counter() - begun
        grown = resident_bytes(part(beside, "orchestrator").pid) - size
        systems = {0: (free, CpuMeter(without)), parked: (crowded, CpuMeter(beside))}
        for number in range(_PAIRS):
            for key in sorted(systems, reverse=number % 2 == 1):
                rounds[key].append(await _round(*systems[key], count))
        seconds, taken = await _let_go(beside, crowded, pack_id, parked)

    def ratio(name: str) -> float:
        pairs = zip(rounds[parked], rounds[0], strict=True)
        return round(statistics.median(busy[name] / idle[name] for busy, idle in pairs), 3)

    return {
        "rows": [{"parked": key, **_summary(found)} for key, found in rounds.items()],
        "ratio": ratio("per_s"),
        "cpu_ratio": ratio("cpu_ms"),
        "bytes_per_parked": grown // parked,
        "parking_s": round(parking_s, 1),
        "let_go_s": round(seconds, 1),
        "meanwhile_ms": {
            "p50": round(taken[len(taken) // 2] * 1000, 1),
            "p99": round(taken[int(len(taken) * 0.99)] * 1000, 1),
            "max": round(taken[-1] * 1000, 1),
        },
    }


async def _round(client: ExecutionClient, meter: CpuMeter, count: int) -> dict[str, Any]:
    before = meter.read_ms()
    taken, seconds = await load(client, CONCURRENCY, count)
    cpu = per_execution_ms(before, meter.read_ms(), len(taken))
    return {"per_s": len(taken) / seconds, "cpu_ms": cpu.pop("total"), "cpu_ms_of": cpu}


def _summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    per_s = [each["per_s"] for each in found]
    names = found[0]["cpu_ms_of"]
    return {
        "per_s": round(statistics.median(per_s), 1),
        "lowest": round(min(per_s), 1),
        "highest": round(max(per_s), 1),
        "cpu_ms": round(statistics.median(each["cpu_ms"] for each in found), 3),
        "cpu_ms_of": {name: round(statistics.median(each["cpu_ms_of"][name] for each in found), 3) for name in names},
    }


async def warming_pack(settings: Settings) -> UUID:
    """Make the newest pack of executions without a portfolio one that stays warming, and return its id."""
    pool = await open_pool(settings.postgres_admin_url(), size_max=2, allow_bypass=True)
    try:
        writer = PackWriter(pool)
        await writer.set_calendar("bench", DAY, DAY, [DAY])
        await writer.set_policy(settings.policy, "bench", "A pack that never becomes fresh")
        return (await writer.create(settings.policy, DAY, datetime.now(UTC))).pack_id
    finally:
        await pool.close()


async def _let_go(settings: Settings, client: ExecutionClient, pack_id: UUID, parked: int) -> tuple[float, list[float]]:
    """Fail the pack that is waited for; returns the seconds until all that waited have ended, and those others took."""
    ended: Counter[ExecutionStatus] = Counter()

    def count(record: ResultRecord) -> None:
        result = decode(record.value, ExecutionResult)
        assert isinstance(result, ExecutionResult)
        ended[result.status] += 1

    silence = client.results.listen(count)
    pool = await open_pool(settings.postgres_admin_url(), size_max=2, allow_bypass=True)
    taken: list[float] = []
    begun = time.perf_counter()
    try:
        await PackWriter(pool).fail(pack_id, "the benchmark is over")
        async with asyncio.timeout(_PARKED_WITHIN_S):
            while ended[ExecutionStatus.REJECTED] < parked:
                taken += (await load(client, 1, 1))[0]
            seconds = time.perf_counter() - begun
            while await _unprocessed(settings):  # noqa: ASYNC110 - nobody tells when a group has caught up
                await asyncio.sleep(1.0)
    finally:
        silence()
        await pool.close()
    return seconds, sorted(taken)


async def park(settings: Settings, client: ExecutionClient, count: int) -> None:
    """Submit executions that wait at the gate for a day, and return when all of them do."""
    gate = Gate(policy=GatePolicy.WAIT, wait_s=WAIT_S)
    for start in range(0, count, _AT_ONCE):
        asked = [
            request(PATTERN_ID, gate=gate, deadline_s=WAIT_S, asof=DAY) for _ in range(min(_AT_ONCE, count - start))
        ]
        await asyncio.gather(*(client.submit(each) for each in asked))
    async with asyncio.timeout(_PARKED_WITHIN_S):
        while await _unprocessed(settings):  # noqa: ASYNC110 - nobody tells when a group has caught up
            await asyncio.sleep(1.0)


async def _unprocessed(settings: Settings) -> int:
    """Return how many records the orchestrator and the agent that resolves have not acknowledged."""
    groups = {
        topic_name(settings, "orchestrator"): (EXECUTION_REQUESTS, CAPABILITY_RESULTS, EXECUTION_SIGNALS),
        topic_name(settings, "agent.financial_analyst"): ("capability-requests.financial_analyst",),
    }
    admin = AIOKafkaAdminClient(**settings.kafka_address().client_kwargs())
    consumer = await start_consumer(settings, client_id="bench-lag")
    await admin.start()
    try:
        left = 0
        for group, topics in groups.items():
            wanted = [
                TopicPartition(topic_name(settings, topic), number)
                for topic in topics
                for number in range(settings.partitions)
            ]
            ends = await consumer.end_offsets(wanted)
            done = await admin.list_consumer_group_offsets(group, partitions=wanted)
            left += sum(max(0, end - max(0, done[at].offset)) for at, end in ends.items())
        return left
    finally:
        await admin.close()
        await consumer.stop()
