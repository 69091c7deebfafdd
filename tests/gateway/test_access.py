"""Every endpoint × role × tenant: who gets in, and that nobody sees what is another's."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from db.rate_limit import Limit, RateLimit
from db.redis_link import RedisLink
from services.tokens import Role
from tests.gateway.system import ACME_USER, ALICE, BOB, GROWTH, Gateway, new_id
from tests.gateway.test_execute import problem

pytestmark = pytest.mark.integration

OPEN = {
    ("get", "/health"): 200,
    ("get", "/ready"): 200,
    ("get", "/metrics"): 200,
    ("get", "/errors"): 200,
    ("get", "/errors/{code}"): 200,
    # Who has no token yet logs in here; without a code it is refused.
    ("post", "/console/sessions"): 422,
}
# Endpoint → (least role, status for the owner).
GUARDED: dict[tuple[str, str], tuple[Role, int]] = {
    ("post", "/execute"): (Role.VIEWER, 200),
    ("get", "/executions"): (Role.VIEWER, 200),
    ("get", "/executions/{execution_id}"): (Role.VIEWER, 200),
    ("get", "/executions/{execution_id}/result"): (Role.VIEWER, 200),
    ("get", "/executions/{execution_id}/trace"): (Role.VIEWER, 200),
    ("get", "/executions/{execution_id}/events"): (Role.VIEWER, 200),
    ("get", "/executions/{execution_id}/verification"): (Role.VIEWER, 200),
    ("post", "/executions/{execution_id}/replay"): (Role.VIEWER, 200),
    ("get", "/executions/{execution_id}/diff/{other_id}"): (Role.VIEWER, 200),
    ("delete", "/executions/{execution_id}"): (Role.VIEWER, 200),
    ("get", "/patterns"): (Role.VIEWER, 200),
    ("get", "/patterns/{pattern_id}"): (Role.VIEWER, 200),
    ("get", "/capabilities"): (Role.VIEWER, 200),
    ("get", "/circuits"): (Role.VIEWER, 200),
    ("post", "/ws-tickets"): (Role.VIEWER, 201),
    ("get", "/packs"): (Role.VIEWER, 200),
    ("get", "/packs/{pack_id}"): (Role.VIEWER, 200),
    ("post", "/packs"): (Role.OPERATOR, 200),
    ("get", "/portfolios"): (Role.VIEWER, 200),
    ("get", "/artifacts/{sha256}"): (Role.VIEWER, 200),
    ("get", "/dead-letters"): (Role.OPERATOR, 200),
    ("get", "/dead-letters/{letter_id}"): (Role.OPERATOR, 200),
    ("post", "/dead-letters/{letter_id}/redrive"): (Role.OPERATOR, 200),
}
# What belongs to one user, or to one tenant: to others it does not exist.
OF_USER = {route for route in GUARDED if "{execution_id}" in route[1]}
OF_TENANT = {("get", "/artifacts/{sha256}"), *(route for route in GUARDED if "{letter_id}" in route[1])}
# Everybody's data, which one tenant may change.
OF_PIPELINE = {("post", "/packs")}
WHO: dict[str, dict[str, Any]] = {
    "owner": {"tenant": "demo", "user_id": ALICE},
    "colleague": {"tenant": "demo", "user_id": BOB},
    "same user id, other tenant": {"tenant": "acme", "user_id": ALICE},
    "other tenant": {"tenant": "acme", "user_id": ACME_USER},
}


@pytest.fixture(scope="module")
async def mine(gateway: Gateway) -> dict[str, str]:
    """Things of Alice, to be put into addresses."""
    done = await gateway.execute("large", inputs={"size": 500_000})
    body = done.json()
    step = next(step for step in body["trace"]["steps"] if step["as"] == "answer")
    await gateway.until(f"/executions/{body['execution_id']}/result", lambda r: r.status_code == 200)
    pack = (await gateway.get("/packs?limit=1&status=fresh")).json()["packs"][0]
    return {
        "execution_id": body["execution_id"],
        "other_id": body["execution_id"],
        "sha256": step["output_digest"],
        **{name: str(pack[name]) for name in ("pack_id", "policy", "asof_date", "revision", "content_sha256")},
        "pattern_id": "echo",
        "code": "NO_PACK",
        "letter_id": str(await _letter(gateway)),
    }


async def _letter(gateway: Gateway) -> int:
    """Make a dead letter of the tenant demo, with its name in the reason, and return its number."""
    from streams.clients import start_producer, topic_name
    from topics.table import EXECUTION_REQUESTS

    producer = await start_producer(gateway.settings, "test")
    try:
        topic = topic_name(gateway.settings, EXECUTION_REQUESTS)
        await producer.send_and_wait(
            topic, b'{"type":"ExecuteRequest","v":99,"tenant":"demo","secret":"of demo"}', b"x"
        )
    finally:
        await producer.stop()
    operator = {"role": Role.OPERATOR}
    found = await gateway.until("/dead-letters", lambda r: len(r.json()["dead_letters"]) > 0, who=operator)
    return found.json()["dead_letters"][0]["id"]


async def send(
    gateway: Gateway, route: tuple[str, str], mine: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    method, path = route
    options: dict[str, Any] = {"headers": headers}
    if path == "/execute":
        options["json"] = {"pattern_id": "echo"}
    elif route == ("post", "/packs"):
        names = ("pack_id", "policy", "asof_date", "revision", "content_sha256")
        options["json"] = {name: mine[name] for name in names}
    return await gateway.client.request(method, path.format(**mine), **options)


async def test_the_table_has_every_endpoint(gateway: Gateway) -> None:
    document = (await gateway.client.get("/openapi.json")).json()
    found = {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "delete", "put")
    }
    assert found == OPEN.keys() | GUARDED.keys()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert bool(operation.get("security")) == ((method, path) in GUARDED), (method, path)


@pytest.mark.parametrize("route", OPEN, ids=str)
async def test_health_needs_no_token_and_names_nobody(
    gateway: Gateway, mine: dict[str, str], route: tuple[str, str]
) -> None:
    found = await send(gateway, route, mine, {})
    assert found.status_code == OPEN[route]
    for secret in ("demo", "acme", str(ALICE), mine["execution_id"], "postgresql://", "password"):
        assert secret not in found.text


@pytest.mark.parametrize("route", GUARDED, ids=str)
async def test_roles_and_tenants(gateway: Gateway, mine: dict[str, str], route: tuple[str, str]) -> None:
    problem(await send(gateway, route, mine, {}), 401, "UNAUTHENTICATED")
    problem(await send(gateway, route, mine, {"Authorization": "Basic YTpi"}), 401, "UNAUTHENTICATED")
    problem(await send(gateway, route, mine, {"Authorization": "Bearer x.y.z"}), 401, "UNAUTHENTICATED")
    least, status = GUARDED[route]
    for name, who in WHO.items():
        for role in Role:
            found = await send(gateway, route, mine, gateway.headers(**who, role=role))
            context = f"{route} {name} {role}: {found.status_code} {found.text[:300]}"
            sees = (route not in OF_USER or name == "owner") and (route not in OF_TENANT or who["tenant"] == "demo")
            if not role.covers(least) or (route in OF_PIPELINE and who["tenant"] != "demo"):
                assert found.status_code == 403, context
            elif not sees:
                assert found.status_code == 404, context
            else:
                assert found.status_code == status, context
            if not role.covers(least) or not sees:
                assert "of demo" not in found.text and found.headers["content-type"] == "application/problem+json"


async def test_lists_hold_only_what_is_ones_own(gateway: Gateway, mine: dict[str, str]) -> None:
    for name, who in WHO.items():
        listed = (await gateway.get("/executions", who=who)).json()["executions"]
        ids = {each["execution_id"] for each in listed}
        assert (mine["execution_id"] in ids) == (name == "owner")
        portfolios = {each["portfolio_id"] for each in (await gateway.get("/portfolios", who=who)).json()["portfolios"]}
        assert (str(GROWTH.id) in portfolios) == (name == "owner")
    for role in (Role.OPERATOR, Role.ADMIN):
        who = {"tenant": "acme", "user_id": ACME_USER, "role": role}
        assert (await gateway.get("/dead-letters", who=who)).json()["dead_letters"] == []


async def test_workflows_are_for_operators(gateway: Gateway) -> None:
    inputs = {"policy": "nobody's", "asof": "2005-06-30"}
    problem(await gateway.execute("pack_build", inputs=inputs), 403, "FORBIDDEN")
    for role in (Role.OPERATOR, Role.ADMIN):
        found = await gateway.execute("pack_build", inputs=inputs, who={"role": role})
        assert found.status_code not in (200, 403) and "nobody's" in found.json()["detail"]


async def test_a_tenant_in_the_body_is_no_tenant(gateway: Gateway) -> None:
    for field in ("tenant", "user_id", "submitted_at", "execution_id"):
        body = problem(await gateway.execute("echo", **{field: str(UUID(int=1))}), 422, "INVALID_REQUEST")
        assert [fault["pointer"] for fault in body["errors"]] == [f"/{field}"]


async def test_results_cached_for_one_are_not_anothers(gateway: Gateway) -> None:
    asked = {"portfolio_id": str(GROWTH.id), "asof": "2005-03-31"}
    assert (await gateway.execute("portfolio_overview", **asked)).status_code == 200
    for name in ("colleague", "other tenant", "same user id, other tenant"):
        problem(await gateway.execute("portfolio_overview", **asked, who=WHO[name]), 404, "UNKNOWN_PORTFOLIO")


async def test_too_many_requests_are_429_for_that_user_alone(gateway: Gateway) -> None:
    settings = gateway.settings
    link = RedisLink(settings.redis_url())
    who = {"tenant": f"crowd-{new_id()[-8:]}", "user_id": ACME_USER}
    try:
        # One request that counts as much as a minute's.
        crowd = RateLimit(link, f"{settings.topic_prefix}dawsos.", Limit(1 / 60), Limit(1000))
        assert await crowd.wait_s(who["tenant"], str(who["user_id"])) == 0
    finally:
        await link.close()
    refused = await gateway.get("/patterns", who=who)
    problem(refused, 429, "RATE_LIMITED")
    assert 50 < int(refused.headers["retry-after"]) <= 60
    assert (await gateway.get("/patterns", who={**who, "user_id": BOB})).status_code == 200
