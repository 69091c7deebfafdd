"""A whole system behind a gateway: worker processes on the session's services, two years of packs, two tenants."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from db.portfolios import PortfolioRepository
from db.postgres import open_pool
from local.data_dir import DataDir
from local.embedded import Addresses
from local.state import running_state
from services import demo_data
from services.tokens import Role, demo_token
from settings import load_settings
from tests.gateway.collector import Collector, collecting
from tests.gateway.system import PATTERNS, Gateway
from tests.services import DatabaseMaker
from tests.services_tests.conftest import _demo_schema

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
_PATIENCE_S = 180.0


# It ends with this folder's tests: a system that idles through all others takes a tenth of a core from them.
@pytest.fixture(scope="package")
async def gateway(
    services: Addresses, database_maker: DatabaseMaker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    with collecting() as collector:
        folder = tmp_path_factory.mktemp("gateway")
        async with running(services, database_maker, folder, collector) as system:
            yield system


@asynccontextmanager
async def running(
    services: Addresses, database_maker: DatabaseMaker, folder: Path, collector: Collector
) -> AsyncIterator[Gateway]:
    database = await database_maker.make(_demo_schema, "services-packs")
    state = folder / "state"
    patterns = folder / "patterns"
    patterns.mkdir()
    for name, source in PATTERNS.items():
        (patterns / f"{name}.json").write_bytes(source)
    shutil.copy(EXAMPLES / "restricted.json", patterns)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAWSOS_")}
    environment = {
        **inherited,
        "DAWSOS_KAFKA": services.kafka,
        "DAWSOS_POSTGRES": database.url,
        "DAWSOS_POSTGRES_ADMIN": database.admin_url,
        "DAWSOS_REDIS": services.redis,
        "DAWSOS_TOPIC_PREFIX": f"{folder.name}-{os.getpid()}.",
        "DAWSOS_DATA_DIR": str(state),
        "DAWSOS_PATTERNS": str(patterns),
        "DAWSOS_AGENTS": "tests.gateway.system:Steered",
        "DAWSOS_CATALOGUES": str(EXAMPLES / "plain_agent.json"),
        "DAWSOS_PARTITIONS": "4",
        "DAWSOS_RATE_USER_PER_S": "500",
        "DAWSOS_REQUEST_BYTES_MAX": "200000",
        "DAWSOS_OTEL_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "PYTHONPATH": str(ROOT),
    }
    await _command(environment, "up", "--detach")
    try:
        found = running_state(DataDir(state))
        assert found is not None and found.gateway is not None
        settings = load_settings(
            _env_file=None,
            topic_prefix=environment["DAWSOS_TOPIC_PREFIX"],
            data_dir=state,
            partitions=4,
            patterns=str(patterns),
            agents="tests.gateway.system:Steered",
            catalogues=environment["DAWSOS_CATALOGUES"],
            kafka=services.kafka,
            postgres=database.url,
            postgres_admin=database.admin_url,
            redis=services.redis,
        )
        demo_data.write_ledgers(state / "ledger.git")
        pool = await open_pool(database.url, size_max=2)
        try:
            portfolios = PortfolioRepository(pool)
            for portfolio in demo_data.PORTFOLIOS:
                await portfolios.put(demo_data.TENANT, portfolio.user_id, demo_data.stored(portfolio))
        finally:
            await pool.close()

        def token(tenant: str, user_id: UUID, role: Role) -> str:
            return demo_token(settings, tenant, user_id, role, 3600)

        async with httpx.AsyncClient(base_url=found.gateway, timeout=60) as client:
            yield Gateway(settings, environment, found.gateway, client, token, collector)
    finally:
        await _command(environment, "down")


async def _command(environment: dict[str, str], *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    _, err = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
    assert process.returncode == 0, err.decode()
