"""A thousand sockets, one that does not read, gateways that die and gateways side by side."""

import asyncio
import random
import signal
import socket as sockets
import time
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from websockets.exceptions import ConnectionClosed

from orchestrator.registry import PatternRegistry
from streams.app import OrchestratorWorker
from streams.publisher import ExecutionClient
from tests.bridge.client import receive, results, subscribe
from tests.bridge.conftest import ALICE, BOB, Gateway, Place
from tests.streams.system import PATTERNS, USER, Probe, agent_running, catalogue, request, wait_gate
from topics.messages import PackStatus

pytestmark = pytest.mark.integration

SOCKETS = 1000
USERS = 20


async def test_a_thousand_sockets_on_one_gateway(place: Place, gateway: Gateway, record_property: Any) -> None:
    """Each socket gets every result of its user, once, and nobody else's."""
    users = [UUID(int=1000 + number) for number in range(USERS)]
    tokens = {user: gateway.token(user) for user in users}
    async with AsyncExitStack() as stack:
        opening = asyncio.Semaphore(50)

        async def open_one(user: UUID):
            async with opening:
                socket = await stack.enter_async_context(gateway.socket(tokens[user]))
                await subscribe(socket)
                return user, socket

        started = time.monotonic()
        opened = await asyncio.gather(*(open_one(users[number % USERS]) for number in range(SOCKETS)))
        opened_s = time.monotonic() - started
        expected = {}
        started = time.monotonic()
        for user in users:
            expected[user] = await place.publish(user, count=3)

        async def read_one(user: UUID, socket: object) -> None:
            found, _ = await results(socket, 3, 60)  # pyright: ignore[reportArgumentType]
            assert sorted(found) == sorted(expected[user])

        await asyncio.gather(*(read_one(*each) for each in opened))
        record_property("opened_s", round(opened_s, 1))
        record_property("delivered_s", round(time.monotonic() - started, 1))
        for _, socket in opened[:20]:
            with pytest.raises(TimeoutError):
                await receive(socket, 0.01)


async def test_a_client_that_does_not_read_is_closed_and_slows_nobody(place: Place, gateway: Gateway) -> None:
    """It is found out after ten seconds; when it reads again it is told 1013 and where it stands."""
    small = sockets.socket()
    # Else ten megabytes fit into the kernel's buffers and nobody notices anything.
    small.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 65_536)
    small.connect(("127.0.0.1", gateway.port))
    async with gateway.socket(max_size=None, ping_interval=None, sock=small) as slow, gateway.socket() as fast:
        await subscribe(fast)
        _, cursor = await subscribe(slow, all=True, results=True)
        slow.transport.pause_reading()
        started = time.monotonic()
        sent = await place.publish(ALICE, count=100, data={"text": "x" * 100_000})
        assert sorted((await results(fast, 100))[0]) == sorted(sent)
        assert time.monotonic() - started < 10
        await asyncio.sleep(10.5)
        slow.transport.resume_reading()
        seen: list[str] = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                message = await receive(slow, 30)
                if message["type"] == "ResultArrived":
                    seen.append(message["execution_id"])
                    cursor = message["cursor"]
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, cursor)
        assert len(seen) < len(sent)
        async with gateway.socket() as again:
            found, _ = await subscribe(again, cursor=cursor)
            seen += found
            if len(seen) < len(sent):
                seen += (await results(again, len(sent) - len(seen)))[0]
        assert sorted(seen) == sorted(sent)


