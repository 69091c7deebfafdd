"""`dawsos executions why|cancel|rerun`, `topics plan|verify|acls` and `token` against a running system."""

import asyncio
import json
import sys
from uuid import uuid4

import pytest

from streams.publisher import ExecutionClient
from tests.gateway.conftest import ROOT
from tests.gateway.system import ACME_USER, ALICE, BOB, Gateway
from topics.messages import CancelExecution

pytestmark = pytest.mark.integration


async def dawsos(gateway: Gateway, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=gateway.environment | environment,
        cwd=ROOT,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_why_cancel_and_rerun(gateway: Gateway) -> None:
    started = await gateway.execute("slow", inputs={"seconds": 100}, headers={"Prefer": "respond-async"})
    name = started.json()["execution_id"]
    await gateway.until(started.headers["location"], lambda r: r.json()["status"] == "running")
    (code, out, err), *shown = await asyncio.gather(
        dawsos(gateway, "executions", "why", name),
        dawsos(gateway, "executions", "show", name),
        dawsos(gateway, "executions", "show", name, "--everyone"),
    )
    assert code == 0 and out.startswith("running: waits for agent steered"), err
    for code, out, err in shown:
        assert (code, out) == (1, "") and "has no result yet: running, waits for agent steered" in err
    # What needs a result says the same of an execution that has none yet.
    refused = await asyncio.gather(
        dawsos(gateway, "executions", "rerun", name),
        dawsos(gateway, "replay", name),
        dawsos(gateway, "diff", name, name),
    )
    for code, out, err in refused:
        assert (code, out) == (1, "") and "has no result yet: running, waits for agent steered" in err
    options = ("--status", "running", "--pattern", "slow", "--newer-than", "1h", "--json")
    code, out, err = await dawsos(gateway, "executions", "list", *options)
    [live] = [each for each in json.loads(out) if each["execution_id"] == name]
    assert code == 0 and live["status"] == "running" and "steered" in live["waits_for"], err
    code, out, err = await dawsos(
        gateway, "executions", "cancel", "--all", "--pattern", "slow", "--status", "running", "--dry-run", "--json"
    )
    assert code == 0 and name in json.loads(out)["cancelled"], err
    assert (await gateway.get(started.headers["location"])).json()["status"] == "running"
    code, out, err = await dawsos(gateway, "executions", "cancel", name)
    assert code == 0 and name in out, err
    ended = await gateway.until(f"{started.headers['location']}/result", lambda r: r.status_code != 202)
    assert ended.json()["code"] == "CANCELLED"
    code, _, err = await dawsos(gateway, "executions", "cancel", name)
    assert code == 0 and f"{name} has ended already: cancelled" in err
    stranger = str(uuid4())
    code, _, err = await dawsos(gateway, "executions", "cancel", stranger)
    assert code != 0 and f"not under way for this user: {stranger}" in err
    code, _, err = await dawsos(gateway, "replay", stranger)
    assert code == 1 and f"there is no finished execution {stranger} of this user" in err
    options = ("--status", "cancelled", "--error", "CANCELLED", "--newer-than", "1h", "--json")
    code, out, err = await dawsos(gateway, "executions", "list", *options)
    assert code == 0 and name in {each["execution_id"] for each in json.loads(out)}, err
    done = (await gateway.execute("echo", inputs={"value": 41})).json()
    await gateway.until(f"/executions/{done['execution_id']}/result", lambda r: r.status_code == 200)
    code, out, err = await dawsos(gateway, "executions", "rerun", done["execution_id"], "--json")
    assert code == 0, err
    new = json.loads(out)["reruns"][0]["execution_id"]
    result = await gateway.until(f"/executions/{new}/result", lambda r: r.status_code == 200)
    assert result.json()["data"] == {"answer": 41} and new != done["execution_id"]


async def test_an_operator_sees_what_has_ended_of_everyone(gateway: Gateway) -> None:
    acme = {"tenant": "acme", "user_id": ACME_USER}
    done = (await gateway.execute("echo", inputs={"value": 7}, who=acme)).json()["execution_id"]
    await gateway.until(f"/executions/{done}/result", lambda r: r.status_code == 200, who=acme)
    without = {"DAWSOS_POSTGRES_ADMIN": gateway.settings.postgres_url()}
    listed, shown, hidden, ended, again, refused = await asyncio.gather(
        dawsos(gateway, "executions", "list", "--everyone", "--tenant", "acme", "--json"),
        dawsos(gateway, "executions", "show", done, "--everyone", "--json"),
        dawsos(gateway, "executions", "show", done),
        dawsos(gateway, "executions", "why", done, "--everyone"),
        dawsos(gateway, "executions", "rerun", done, "--everyone", "--json"),
        dawsos(gateway, "executions", "list", "--everyone", **without),
    )
    found = {each["execution_id"]: (each["tenant"], each["user_id"]) for each in json.loads(listed[1])}
    assert found[done] == ("acme", str(ACME_USER)) and {tenant for tenant, _ in found.values()} == {"acme"}
    assert shown[0] == 0 and json.loads(shown[1])["user_id"] == str(ACME_USER), shown[2]
    assert hidden[0] == 1 and "--everyone means all" in hidden[2]
    assert ended[:2] == (0, "succeeded: it has ended\n"), ended[2]
    assert refused[:2] == (2, "") and "expected its URL in DAWSOS_POSTGRES_ADMIN" in refused[2]
    new = json.loads(again[1])["reruns"][0]["execution_id"]
    result = await gateway.until(f"/executions/{new}/result", lambda r: r.status_code == 200, who=acme)
    assert result.json()["data"] == {"answer": 7}


async def test_an_operator_stops_executions_for_their_own_users(gateway: Gateway) -> None:
    acme, bob = {"tenant": "acme", "user_id": ACME_USER}, {"user_id": BOB}
    respond = {"inputs": {"seconds": 100}, "headers": {"Prefer": "respond-async"}}
    started = [(await gateway.execute("slow", who=who, **respond)).headers["location"] for who in (acme, bob)]
    for where, who in zip(started, (acme, bob), strict=True):
        await gateway.until(where, lambda r: r.json()["status"] == "running", who=who)
    theirs, bobs = (where.rpartition("/")[2] for where in started)
    options = ("--everyone", "--pattern", "slow", "--newer-than", "1h")
    live, of_acme, why, would = await asyncio.gather(
        dawsos(gateway, "executions", "list", "--live", *options, "--json"),
        dawsos(gateway, "executions", "list", "--live", *options, "--tenant", "acme"),
        dawsos(gateway, "executions", "why", theirs, "--everyone"),
        dawsos(gateway, "executions", "cancel", "--all", *options, "--dry-run", "--json"),
    )
    found = {each["execution_id"]: (each["tenant"], each["user_id"]) for each in json.loads(live[1])}
    assert found[theirs] == ("acme", str(ACME_USER)) and found[bobs] == ("demo", str(BOB))
    assert theirs in of_acme[1] and str(ACME_USER) in of_acme[1] and bobs not in of_acme[1]
    assert why[0] == 0 and why[1].startswith("running: waits for agent steered"), why[2]
    assert {theirs, bobs} <= set(json.loads(would[1])["cancelled"])
    code, _, err = await dawsos(gateway, "executions", "cancel", theirs, bobs, "--everyone")
    assert code == 0, err
    for where, who in zip(started, (acme, bob), strict=True):
        ended = await gateway.until(f"{where}/result", lambda r: r.status_code != 202, who=who)
        assert ended.json()["code"] == "CANCELLED"


async def test_a_cancel_before_its_request_is_shown_as_cancelled(gateway: Gateway) -> None:
    name = str(uuid4())
    async with ExecutionClient(gateway.settings, "test") as client:
        await client.cancel(CancelExecution(execution_id=name, tenant="demo", user_id=ALICE, reason="not needed"))
    found = await gateway.until(f"/executions/{name}", lambda r: r.status_code == 200)
    assert (found.json()["status"], found.json()["error"]) == ("cancelled", "not needed")
    async with gateway.client.stream("GET", f"/executions/{name}/events", headers=gateway.headers()) as events:
        said = [line async for line in events.aiter_lines()]
    assert "event: end" in said and '"status":"cancelled"' in "".join(said)
    code, out, err = await dawsos(gateway, "executions", "why", name)
    assert (code, out) == (0, "cancelled: not needed\n"), err
    code, out, err = await dawsos(gateway, "executions", "list", "--live", "--json")
    assert code == 0 and name not in {each["execution_id"] for each in json.loads(out)}, err


async def test_topics_and_token(gateway: Gateway) -> None:
    code, out, err = await dawsos(gateway, "topics", "plan", "--json")
    assert (code, json.loads(out)) == (0, []), err
    code, out, err = await dawsos(gateway, "topics", "verify", "--json")
    assert code == 0 and json.loads(out)["faults"] == [], err
    code, out, err = await dawsos(gateway, "token", "--role", "operator")
    assert code == 0, err
    found = await gateway.client.get("/dead-letters", headers={"Authorization": f"Bearer {out.strip()}"})
    assert found.status_code == 200
