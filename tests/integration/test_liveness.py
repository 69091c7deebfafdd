"""Workers that no longer work, though their processes live, are started again by the supervisor."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from local.embedded import Addresses
from tests.integration.conftest import Instance, instance_up
from tests.services import DatabaseMaker

pytestmark = pytest.mark.integration


def pattern(name: str, capability: str) -> str:
    return json.dumps(
        {
            "id": name,
            "name": name,
            "description": "For tests.",
            "category": "analysis",
            "inputs": {},
            "steps": [{"capability": capability, "as": "answer", "args": {}}],
            "outputs": ["answer"],
        }
    )


async def parts(instance: Instance) -> dict[str, dict[str, Any]]:
    ended = await instance.dawsos("status", "--json")
    return {part["name"]: part for part in json.loads(ended.out)["parts"]}


@pytest.mark.timeout(240)
async def test_a_blocked_and_a_stopped_worker_are_started_again(
    services: Addresses, database_maker: DatabaseMaker, tmp_path: Path
) -> None:
    patterns = tmp_path / "patterns" / "analysis"
    patterns.mkdir(parents=True)
    (patterns / "block.json").write_text(pattern("block", "frozen.block"))
    (patterns / "answer.json").write_text(pattern("answer", "frozen.answer"))
    environment = {
        "DAWSOS_AGENTS": "tests.integration.frozen:Frozen",
        "DAWSOS_PATTERNS": str(tmp_path / "patterns"),
    }
    async with instance_up(services, database_maker, tmp_path, **environment) as instance:
        before = await parts(instance)
        assert all(before[name]["live"] is True for name in ("orchestrator", "agents", "projector"))
        begun = time.monotonic()
        os.kill(before["projector"]["pid"], signal.SIGSTOP)
        blocked = await instance.dawsos("run", "block", "--json", "--deadline", "20")
        assert blocked.code in (4, 5), blocked.err
        while True:
            now = await parts(instance)
            again = [name for name in ("agents", "projector") if now[name]["restarts"] and now[name]["live"]]
            if len(again) == 2:
                break
            assert time.monotonic() - begun < 90, now
            await asyncio.sleep(1)
        # The request that blocked the agents is redelivered, and not tried again: its deadline has passed.
        assert {name: now[name]["restarts"] for name in now} == {**dict.fromkeys(now, 0), "agents": 1, "projector": 1}
        works = await instance.dawsos("run", "answer", "--json")
        assert works.code == 0 and json.loads(works.out)["data"] == {"answer": 42}, works.out
        assert (await parts(instance))["agents"]["restarts"] == 1
        log = (Path(instance.environment["DAWSOS_DATA_DIR"]) / "log" / "supervisor.log").read_text()
        assert "agents         is stuck: the event loop has been blocked" in log
        assert "projector      is stuck: its health endpoint did not answer 3 times" in log
