"""How long one tenant's crowd delays another tenant's single execution: `python -m bench.fairness`."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bench.steps import PATTERN_ID, USER, on_own_system
from settings import Settings
from streams.publisher import ExecutionClient
from topics.messages import ExecuteRequest

CROWD = 10_000
_TIMEOUT_S = 60.0
_SINGLES = 5


def _request(tenant: str) -> ExecuteRequest:
    return ExecuteRequest(
        tenant=tenant,
        request_id=uuid4().hex,
        user_id=USER,
        pattern_id=PATTERN_ID,
        deadline_s=300.0,
        submitted_at=datetime.now(UTC),
    )


async def measure(settings: Settings, crowd: int = CROWD) -> dict[str, Any]:
    """Submit a crowd of one tenant, then at once and every second single executions of another.

    Returns:
        `crowd`, `submitted_s` (what submitting took) and `singles_s`, what each single one took end to end.
    """
    async with ExecutionClient(settings, "bench") as client:
        await client.execute(_request("single"), _TIMEOUT_S)
        begun = time.perf_counter()
        for start in range(0, crowd, 500):
            await asyncio.gather(*(client.submit(_request("crowd")) for _ in range(min(500, crowd - start))))
        submitted_s = time.perf_counter() - begun

        async def single(after_s: float) -> float:
            await asyncio.sleep(after_s)
            asked = time.perf_counter()
            await client.execute(_request("single"), _TIMEOUT_S)
            return round(time.perf_counter() - asked, 3)

        singles = await asyncio.gather(*(single(float(number)) for number in range(_SINGLES)))
    return {"crowd": crowd, "submitted_s": round(submitted_s, 2), "singles_s": singles}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(on_own_system(measure)) + "\n")
