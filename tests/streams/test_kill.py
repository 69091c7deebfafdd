"""An orchestrator process is killed, or cut off, in the middle: every execution has exactly one distinct result."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.embedded import Addresses
from settings import Settings
from streams.clients import topic_name
from streams.failstop import EXIT_FAIL_STOP
from tests.streams.process import Process
from tests.streams.system import System, by_key, read_all, request, running
from topics.codec import decode, encode, execution_id_of, key_of
from topics.messages import CapabilityRequest, ExecutionResult, ExecutionStatus
from topics.table import EXECUTION_REQUESTS, EXECUTION_RESULTS, capability_requests

pytestmark = pytest.mark.integration

EXECUTIONS = 300


async def submit_all(system, asked) -> None:
    for one in asked:
        await system.client.submit(one)


async def finished(system, keys: set[bytes]) -> None:
    await system.read_until(EXECUTION_RESULTS, lambda found: keys <= {r.key for r in found}, timeout_s=90)


async def test_killed_in_the_middle_every_execution_has_exactly_one_result(
    services: Addresses, service_settings: Settings, tmp_path: Path
) -> None:
    settings = service_settings.model_copy(update={"partitions": 4})
    asked = [request(inputs={"value": number}) for number in range(EXECUTIONS)]
    keys = {key_of(execution_id_of(one.tenant, one.request_id)): number for number, one in enumerate(asked)}
    async with running(settings, orchestrator=False) as system:
        first, second = Process(services, settings, "first"), Process(services, settings, "second")
        await first.start()
        try:
            await first.ready()
            submitting = asyncio.create_task(submit_all(system, asked))
            # In the middle: some are finished, many are not.
            await system.read_until(EXECUTION_RESULTS, lambda found: len(found) >= EXECUTIONS // 6)
            await first.end(signal.SIGKILL)
            before = len(await read_all(settings, EXECUTION_RESULTS))
            assert before < EXECUTIONS
            # Another one takes over; the killed one comes back and shares the partitions.
            await second.start()
            await second.ready()
            await first.start()
            await submitting
            await finished(system, set(keys))
            await first.ready()
            # What is asked for again now, after a takeover, is known to have been done.
            for one in asked[:20]:
                await system.producer.send_and_wait(topic_name(settings, EXECUTION_REQUESTS), encode(one))
            last = request()
            await system.client.submit(last)
            await finished(system, {key_of(execution_id_of(last.tenant, last.request_id))})
            assert await second.end(signal.SIGTERM) == 0
            assert await first.end(signal.SIGTERM) == 0
        finally:
            for process in (first, second):
                await process.end(signal.SIGKILL)
        results = by_key(await read_all(settings, EXECUTION_RESULTS))
        commands = await read_all(settings, capability_requests("probe"))
    for key, number in keys.items():
        assert len(results[key]) == 1, f"{len(results[key])} distinct results"
        result = decode(next(iter(results[key])), ExecutionResult)
        assert isinstance(result, ExecutionResult)
        assert result.status is ExecutionStatus.SUCCEEDED
        assert result.data == {"second": number}
    # A redelivered event sends its own commands again, byte for byte, and no others.
    distinct: dict[tuple[str, str, int], set[bytes]] = defaultdict(set)
    for record in commands:
        command = decode(record.value, CapabilityRequest)
        assert isinstance(command, CapabilityRequest)
        distinct[command.execution_id, command.step_id, command.attempt].add(record.value)
    assert all(len(copies) == 1 for copies in distinct.values())
    assert len(distinct) == 2 * (EXECUTIONS + 1)


@asynccontextmanager
async def two_workers(services: Addresses, settings: Settings) -> AsyncIterator[tuple[System, Process, Process]]:
    """Run one that will be cut off from its group and is ready, and another that is not started yet."""
    async with running(settings, orchestrator=False) as system:
        deaf, second = Process(services, settings, "deaf"), Process(services, settings, "second")
        await deaf.start()
        try:
            await deaf.ready()
            yield system, deaf, second
        finally:
            for process in (deaf, second):
                await process.end(signal.SIGKILL)


async def twenty_finished(system: System) -> set[bytes]:
    """Return the keys of twenty executions, submitted and finished."""
    asked = [request(inputs={"value": number}) for number in range(20)]
    await submit_all(system, asked)
    keys = {key_of(execution_id_of(one.tenant, one.request_id)) for one in asked}
    await finished(system, keys)
    return keys


async def said(process: Process, text: str) -> None:
    """Wait until a process has logged a text."""
    async with asyncio.timeout(20):
        while text not in process.log:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.1)


async def test_a_worker_the_group_has_given_up_publishes_no_result_though_it_still_works(
    services: Addresses, service_settings: Settings, tmp_path: Path
) -> None:
    settings = service_settings.model_copy(update={"partitions": 4})
    async with two_workers(services, settings) as (system, deaf, second):
        before = request()
        await system.client.submit(before)
        await finished(system, {key_of(execution_id_of(before.tenant, before.request_id))})
        deaf.send(signal.SIGUSR1)
        await second.start()
        # The group waits for the deaf one's session to end before it gives its partitions away.
        await second.ready()
        keys = await twenty_finished(system)
        await said(deaf, "no heartbeat confirmed")
        await asyncio.sleep(1.0)
        results = await read_all(settings, EXECUTION_RESULTS)
        # It did work on what it was not given any more, up to the result.
        deaf.send(signal.SIGUSR1)
        assert await deaf.ended() == EXIT_FAIL_STOP
        assert "has given this worker's partitions away" in deaf.log
        assert await second.end(signal.SIGTERM) == 0
    assert sorted(record.key for record in results if record.key in keys) == sorted(keys)


async def test_a_worker_the_group_has_given_up_stops_at_the_first_row_it_writes_beside_another(
    services: Addresses, service_settings: Settings, tmp_path: Path
) -> None:
    settings = service_settings.model_copy(update={"partitions": 4})
    async with two_workers(services, settings) as (system, deaf, second):
        deaf.send(signal.SIGUSR2)
        await second.start()
        await second.ready()
        keys = await twenty_finished(system)
        await said(deaf, "reading it again")
        # The group answers again, and both go on.
        deaf.send(signal.SIGUSR2)
        keys |= await twenty_finished(system)
        assert await second.end(signal.SIGTERM) == 0
        results = by_key(await read_all(settings, EXECUTION_RESULTS))
    assert {key: len(results[key]) for key in keys} == dict.fromkeys(keys, 1)
