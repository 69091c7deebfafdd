"""The health endpoint on real Kafka: a worker that stands still turns red; everything is counted."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from settings import Settings
from streams.agent_worker import RUNNING_MAX
from streams.health import Health
from streams.metrics import agents_families, orchestrator_families
from tests.streams.system import System, request, running
from topics.messages import ExecutionStatus
from topics.table import CAPABILITY_REQUESTS, EXECUTION_REQUESTS

pytestmark = pytest.mark.integration

LIMIT_S = 2.0


def fetch(url: str, path: str) -> tuple[int, bytes]:
    try:
        with urlopen(url + path, timeout=5) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


async def ask(health: Health, path: str) -> tuple[int, bytes]:
    assert health.url is not None
    return await asyncio.to_thread(fetch, health.url, path)


async def until(health: Health, status: int, say: Callable[[], str] = lambda: "") -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            code, body = await ask(health, "/livez")
            if code == status:
                return orjson.loads(body)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def watched(kind: str, source: Any, families: Any) -> AsyncIterator[Health]:
    health = Health(kind, LIMIT_S)
    health.sources.append(source)
    health.families.append(families)
    health.start("127.0.0.1", 0)
    try:
        yield health
    finally:
        await health.stop()


@pytest.fixture
async def engine(service_settings: Settings) -> AsyncIterator[System]:
    async with running(service_settings.model_copy(update={"partitions": 2})) as system:
        yield system


async def test_an_orchestrator_that_fetches_no_more_turns_red_and_recovers(engine: System) -> None:
    worker = engine.worker
    assert worker is not None
    async with watched("orchestrator", worker.places, lambda: orchestrator_families(worker)) as health:
        result = await engine.client.execute(request(), 30)
        assert result.status is ExecutionStatus.SUCCEEDED
        # Idle for longer than the limit: nothing waits, so nothing is wrong.
        await asyncio.sleep(LIMIT_S + 1)
        assert (await ask(health, "/livez"))[0] == 200
        thread = engine.app.consumer._thread
        inputs = [tp for tp in thread._consumer.assignment() if tp.topic in worker.processor.sources]
        thread.set_fetching(inputs, False)
        # A fetch under way may still bring one.
        for _ in range(4):
            await engine.client.submit(request())
            await asyncio.sleep(0.7)
        found = await until(health, 503)
        assert engine.topic(EXECUTION_REQUESTS) in found["troubles"][0] and "has not moved" in found["troubles"][0]
        thread.set_fetching(inputs, True)
        await until(health, 200)


async def test_an_agent_worker_whose_pool_is_stuck_turns_red(engine: System) -> None:
    worker = engine.agent
    async with watched("agents", worker.places, lambda: agents_families([worker], engine.runtime.circuits())) as health:
        assert (await engine.client.execute(request(), 30)).status is ExecutionStatus.SUCCEEDED
        for _ in range(RUNNING_MAX):
            await worker._running.acquire()
        await engine.client.submit(request())
        found = await until(health, 503)
        assert CAPABILITY_REQUESTS in found["troubles"][0]
        for _ in range(RUNNING_MAX):
            worker._running.release()
        await until(health, 200)


async def test_a_long_call_within_its_time_is_no_trouble(engine: System) -> None:
    worker = engine.agent
    async with watched("agents", worker.places, lambda: agents_families([worker], engine.runtime.circuits())) as health:
        waiting = asyncio.create_task(engine.client.execute(request("slow"), 30))
        begun = time.monotonic()
        while time.monotonic() < begun + 2 * LIMIT_S:
            assert (await ask(health, "/livez"))[0] == 200
            await asyncio.sleep(0.2)
        assert not waiting.done()
        engine.probe.go_on.set()
        assert (await waiting).status is ExecutionStatus.SUCCEEDED


async def test_a_blocked_loop_is_answered_for_by_the_thread() -> None:
    health = Health("agents", 30.0)
    health.start("127.0.0.1", 0)
    try:
        await asyncio.sleep(0.01)
        url = health.url
        assert url is not None
        health.liveness.beat(time.monotonic() - 60)
        # The loop waits here and answers nothing itself.
        code, body = fetch(url, "/livez")
        assert code == 503 and b"blocked for 60 s" in body
        assert fetch(url, "/readyz")[0] == 503
        health.ready = True
        assert fetch(url, "/readyz")[0] == 200
        assert fetch(url, "/elsewhere")[0] == 404
    finally:
        await health.stop()


async def test_metrics_in_prometheus_form(engine: System) -> None:
    worker, agent = engine.worker, engine.agent
    assert worker is not None
    async with (
        watched("orchestrator", worker.places, lambda: orchestrator_families(worker)) as health,
        watched("agents", agent.places, lambda: agents_families([agent], engine.runtime.circuits())) as agents,
    ):
        await asyncio.gather(*(engine.client.execute(request(), 30) for _ in range(3)))
        rejected = await engine.client.execute(request("no_such_pattern"), 30)
        assert rejected.status is ExecutionStatus.REJECTED
        await engine.producer.send_and_wait(engine.topic(EXECUTION_REQUESTS), b"{", b"key")
        await asyncio.sleep(2)
        values = metrics((await ask(health, "/metrics"))[1])
        assert values["dawsos_results_total", "succeeded"] == 3
        assert values["dawsos_results_total", "rejected"] == 1
        assert values["dawsos_dead_letters_total", "decode"] == 1
        assert values["dawsos_events_total",] >= 3 * 3 + 2
        assert values["dawsos_partitions_owned",] == 2
        assert values["dawsos_executions_in_flight",] == 0
        assert values["dawsos_consumer_lag_records", "0", engine.topic(EXECUTION_REQUESTS)] == 0
        assert values["dawsos_worker_live",] == 1
        assert values["process_resident_memory_bytes",] > 0
        answered = metrics((await ask(agents, "/metrics"))[1])
        assert answered["dawsos_agent_answers_total", "probe", "succeeded"] == 6


def metrics(text: bytes) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            assert not {"tenant", "execution_id", "user"} & set(sample.labels)
            found[sample.name, *(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


async def test_an_idle_worker_is_not_called_stuck(engine: System, caplog: pytest.LogCaptureFixture) -> None:
    consumer = engine.app.consumer
    # As if it had waited for an hour for the first record of most of its partitions.
    consumer._thread.time_started -= 3600
    try:
        assert consumer.assignment()
        await consumer.verify_all_partitions_active()
    finally:
        consumer._thread.time_started += 3600
    assert not [record for record in caplog.records if "fetch request" in record.getMessage()]