async def test_nothing_is_missed_or_repeated_across_a_restart(place: Place) -> None:
    """Results while the gateway is dead come from Postgres when it is back."""
    user = UUID(int=random.getrandbits(100))
    async with place.projecting(), place.gateway() as gateway:
        async with gateway.socket(gateway.token(user)) as socket:
            await subscribe(socket)
            first = await place.publish(user, count=10)
            seen, cursor = await results(socket, 7)
            await gateway.end(signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.recv()
        missed = await place.publish(user, count=300)
        await place.publish(BOB, count=20)
        await gateway.start()
        later = await place.publish(user, count=5)
        async with gateway.socket(gateway.token(user)) as socket:
            found, cursor = await subscribe(socket, cursor=cursor)
            left = 315 - len(seen) - len(found)
            more, cursor = await results(socket, left) if left else ([], cursor)
            live = await place.publish(user, count=2)
            new, cursor = await results(socket, 2)
            with pytest.raises(TimeoutError):
                await receive(socket, 0.3)
        assert sorted(seen + found + more) == sorted(first + missed + later)
        assert sorted(new) == sorted(live)
        async with gateway.socket(gateway.token(user)) as socket:
            assert (await subscribe(socket, cursor=cursor))[0] == []


async def test_two_gateways_side_by_side(place: Place, gateway: Gateway) -> None:
    """A cursor of one is good on the other, at any moment, and so is a ticket."""
    user = UUID(int=random.getrandbits(100))
    async with place.gateway() as other:
        gateways = [gateway, other]
        async with other.socket(ticket=await gateway.ticket(gateway.token(user))) as socket:
            _, cursor = await subscribe(socket)
        seen: list[str] = []
        sent: list[str] = []
        for number in range(8):
            sent += await place.publish(user, count=5)
            async with gateways[number % 2].socket(gateway.token(user)) as socket:
                found, cursor = await subscribe(socket, cursor=cursor)
                seen += found
                if number % 3 and len(seen) < len(sent):
                    more, cursor = await results(socket, 1)
                    seen += more
        async with other.socket(gateway.token(user)) as socket:
            found, cursor = await subscribe(socket, cursor=cursor)
            seen += found
            if len(seen) < len(sent):
                seen += (await results(socket, len(sent) - len(seen)))[0]
        assert sorted(seen) == sorted(sent)


async def test_progress_of_a_real_engine(place: Place, gateway: Gateway) -> None:
    """The state of what runs on subscribing, each later state, then the result and no more progress."""
    registry = PatternRegistry.compile(PATTERNS.items(), catalogue())
    worker = OrchestratorWorker(place.settings, registry, catalogue())
    probe = Probe()
    probe.pack = probe.pack.model_copy(update={"status": PackStatus.WARMING})
    async with agent_running(place.settings, probe):
        await worker.start()
        try:
            async with ExecutionClient(place.settings, "test") as client, AsyncExitStack() as stack:
                token = gateway.token(USER)
                early = await stack.enter_async_context(gateway.socket(token))
                await subscribe(early)
                parked = await client.submit(request("pinned", gate=wait_gate(20)))
                message = await receive(early)
                while message["execution"]["status"] != "waiting_for_pack":
                    assert message["execution"]["execution_id"] == parked
                    message = await receive(early)
                assert str(probe.pack.pack_id) in message["execution"]["waits_for"]

                late = await stack.enter_async_context(gateway.socket(token))
                await subscribe(late)
                state = await receive(late)
                assert state["type"] == "ExecutionProgress"
                assert state["execution"] == message["execution"]

                foreign = await stack.enter_async_context(gateway.socket(gateway.token(BOB)))
                await subscribe(foreign)

                done = await client.submit(request("two_echoes", inputs={"value": 5}))
                kinds = []
                while not kinds or kinds[-1] != "ResultArrived":
                    message = await receive(late)
                    inner = message.get("execution", message)
                    if inner["execution_id"] == done:
                        kinds.append(message["type"])
                assert message["status"] == "succeeded" and message["stale"] is False
                assert set(kinds[:-1]) <= {"ExecutionProgress"}
                with pytest.raises(TimeoutError):
                    await receive(late, 0.5)
                with pytest.raises(TimeoutError):
                    await receive(foreign, 0.1)
        finally:
            await worker.stop()
