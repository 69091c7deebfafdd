"""`POST /execute` on a whole system: what succeeds, what is refused and how, what is repeated, what takes long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.pack_writer import PackWriter
from db.packs import PackRepository
from db.postgres import open_pool
from provenance.verification import verify
from services.packs_build import POLICY
from tests.gateway.system import ACME_USER, BOB, GLOBAL, GROWTH, Gateway, new_id

pytestmark = pytest.mark.integration


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/errors/{code}")
    assert {"title", "detail", "retryable"} <= body.keys()
    assert "Traceback" not in response.text
    return body


async def test_a_pattern_gives_data_charts_and_trace(gateway: Gateway) -> None:
    found = await gateway.execute("portfolio_overview", portfolio_id=str(GROWTH.id), asof="2005-06-30")
    assert found.status_code == 200, found.text
    body = found.json()
    assert body["status"] == "succeeded" and body["charts"] and body["data"]["perf_metrics"]
    assert body["trace"]["pricing_pack_id"] and body["trace"]["asof"] == "2005-06-30"
    assert found.headers["content-location"] == f"/executions/{body['execution_id']}"
    again = await gateway.until(f"/executions/{body['execution_id']}/result", lambda r: r.status_code != 202)
    assert again.json() == body
    trace = await gateway.get(f"/executions/{body['execution_id']}/trace")
    assert trace.json() == body["trace"]


async def test_a_result_over_http_can_be_verified_from_its_file_alone(gateway: Gateway) -> None:
    found = (await gateway.execute("portfolio_overview", portfolio_id=str(GROWTH.id), asof="2005-06-30")).json()
    checked = verify(found)
    assert checked.findings == () and checked.steps > 5


@pytest.mark.parametrize("value", ["1e400", "-1e400", "NaN", '"\\ud800"', str(2**60)])
async def test_inputs_that_would_not_arrive_as_they_are_are_refused(gateway: Gateway, value: str) -> None:
    body = f'{{"pattern_id":"echo","inputs":{{"value":{value}}}}}'
    headers = gateway.headers() | {"Content-Type": "application/json"}
    found = problem(await gateway.client.post("/execute", content=body, headers=headers), 422, "INVALID_INPUT")
    assert [fault["pointer"] for fault in found["errors"]] == ["/inputs"]


async def test_security_headers_are_on_every_answer(gateway: Gateway) -> None:
    for found in (
        await gateway.client.get("/health"),
        await gateway.client.get("/nowhere"),
        await gateway.execute("x"),
    ):
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["content-security-policy"].startswith("default-src 'none'")
        assert found.headers["cache-control"] == "no-store" and found.headers["x-request-id"]
        assert "server" not in found.headers


async def test_what_is_not_there_is_404(gateway: Gateway) -> None:
    problem(await gateway.execute("no_such_pattern"), 404, "UNKNOWN_PATTERN")
    problem(await gateway.execute("portfolio_overview", portfolio_id=str(uuid4())), 404, "UNKNOWN_PORTFOLIO")
    problem(await gateway.execute("portfolio_overview", portfolio_id=str(GLOBAL.id)), 404, "UNKNOWN_PORTFOLIO")
    old = await gateway.execute("portfolio_overview", portfolio_id=str(GROWTH.id), asof="1999-03-01")
    problem(old, 404, "NO_PACK")
    problem(await gateway.get(f"/executions/{uuid4()}"), 404, "UNKNOWN_EXECUTION")
    problem(await gateway.get(f"/artifacts/{'0' * 64}"), 404, "ARTIFACT_NOT_FOUND")
    problem(await gateway.get("/patterns/none"), 404, "UNKNOWN_PATTERN")
    problem(await gateway.get(f"/packs/{uuid4()}"), 404, "UNKNOWN_PACK")
    problem(await gateway.get("/nowhere"), 404, "NOT_FOUND")


async def test_faulty_requests_name_every_place(gateway: Gateway) -> None:
    body = problem(await gateway.execute("echo", inputs={"value": -1, "more": 2}), 422, "INVALID_INPUT")
    assert {fault["pointer"] for fault in body["errors"]} == {"/inputs/value", "/inputs/more"}
    assert body["execution_status"] == "rejected" and body["execution_id"]
    sent = {"portfolio_id": "no uuid", "asof": "yesterday", "gate": {"policy": "hope"}, "unknown": 1}
    body = problem(await gateway.execute("echo", **sent), 422, "INVALID_REQUEST")
    assert {f["pointer"] for f in body["errors"]} == {"/portfolio_id", "/asof", "/gate/policy", "/unknown"}
    body = problem(await gateway.execute("portfolio_overview"), 422, "INVALID_INPUT")
    assert [fault["pointer"] for fault in body["errors"]] == ["/portfolio_id"]


@pytest.mark.parametrize(
    "content", [b"{", b"", b"\xff\xfe", b"[" * 10_000, b'{"pattern_id": NaN}', b"null", b"[]", b'"x"']
)
async def test_what_is_no_body_is_refused(gateway: Gateway, content: bytes) -> None:
    headers = {**gateway.headers(), "Content-Type": "application/json"}
    found = await gateway.client.post("/execute", content=content, headers=headers)
    assert found.status_code in (400, 422), found.text
    problem(found, found.status_code, "MALFORMED_BODY" if found.status_code == 400 else "INVALID_REQUEST")


async def test_a_body_beyond_the_limit_is_413(gateway: Gateway) -> None:
    problem(await gateway.execute("echo", inputs={"value": "x" * 300_000}), 413, "PAYLOAD_TOO_LARGE")

    async def chunks() -> Any:
        for _ in range(300):
            yield b" " * 1024

    headers = {**gateway.headers(), "Content-Type": "application/json"}
    found = await gateway.client.post("/execute", content=chunks(), headers=headers)
    problem(found, 413, "PAYLOAD_TOO_LARGE")


async def test_errors_of_agents_keep_their_codes_and_their_secrets(gateway: Gateway) -> None:
    found = await gateway.execute("failing", inputs={"code": "MISSING_PRICE"})
    assert problem(found, 422, "MISSING_PRICE")["execution_status"] == "failed"
    found = await gateway.execute("failing", inputs={"code": "AGENT_UNAVAILABLE", "retryable": True})
    problem(found, 503, "AGENT_UNAVAILABLE")
    assert found.headers["retry-after"] == "7"
    found = await gateway.execute("crashing")
    problem(found, 500, "INTERNAL")
    assert "secret" not in found.text and "ZeroDivision" not in found.text


async def test_a_repeated_request_is_one_execution(gateway: Gateway) -> None:
    name = new_id()
    first = await gateway.execute("echo", inputs={"value": 5}, request_id=name)
    assert first.status_code == 200 and "idempotent-replayed" not in first.headers
    again = await gateway.execute("echo", inputs={"value": 5}, headers={"Idempotency-Key": name})
    assert again.json() == first.json() and again.headers["idempotent-replayed"] == "true"
    body = problem(await gateway.execute("echo", inputs={"value": 6}, request_id=name), 409, "REQUEST_CONFLICT")
    assert body["execution_id"] == first.json()["execution_id"]
    problem(await gateway.execute("echo", request_id=name, who={"user_id": BOB}), 409, "REQUEST_CONFLICT")
    elsewhere = await gateway.execute("echo", request_id=name, who={"tenant": "acme", "user_id": ACME_USER})
    assert elsewhere.status_code == 200
    assert elsewhere.json()["execution_id"] != first.json()["execution_id"]
    problem(
        await gateway.execute("echo", request_id=name, headers={"Idempotency-Key": "other"}), 422, "INVALID_REQUEST"
    )


async def test_the_same_request_at_once_is_one_execution(gateway: Gateway) -> None:
    name = new_id()
    found = await asyncio.gather(*(gateway.execute("slow", inputs={"seconds": 0.3}, request_id=name) for _ in range(8)))
    assert [each.status_code for each in found] == [200] * 8
    assert len({each.text for each in found}) == 1


async def test_what_outlasts_the_wait_is_202_and_goes_on(gateway: Gateway) -> None:
    found = await gateway.execute("slow", inputs={"seconds": 1.5}, headers={"Prefer": "wait=0"})
    assert found.status_code == 202 and found.headers["preference-applied"] == "wait=0"
    where = found.headers["location"]
    status = (await gateway.get(where)).json()
    assert status["status"] in ("submitted", "running") and status["waits_for"]
    running = await gateway.until(where, lambda r: r.json()["status"] == "running")
    steps = {step["name"]: step["status"] for step in running.json()["steps"]}
    assert steps.keys() == {"first", "slept"}
    assert (await gateway.get(f"{where}/result")).status_code == 202
    assert (await gateway.get(f"{where}/trace")).status_code == 202
    done = await gateway.until(f"{where}/result", lambda r: r.status_code != 202)
    assert done.status_code == 200 and done.json()["data"] == {"slept": 1.5}
    ended = (await gateway.get(where)).json()
    assert ended["status"] == "succeeded" and ended["waits_for"] is None


async def test_respond_async(gateway: Gateway) -> None:
    name = new_id()
    options = {"inputs": {"value": 3}, "request_id": name, "headers": {"Prefer": "respond-async"}}
    found = await gateway.execute("echo", **options)
    assert found.status_code == 202 and found.headers["preference-applied"] == "respond-async"
    where = found.headers["location"]
    await gateway.until(f"{where}/result", lambda r: r.status_code == 200)
    # Asked again, the result is there already.
    again = await gateway.execute("echo", **options)
    assert again.status_code == 200 and again.json()["data"] == {"answer": 3}


async def test_cancel(gateway: Gateway) -> None:
    found = await gateway.execute("slow", inputs={"seconds": 15}, headers={"Prefer": "respond-async"})
    where = found.headers["location"]
    assert (await gateway.delete(where, who={"user_id": BOB})).status_code == 404
    assert (await gateway.delete(where)).status_code == 202
    ended = await gateway.until(where, lambda r: r.json()["status"] not in ("submitted", "running"))
    assert ended.json()["status"] == "cancelled"
    assert (await gateway.delete(where)).status_code == 200
    result = await gateway.until(f"{where}/result", lambda r: r.status_code != 202)
    problem(result, 409, "CANCELLED")


async def test_outputs_in_the_artifact_store_come_whole(gateway: Gateway) -> None:
    found = await gateway.execute("large", inputs={"size": 1_500_000})
    assert found.status_code == 200, found.text[:500]
    assert len(found.json()["data"]["answer"]) == 1_500_000 and found.json()["refs"] == {}
    step = next(step for step in found.json()["trace"]["steps"] if step["as"] == "answer")
    artifact = await gateway.get(f"/artifacts/{step['output_digest']}")
    assert artifact.status_code == 200 and artifact.headers["etag"]
    kept = await gateway.get(f"/artifacts/{step['output_digest']}", headers={"If-None-Match": artifact.headers["etag"]})
    assert kept.status_code == 304
    other = await gateway.get(f"/artifacts/{step['output_digest']}", who={"tenant": "acme", "user_id": ACME_USER})
    problem(other, 404, "ARTIFACT_NOT_FOUND")


async def test_a_warming_pack_is_503_with_a_time_to_come_back(gateway: Gateway) -> None:
    owner = await open_pool(gateway.settings.postgres_admin_url(), size_max=1, allow_bypass=True)
    try:
        writer = PackWriter(owner)
        day = date(2006, 1, 3)
        warming = (await writer.create(POLICY, day, datetime.now(UTC))).pack_id
    finally:
        await owner.close()
    asked = {"portfolio_id": str(GROWTH.id), "asof": day.isoformat()}
    found = await gateway.execute("portfolio_overview", **asked)
    problem(found, 503, "PACK_WARMING")
    assert int(found.headers["retry-after"]) >= 1
    stale = await gateway.execute("portfolio_overview", **asked, gate={"policy": "serve_stale"})
    assert stale.status_code == 200 and stale.json()["trace"]["stale"] is True
    waiting = await gateway.execute(
        "portfolio_overview", **asked, gate={"policy": "wait", "wait_s": 60}, headers={"Prefer": "respond-async"}
    )
    where = waiting.headers["location"]
    status = await gateway.until(where, lambda r: r.json()["status"] == "waiting_for_pack")
    waits_for = status.json()["waits_for"]
    assert str(warming) in waits_for and "nyse-close of " in waits_for
    pack = (await gateway.get(f"/packs/{warming}")).json()
    assert (pack["status"], pack["waiting"]) == ("warming", 1)
    assert (await gateway.get(f"/packs/{warming}", who={"user_id": BOB})).json()["waiting"] == 0
    by_id = await gateway.execute(
        "portfolio_overview",
        portfolio_id=str(GROWTH.id),
        pack_id=str(warming),
        gate={"policy": "wait", "wait_s": 60},
        headers={"Prefer": "respond-async"},
    )
    await gateway.until(by_id.headers["location"], lambda r: r.json()["status"] == "waiting_for_pack")
    async with fresh_revision(gateway, day) as revision:
        ended = await gateway.until(f"{where}/result", lambda r: r.status_code != 202)
        assert ended.json()["status"] == "succeeded", "any revision of the day will do"
        assert ended.json()["trace"]["pricing_pack_id"] == str(revision) != str(warming)
        still = (await gateway.get(by_id.headers["location"])).json()
        assert still["status"] == "waiting_for_pack", "this one asked for a pack by its id"
    await gateway.delete(by_id.headers["location"])


@asynccontextmanager
async def fresh_revision(gateway: Gateway, day: date) -> AsyncIterator[UUID]:
    """Freeze another revision of a day with the content of the last pack before it; withdraw it at the end."""
    owner = await open_pool(gateway.settings.postgres_admin_url(), size_max=1, allow_bypass=True)
    try:
        writer, packs = PackWriter(owner), PackRepository(owner)
        content = await packs.content_before(POLICY, day)
        assert content is not None
        pack = await writer.create(POLICY, day, datetime.now(UTC))
        await writer.load_rows(pack.pack_id, content)
        await packs.freeze(pack.pack_id, None, datetime.now(UTC))
        yield pack.pack_id
        await writer.supersede(pack.pack_id)
    finally:
        await owner.close()
