"""A gateway that is killed with requests and a websocket open: its executions go on, nothing is lost or done twice."""

import asyncio
import os
import signal
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.bridge.client import receive, results, subscribe
from tests.gateway.system import ACME_USER, Gateway, new_id
from topics.socket import SUBPROTOCOL

pytestmark = pytest.mark.integration

COUNT = 6


def socket_of(gateway: Gateway, headers: dict[str, str]) -> connect:
    address = f"{gateway.url.replace('http', 'ws')}/ws"
    return connect(address, subprotocols=[SUBPROTOCOL], additional_headers=headers, proxy=None)  # type: ignore[list-item]


async def test_killed_in_the_middle(gateway: Gateway) -> None:
    who = {"tenant": f"killed-{new_id()[-8:]}", "user_id": ACME_USER}
    headers = gateway.headers(**who)
    names = [new_id() for _ in range(COUNT)]
    pid = gateway.parts()["gateway"].pid
    assert pid is not None

    async def post(name: str) -> httpx.Response:
        return await gateway.execute("slow", inputs={"seconds": 2}, request_id=name, who=who)

    async with socket_of(gateway, headers) as socket:
        before, cursor = await subscribe(socket)
        posting = [asyncio.create_task(post(name)) for name in names]
        running: set[str] = set()
        while len(running) < COUNT:
            message = await receive(socket)
            assert message["type"] == "ExecutionProgress"
            if message["execution"]["status"] == "running":
                running.add(message["execution"]["execution_id"])
        os.kill(pid, signal.SIGKILL)
        broken = await asyncio.gather(*posting, return_exceptions=True)
        # Whatever comes next, other tests need the gateway too.
        await ready_again(gateway)
        assert all(isinstance(each, httpx.TransportError) for each in broken), broken
        with pytest.raises(ConnectionClosed):
            await read_to_the_end(socket)
    async with socket_of(gateway, headers) as socket:
        missed, _ = await subscribe(socket, cursor=cursor)
        rest, _ = await results(socket, COUNT - len(missed), 30)
        assert before == [] and sorted(missed + rest) == sorted(running)
    again = await asyncio.gather(*map(post, names))
    assert {each.status_code for each in again} == {200}
    assert {each.headers["idempotent-replayed"] for each in again} == {"true"}
    assert {each.json()["execution_id"] for each in again} == running
    listed = (await gateway.get("/executions?limit=100", who=who)).json()["executions"]
    assert sorted(each["request_id"] for each in listed) == sorted(names)


async def read_to_the_end(socket: ClientConnection) -> Any:
    while True:
        await receive(socket)


async def ready_again(gateway: Gateway) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await gateway.client.get("/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
