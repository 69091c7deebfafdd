"""A gateway that is told to stop: whoever waits is answered at once, and what runs goes on without it."""

import asyncio
import signal
import time
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.bridge.client import receive, subscribe
from tests.bridge.conftest import Place

pytestmark = pytest.mark.integration


async def test_a_gateway_that_stops_answers_all_who_wait(place: Place) -> None:
    # Nothing here runs executions, so none of them ends.
    async with (
        asyncio.timeout(60),
        place.gateway() as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=30) as client,
    ):
        headers = {"Authorization": f"Bearer {gateway.token()}"}

        async def execute(**more: str) -> httpx.Response:
            body = {"pattern_id": "p", **more}
            return await client.post("/execute", json=body, headers={**headers, "Prefer": "wait=30"})

        async def events(path: str) -> list[str]:
            async with client.stream("GET", f"{path}/events", headers=headers) as response:
                assert response.status_code == 200
                opened.set()
                return [line async for line in response.aiter_lines()]

        opened = asyncio.Event()
        taken = await client.post("/execute", json={"pattern_id": "p"}, headers={**headers, "Prefer": "respond-async"})
        watching = asyncio.create_task(events(taken.headers["location"]))
        waiting = [asyncio.create_task(execute()), asyncio.create_task(execute(request_id=uuid4().hex))]
        async with gateway.socket() as socket:
            await subscribe(socket)
            await opened.wait()
            # It counts the request for the metrics, too.
            while "dawsos_gateway_requests_in_flight 4.0" not in (await client.get("/metrics")).text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            begun = time.monotonic()
            await gateway.end(signal.SIGTERM)
            took_s = time.monotonic() - begun
            with pytest.raises(ConnectionClosed) as closed:
                await receive(socket)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        for answer in await asyncio.gather(*waiting):
            assert answer.status_code == 202, answer.text
            assert answer.headers["location"] == f"/executions/{answer.json()['execution_id']}"
        assert not any(line.startswith("event: end") for line in await watching)
        assert took_s < 5
        assert "Traceback" not in gateway.log() and "ERROR" not in gateway.log()
