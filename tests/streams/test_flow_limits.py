"""Limits on executions in flight, on real Kafka: queues, turns, a restart with a full queue, requests held back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.embedded import Addresses
from settings import Settings
from streams.app import OrchestratorWorker
from tests.services import environment_settings
from tests.streams.system import System, catalogue, registry, request, running
from topics.codec import encode, execution_id_of, key_of
from topics.messages import ExecuteRequest, ExecutionResult
from topics.table import EXECUTION_REQUESTS, EXECUTION_RESULTS

pytestmark = pytest.mark.integration

CROWD = 2_000


@asynccontextmanager
async def limited(services: Addresses, folder: Path, **limits: int) -> AsyncIterator[System]:
    settings: Settings = services.apply(environment_settings()).model_copy(
        update={"topic_prefix": f"f{uuid4().hex[:8]}.", "data_dir": folder, "partitions": 4, **limits}
    )
    async with running(settings) as system:
        yield system


async def submit(system: System, count: int) -> list[ExecuteRequest]:
    asked = [request(deadline_s=300.0) for _ in range(count)]
    topic = system.topic(EXECUTION_REQUESTS)
    for delivery in [
        await system.producer.send(topic, encode(one), key_of(execution_id_of(one.tenant, one.request_id)))
        for one in asked
    ]:
        await delivery
    return asked


async def all_results(system: System, asked: list[ExecuteRequest]) -> dict[bytes, ExecutionResult]:
    """Results by key, each of them exactly one, as soon as all are there."""
    wanted = {key_of(execution_id_of(one.tenant, one.request_id)) for one in asked}
    records = await system.read_until(
        EXECUTION_RESULTS, lambda found: wanted <= {record.key for record in found}, timeout_s=120
    )
    distinct = {record.key: {each.value for each in records if each.key == record.key} for record in records[:5]}
    assert all(len(values) == 1 for values in distinct.values())
    results = {
        record.key: ExecutionResult.model_validate_json(record.value) for record in records if record.key in wanted
    }
    assert {result.status.value for result in results.values()} == {"succeeded"}
    return results


async def test_a_crowd_does_not_delay_another_tenant(services: Addresses, tmp_path: Path) -> None:
    async with limited(services, tmp_path, in_flight_max=32, tenant_in_flight_max=16) as system:
        await system.client.execute(request(), 30)
        asked = await submit(system, CROWD)
        seen: list[tuple[str, str]] = []
        begun = time.monotonic()
        single = request().model_copy(update={"tenant": "other"})
        result = await system.client.execute(single, 30, lambda step, status: seen.append((step, status)))
        taken_s = time.monotonic() - begun
        assert result.status.value == "succeeded"
        assert system.worker is not None
        assert sum(flow.queued for _, flow in system.worker.processor.flow.items()) > CROWD / 2
        assert taken_s < 5
        assert ("first", "requested") in seen
        results = await all_results(system, asked)
        waited = [result.trace.queued_ms for result in results.values() if result.trace.queued_ms is not None]
        assert len(waited) > CROWD / 2
        assert all(
            (flow.in_flight, flow.queued, flow.held) == (0, 0, False)
            for _, flow in system.worker.processor.flow.items()
        )


async def test_requests_are_held_back_and_a_full_queue_survives_a_restart(services: Addresses, tmp_path: Path) -> None:
    async with limited(services, tmp_path, in_flight_max=8, tenant_in_flight_max=8, queued_max=400) as system:
        first = system.worker
        assert first is not None
        consumer: Any = first._app.consumer
        holding = asyncio.Event()
        hold = consumer.hold_partitions

        def noted(topic: str, partitions: frozenset[int]) -> None:
            hold(topic, partitions)
            if partitions:
                holding.set()

        consumer.hold_partitions = noted
        asked = await submit(system, CROWD)
        await asyncio.wait_for(holding.wait(), 30)
        queued = sum(flow.queued for _, flow in first.processor.flow.items())
        paused = {
            tp.partition
            for tp in consumer._thread._consumer.assignment()
            if tp in consumer._thread._consumer.paused() and tp.topic == system.topic(EXECUTION_REQUESTS)
        }
        assert paused == first.processor.flow.held()
        await first.stop()
        second = OrchestratorWorker(
            system.settings.model_copy(update={"data_dir": tmp_path / "2"}), registry(), catalogue()
        )
        await second.start()
        try:
            assert queued > 0
            await all_results(system, asked)
            assert second.processor.flow.held() == frozenset()
            assert not any(flow.queued for _, flow in second.processor.flow.items())
        finally:
            await second.stop()


async def test_who_watches_sees_that_an_execution_is_queued(services: Addresses, tmp_path: Path) -> None:
    async with limited(services, tmp_path, in_flight_max=4, tenant_in_flight_max=4) as system:
        await system.client.execute(request(), 30)
        asked = await submit(system, 400)
        seen: list[tuple[str, str]] = []
        one = request()
        await system.client.execute(one, 60, lambda step, status: seen.append((step, status)))
        await all_results(system, [*asked, one])
        assert seen[0] == ("$queue", "queued")
        assert {("$queue", "succeeded"), ("first", "requested"), ("second", "succeeded")} <= set(seen)
