"""A worker dies between the commit of an effect and its answer; whoever gets the request next has no second effect."""

import asyncio
import os
import signal
import sys
import time
from uuid import UUID, uuid4

import pytest

from db.postgres import open_pool, tenant_transaction
from services.composition import build_runtime_postgres
from settings import load_settings
from tests.services import Database
from tests.services_tests.clerk import AGENT
from topics.codec import encode
from topics.messages import CapabilityRequest

pytestmark = pytest.mark.integration

TENANT, USER = "acme", UUID(int=3)


def request() -> CapabilityRequest:
    execution_id = str(uuid4())
    return CapabilityRequest(
        execution_id=execution_id,
        tenant=TENANT,
        user_id=USER,
        step_id="book",
        attempt=1,
        capability="clerk.book",
        version=1,
        args={"text": "a hundred shares"},
        deadline_at_ms=int(time.time() * 1000) + 60_000,
        idempotency_key=f"{execution_id}/book",
    )


async def test_an_effect_whose_worker_died_before_it_answered_happens_once(
    pack_database: Database, redis_url: str
) -> None:
    settings = load_settings(_env_file=None, postgres=pack_database.url, redis=redis_url, agents=AGENT)
    asked = request()
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.services_tests.clerk",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **settings.environment(), "DIE_AFTER_COMMIT": "1"},
    )
    out, _ = await asyncio.wait_for(worker.communicate(encode(asked)), 60)
    assert (worker.returncode, out) == (-signal.SIGKILL, b"")
    pool = await open_pool(settings.postgres_url())
    try:
        runtime = build_runtime_postgres(pool, None, None, settings)
        # Delivered again to two workers at once, and tried again after its time was up.
        again = [asked, asked, asked.model_copy(update={"attempt": 2})]
        answers = await asyncio.gather(*map(runtime.handle, again))
        other = await runtime.handle(request())
        async with tenant_transaction(pool, TENANT, USER) as connection:
            written = [row["sha256"] for row in await connection.fetch("SELECT sha256 FROM artifacts")]
    finally:
        await pool.close()
    assert all(answer.error is None for answer in answers), answers[0].error
    (name,) = {answer.value for answer in answers}
    assert sorted(written) == sorted([name, other.value])
