"""Does it cost anything that many executions wait for their pack? Throughput before and after they are parked."""

import asyncio
import time
from datetime import UTC, date, datetime
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.processes import CpuMeter, part, per_execution_ms, resident_bytes
from bench.steps import WARM_UP, load, machine, on_own_system, request
from db.pack_writer import PackWriter
from db.postgres import open_pool
from settings import Settings
from streams.clients import start_consumer, topic_name
from streams.publisher import ExecutionClient
from topics.messages import Gate, GatePolicy
from topics.table import CAPABILITY_RESULTS, EXECUTION_REQUESTS, EXECUTION_SIGNALS

PATTERN_ID = "bench_parked"
PARKED = 100_000
CONCURRENCY = 128
_ROUNDS = 3
_AT_ONCE = 500
DAY = date(2024, 5, 17)
WAIT_S = 86_000.0
_PARKED_WITHIN_S = 3600.0


def run_parked(parked: int = PARKED, count: int = 4000) -> dict[str, Any]:
    """Start a system of its own, measure it, and stop it.

    Args:
        parked: executions that wait at the gate.
        count: executions in each of the rounds, three without and three with those.

    Returns:
        `{"rows": [{"parked", "per_s", "cpu_ms", "cpu_ms_of"}], "ratio", "cpu_ratio", "bytes_per_parked", "parking_s",
        "machine"}`: CPU per execution, `cpu_ms_of` by process; the ratios compare the medians with parked executions
        to those without.
    """
    return on_own_system(lambda settings: measure(settings, parked, count)) | {"machine": machine()}


async def measure(settings: Settings, parked: int, count: int) -> dict[str, Any]:
    """Measure a running system; leaves the executions parked."""
    await warming_pack(settings)
    meter = CpuMeter(settings)
    async with ExecutionClient(settings, "bench") as client:
        await load(client, 8, WARM_UP)
        await load(client, CONCURRENCY, count)
        rows = [await _round(client, meter, 0, count) for _ in range(_ROUNDS)]
        size = resident_bytes(part(settings, "orchestrator").pid)
        begun = time.perf_counter()
        await park(settings, client, parked)
        parking_s = time.perf_counter() - begun
        grown = resident_bytes(part(settings, "orchestrator").pid) - size
        rows += [await _round(client, meter, parked, count) for _ in range(_ROUNDS)]
    without, beside = rows[:_ROUNDS], rows[_ROUNDS:]
    return {
        "rows": rows,
        "ratio": round(_median(beside, "per_s") / _median(without, "per_s"), 3),
        "cpu_ratio": round(_median(beside, "cpu_ms") / _median(without, "cpu_ms"), 3),
        "bytes_per_parked": grown // parked,
        "parking_s": round(parking_s, 1),
    }


async def _round(client: ExecutionClient, meter: CpuMeter, parked: int, count: int) -> dict[str, Any]:
    before = meter.read_ms()
    taken, seconds = await load(client, CONCURRENCY, count)
    cpu = per_execution_ms(before, meter.read_ms(), len(taken))
    return {"parked": parked, "per_s": round(len(taken) / seconds, 1), "cpu_ms": cpu.pop("total"), "cpu_ms_of": cpu}


def _median(rows: list[dict[str, Any]], name: str) -> float:
    return sorted(row[name] for row in rows)[len(rows) // 2]


async def warming_pack(settings: Settings) -> None:
    """Make the newest pack of executions without a portfolio one that stays warming."""
    pool = await open_pool(settings.postgres_admin_url(), size_max=2, allow_bypass=True)
    try:
        writer = PackWriter(pool)
        await writer.set_calendar("bench", DAY, DAY, [DAY])
        await writer.set_policy(settings.policy, "bench", "A pack that never becomes fresh")
        await writer.create(settings.policy, DAY, datetime.now(UTC))
    finally:
        await pool.close()


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
