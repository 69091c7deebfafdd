"""Checking, recomputing and comparing over HTTP; announcing packs."""

import asyncio
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from db.pack_content import PackContent, RateRow
from db.pack_writer import PackWriter
from db.postgres import open_pool
from gateway.problems import Problem
from gateway.recomputation import Recomputer
from services.tokens import Principal, Role
from tests.gateway.system import GROWTH, Gateway
from tests.gateway.test_execute import problem

pytestmark = pytest.mark.integration

DAY = date(2030, 1, 4)
OPERATOR = {"role": Role.OPERATOR}


async def _stored(gateway: Gateway, asof: str) -> str:
    run = await gateway.execute("portfolio_overview", portfolio_id=str(GROWTH.id), asof=asof)
    assert run.status_code == 200, run.text
    execution_id = run.json()["execution_id"]
    await gateway.until(f"/executions/{execution_id}/result", lambda r: r.status_code == 200)
    return execution_id


async def _replay(gateway: Gateway, execution_id: str) -> Any:
    return await gateway.client.post(f"/executions/{execution_id}/replay", headers=gateway.headers(), timeout=90)


async def test_a_result_is_checked_recomputed_and_compared(gateway: Gateway) -> None:
    first, second = await _stored(gateway, "2005-12-30"), await _stored(gateway, "2005-06-30")
    checked = (await gateway.get(f"/executions/{first}/verification")).json()
    assert checked["sound"] and checked["findings"] == [] and checked["figures"] >= 4
    made = (await _replay(gateway, first)).json()
    assert made["outcome"] == "same" and made["recomputed_digest"] == made["digest"] == checked["digest"]
    assert {step["verdict"] for step in made["steps"]} <= {"same", "stored"} and len(made["steps"]) >= 6
    found = (await gateway.get(f"/executions/{first}/diff/{second}")).json()
    assert not found["same"] and [cause["id"] for cause in found["causes"]] == ["pin:pack"]
    total = next(each for each in found["figures"] if each["pointer"] == "/data/perf_metrics/total_value")
    assert total["causes"] == ["pin:pack"] and total["step_id"] == "perf_metrics"
    assert (await gateway.get(f"/executions/{first}/diff/{first}")).json()["same"]


async def test_what_is_under_way_can_only_be_waited_for(gateway: Gateway) -> None:
    done = await _stored(gateway, "2005-12-30")
    slow = await gateway.execute("slow", inputs={"seconds": 100}, headers={"Prefer": "respond-async"})
    path = slow.headers["location"]
    await gateway.until(path, lambda r: r.json()["status"] == "running")
    for answer in (
        await gateway.get(f"{path}/verification"),
        await _replay(gateway, slow.json()["execution_id"]),
        await gateway.get(f"/executions/{done}/diff/{slow.json()['execution_id']}"),
    ):
        assert answer.status_code == 202 and answer.headers["location"] == path and "retry-after" in answer.headers
    await gateway.delete(path)


async def test_a_pipeline_announces_a_pack(gateway: Gateway) -> None:
    owner = await open_pool(gateway.settings.postgres_admin_url(), size_max=1, allow_bypass=True)
    try:
        packs = PackWriter(owner)
        await packs.set_calendar("TEST", DAY, DAY, [DAY])
        await packs.set_policy("announced", "TEST")
        pack = await packs.create("announced", DAY, datetime.now(UTC))
        content = PackContent((), (RateRow("EUR", "USD", Decimal("1.1"), DAY, "ecb"),))
        await packs.load_rows(pack.pack_id, content)
    finally:
        await owner.close()
    body = {
        "pack_id": str(pack.pack_id),
        "policy": "announced",
        "asof_date": DAY.isoformat(),
        "revision": 1,
        "content_sha256": content.sha256(),
    }

    async def announce(**changes: Any) -> Any:
        return await gateway.client.post("/packs", json={**body, **changes}, headers=gateway.headers(**OPERATOR))

    path = f"/packs/{pack.pack_id}"
    problem(await announce(revision=2), 422, "INVALID_REQUEST")
    problem(await announce(pack_id=str(GROWTH.id)), 404, "UNKNOWN_PACK")
    problem(await announce(content_sha256="x"), 422, "INVALID_REQUEST")
    taken = await announce()
    assert (taken.status_code, taken.headers["location"]) == (202, path), taken.text
    fresh = await gateway.until(path, lambda r: r.json()["status"] != "warming")
    assert (fresh.json()["status"], fresh.json()["content_sha256"]) == ("fresh", content.sha256())
    again = await announce()
    assert (again.status_code, again.json()) == (200, fresh.json())
    problem(await announce(content_sha256="0" * 64), 422, "INVALID_REQUEST")


async def test_work_takes_turns_beside_the_event_loop(gateway: Gateway) -> None:
    recomputer, go = Recomputer(gateway.settings, asyncio.Event()), threading.Event()

    async def blocked(_: Any) -> int:
        assert go.wait(30)
        return threading.get_ident()

    users = [Principal("acme", UUID(int=number), Role.VIEWER, "", 0.0) for number in range(5)]
    waiting = [asyncio.create_task(recomputer.run(user, blocked)) for user in users[:4] for _ in range(4)]
    await asyncio.sleep(0)
    for user, code in ((users[0], "RATE_LIMITED"), (users[4], "OVERLOADED")):
        with pytest.raises(Problem, match=code):
            await recomputer.run(user, blocked)
    # This loop goes on while the other one is blocked.
    go.set()
    threads = set(await asyncio.gather(*waiting))
    assert len(threads) == 1 and threads != {threading.get_ident()}
    assert {await recomputer.run(users[0], blocked)} == threads
    recomputer.close()
