"""A Postgres that takes connections and says nothing: the gateway answers near its limits, and recovers."""

import time

import httpx
import pytest

from tests.bridge.conftest import Gateway, Place
from tests.frozen import Way

pytestmark = pytest.mark.integration


async def test_limits_hold_while_postgres_is_frozen(place: Place) -> None:
    async with Way(place.settings.postgres_url()).opened() as way:
        gateway = Gateway(place.settings.model_copy(update={"postgres": way.url}), place.folder)
        try:
            await gateway.start()
            async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as client:
                await _check(client, way, {"Authorization": f"Bearer {gateway.token()}"})
        finally:
            way.thaw()
            await gateway.end()
        for complaint in ("a request failed", "ERROR", "Traceback", "asyncpg"):
            assert complaint not in gateway.log(), gateway.log()


async def _check(client: httpx.AsyncClient, way: Way, headers: dict[str, str]) -> None:
    async def timed(method: str, path: str, wait: int = 2, **more: str) -> tuple[httpx.Response, float]:
        body = {"pattern_id": "p", **more} if method == "POST" else None
        begun = time.monotonic()
        sent = {**headers, "Prefer": f"wait={wait}"}
        return await client.request(method, path, json=body, headers=sent), time.monotonic() - begun

    assert (await timed("GET", "/ready"))[0].status_code == 200
    way.freeze()
    ready, took_s = await timed("GET", "/ready")
    assert (ready.status_code, ready.json()["checks"]["postgres"]) == (503, "does not answer") and took_s < 5
    # Whatever is on its way to Kafka goes on; only what is to be noted before has to wait for Postgres.
    taken, took_s = await timed("POST", "/execute")
    assert taken.status_code == 202 and took_s < 7, taken.text
    named, took_s = await timed("POST", "/execute", request_id="frozen")
    assert (named.status_code, named.json()["code"]) == (503, "UPSTREAM_FAILED") and took_s < 5
    for path in ("/executions", "/packs", "/portfolios", taken.headers["location"]):
        found, took_s = await timed("GET", path)
        assert (found.status_code, found.json()["code"]) == (503, "UPSTREAM_FAILED") and took_s < 9, path
    way.thaw()
    assert (await timed("GET", "/ready"))[0].status_code == 200
    assert (await timed("POST", "/execute", wait=0, request_id="frozen"))[0].status_code == 202
    assert (await timed("GET", "/executions"))[0].status_code == 200
