"""`dawsos executions why|cancel|rerun`, `topics plan|verify|acls` and `token` against a running system."""

import asyncio
import json
import sys
from uuid import uuid4

import pytest

from tests.gateway.conftest import ROOT
from tests.gateway.system import Gateway

pytestmark = pytest.mark.integration


async def dawsos(gateway: Gateway, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=gateway.environment,
        cwd=ROOT,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_why_cancel_and_rerun(gateway: Gateway) -> None:
    started = await gateway.execute("slow", inputs={"seconds": 100}, headers={"Prefer": "respond-async"})
    name = started.json()["execution_id"]
    await gateway.until(started.headers["location"], lambda r: r.json()["status"] == "running")
    code, out, err = await dawsos(gateway, "executions", "why", name)
    assert code == 0 and out.startswith("running: waits for agent steered"), err
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


async def test_topics_and_token(gateway: Gateway) -> None:
    code, out, err = await dawsos(gateway, "topics", "plan", "--json")
    assert (code, json.loads(out)) == (0, []), err
    code, out, err = await dawsos(gateway, "topics", "verify", "--json")
    assert code == 0 and json.loads(out)["faults"] == [], err
    code, out, err = await dawsos(gateway, "token", "--role", "operator")
    assert code == 0, err
    found = await gateway.client.get("/dead-letters", headers={"Authorization": f"Bearer {out.strip()}"})
    assert found.status_code == 200
