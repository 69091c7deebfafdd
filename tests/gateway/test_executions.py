"""Finding executions: filters, pages, events, metrics."""

import asyncio
import json
from typing import Any

import pytest

from tests.gateway.system import ACME_USER, ALICE, Gateway, new_id
from tests.gateway.test_execute import problem

pytestmark = pytest.mark.integration


async def test_filters_and_pages(gateway: Gateway) -> None:
    who = {"tenant": f"pages-{new_id()[-10:]}", "user_id": ACME_USER}
    names = [new_id() for _ in range(7)]
    for number, name in enumerate(names):
        await gateway.execute("echo", inputs={"value": number - 1}, request_id=name, who=who)
    slow = await gateway.execute("slow", inputs={"seconds": 3}, who=who, headers={"Prefer": "respond-async"})
    running = slow.json()["execution_id"]
    await gateway.until(slow.headers["location"], lambda r: r.json()["status"] == "running", who=who)

    async def listed(query: str) -> list[dict[str, Any]]:
        found = await gateway.get(f"/executions?{query}", who=who)
        assert found.status_code == 200, found.text
        return found.json()["executions"]

    async with asyncio.timeout(30):
        while len(await listed("limit=100")) < 8 or len(await listed("status=succeeded")) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    everything = await listed("limit=100")
    assert everything[0]["execution_id"] == running and everything[0]["waits_for"]
    assert [each["request_id"] for each in everything[1:]] == names[::-1]
    assert {each["status"] for each in await listed("status=running")} == {"running"}
    rejected = await listed("status=rejected&error=INVALID_INPUT")
    assert [each["request_id"] for each in rejected] == names[:1]
    assert [each["request_id"] for each in await listed(f"q={names[3].upper()}")] == [names[3]]
    assert len(await listed("pattern_id=slow")) == 1 and await listed("pattern_id=none") == []
    assert await listed("started_before=2020-01-01T00:00:00Z") == []
    pages: list[str] = []
    cursor = ""
    while True:
        page = (await gateway.get(f"/executions?limit=3{cursor}", who=who)).json()
        pages += [each["execution_id"] for each in page["executions"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == [each["execution_id"] for each in everything]
    await gateway.delete(slow.headers["location"], who=who)


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WzEsMl0", "WyJhIiwiYiJd", "WzEsIngiXQ", "Wzk5OTk5OTk5OTk5OTk5OTk5OSwieCJd"]
)
async def test_a_cursor_that_is_none_of_ours_is_422(gateway: Gateway, cursor: str) -> None:
    problem(await gateway.get(f"/executions?cursor={cursor}"), 422, "INVALID_REQUEST")


async def test_an_id_that_is_none_says_what_one_looks_like(gateway: Gateway) -> None:
    body = problem(await gateway.get("/executions/abc"), 422, "INVALID_REQUEST")
    said = "expected an id of 36 characters, like 123e4567-e89b-12d3-a456-426614174000, got 'abc'"
    assert body["detail"] == f"execution_id: {said}"
    assert body["errors"] == [{"pointer": "{execution_id}", "detail": said}]


async def test_a_misspelt_parameter_is_refused_instead_of_ignored(gateway: Gateway) -> None:
    body = problem(await gateway.get("/executions?stauts=failed&limit=1&x=1"), 422, "INVALID_REQUEST")
    near, far = body["errors"]
    assert near == {"pointer": "?stauts", "detail": "there is no such parameter; did you mean 'status'?"}
    assert far["pointer"] == "?x" and "accepted: status, pattern_id" in far["detail"]
    none = problem(await gateway.get("/capabilities?x=1"), 422, "INVALID_REQUEST")
    assert none["detail"] == "?x: expected no parameters"


async def events(gateway: Gateway, path: str, headers: dict[str, str] | None = None) -> list[tuple[str, str, Any]]:
    """Read a stream to its end: (event, id, data)."""
    found: list[tuple[str, str, Any]] = []
    fields: dict[str, str] = {}
    sent = {**gateway.headers(), **(headers or {})}
    async with gateway.client.stream("GET", path, headers=sent) as stream:
        assert stream.status_code == 200 and stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            if not line and fields:
                found.append((fields["event"], fields["id"], json.loads(fields["data"])))
                fields = {}
            elif line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
    return found


async def test_events_show_each_state_and_end(gateway: Gateway) -> None:
    started = await gateway.execute("slow", inputs={"seconds": 0.7}, headers={"Prefer": "respond-async"})
    path = f"{started.headers['location']}/events"
    seen = await events(gateway, path)
    kinds = [kind for kind, _, _ in seen]
    assert kinds[-1] == "end" and set(kinds[:-1]) == {"progress"}
    versions = [int(number) for kind, number, _ in seen if kind == "progress"]
    assert versions == sorted(set(versions))
    assert seen[-1][2]["status"] == "succeeded"
    # Connected again: nothing it has seen.
    assert [kind for kind, _, _ in await events(gateway, path, {"Last-Event-ID": str(versions[-1])})] == ["end"]
    again = await gateway.get(path, headers={"Last-Event-ID": "end"})
    assert again.status_code == 204


async def test_events_of_a_lost_connection_go_on_where_they_were(gateway: Gateway) -> None:
    started = await gateway.execute("slow", inputs={"seconds": 1.2}, headers={"Prefer": "respond-async"})
    path = f"{started.headers['location']}/events"
    last = ""
    async with gateway.client.stream("GET", path, headers=gateway.headers()) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("id: "):
                last = line.removeprefix("id: ")
                break
    rest = await events(gateway, path, {"Last-Event-ID": last})
    assert rest[-1][0] == "end"
    assert last == "end" or all(int(number) > int(last) for kind, number, _ in rest if kind == "progress")


async def test_metrics_count_routes_and_nobody(gateway: Gateway) -> None:
    await gateway.execute("echo")
    await gateway.get("/some/where/else")
    text = (await gateway.client.get("/metrics")).text
    assert 'dawsos_gateway_requests_total{method="POST",route="/execute",status="200"}' in text
    assert "unrouted" in text and "/some/where" not in text
    for secret in (str(ALICE), "tenant=", "acme"):
        assert secret not in text


async def test_many_at_once(gateway: Gateway) -> None:
    """500 requests in flight at once; each gets its own answer."""

    async def one(number: int) -> int:
        who = {"tenant": f"many{number % 5}", "user_id": ACME_USER}
        found = await gateway.execute("echo", inputs={"value": number}, who=who)
        assert found.status_code == 200, found.text
        return found.json()["data"]["answer"]

    assert await asyncio.gather(*(one(number) for number in range(500))) == list(range(500))
