"""Gateways as processes of their own, on the session's services, with topics and a database of the module's own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from db.migrate import migrate
from db.postgres import open_pool
from local.embedded import Addresses
from local.ports import free_port
from services.catalogue import load_catalogue
from services.tokens import Role, demo_token
from settings import Settings, load_settings
from streams.clients import start_producer, topic_name
from streams.projector import Projector
from streams.topics_admin import create_topics
from tests.services import DatabaseMaker, environment_settings
from topics.codec import encode, execution_id_of, key_of
from topics.messages import ExecutionResult, ExecutionStatus
from topics.socket import SUBPROTOCOL, TICKET_PREFIX
from topics.table import EXECUTION_RESULTS
from topics.trace import Trace

ROOT = Path(__file__).parents[2]
ALICE, BOB = UUID(int=1), UUID(int=2)
_PATIENCE_S = 60.0


class Gateway:
    """One gateway process; it can be killed and started again on its port."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.port = free_port()
        self.settings = settings.model_copy(update={"gateway_port": self.port})
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        ready = self._folder / f"gateway-{self.port}.ready"
        ready.unlink(missing_ok=True)
        with (self._folder / f"gateway-{self.port}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cli.main", "worker", "gateway",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                env={**os.environ, **self.settings.environment(), "DAWSOS_READY_FILE": str(ready)},
            )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE_S
        while not ready.exists():
            assert self._process.returncode is None and time.monotonic() < deadline, self.log()
            await asyncio.sleep(0.05)

    def log(self) -> str:
        return (self._folder / f"gateway-{self.port}.log").read_text(errors="replace")

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
        self._process = None

    def token(self, user: UUID = ALICE, tenant: str = "acme", lifetime_s: float = 600, role: Role = Role.VIEWER) -> str:
        return demo_token(self.settings, tenant, user, role, lifetime_s)

    async def ticket(self, token: str) -> str:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{self.url}/ws-tickets", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 201, answer.text
        return answer.json()["ticket"]

    @asynccontextmanager
    async def socket(self, token: str | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
        """A websocket with a token, as programs open it, or with `ticket`, as browsers do."""
        ticket = options.pop("ticket", None)
        protocols = [SUBPROTOCOL, *([TICKET_PREFIX + ticket] if ticket else [])]
        headers = {} if ticket else {"Authorization": f"Bearer {token or self.token()}"}
        headers |= options.pop("headers", {})
        address = f"ws://127.0.0.1:{self.port}/ws"
        options = {"subprotocols": protocols, "additional_headers": headers, "compression": None, **options}
        async with connect(address, open_timeout=30, proxy=None, **options) as socket:
            assert socket.subprotocol == SUBPROTOCOL
            yield socket


class Place:
    """Settings, and hands that publish results like the orchestrator does."""

    def __init__(self, settings: Settings, pool: Any, producer: Any, folder: Path) -> None:
        self.settings = settings
        self.pool = pool
        self.producer = producer
        self.folder = folder
        self._number = 0

    async def publish(
        self, user: UUID = ALICE, tenant: str = "acme", count: int = 1, pattern: str = "p", **fields: Any
    ) -> list[str]:
        """Publish results; returns their execution ids in order."""
        topic = topic_name(self.settings, EXECUTION_RESULTS)
        sent, ids = [], []
        for _ in range(count):
            self._number += 1
            request_id = f"{self._number}-{uuid4().hex[:8]}"
            result = ExecutionResult(
                execution_id=execution_id_of(tenant, request_id),
                request_id=request_id,
                tenant=tenant,
                user_id=user,
                pattern_id=pattern,
                status=ExecutionStatus.SUCCEEDED,
                trace=Trace(pattern_id=pattern),
                digest="ab" * 32,
                started_at_ms=1,
                finished_at_ms=2,
                **{"data": {"answer": self._number}, **fields},
            )
            ids.append(result.execution_id)
            sent.append(await self.producer.send(topic, encode(result), key_of(result.execution_id)))
        await asyncio.gather(*sent)
        return ids

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[None]:
        projector = Projector(self.settings, self.pool, self.producer)
        await projector.start()
        task = asyncio.create_task(projector.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await projector.stop()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        gateway = Gateway(self.settings, self.folder)
        try:
            await gateway.start()
            yield gateway
        finally:
            await gateway.end()


@pytest.fixture(scope="module")
async def place(
    services: Addresses, database_maker: DatabaseMaker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    base = environment_settings()

    async def prepare(admin_url: str) -> None:
        await migrate(admin_url, services.apply(base).postgres_url())

    database = await database_maker.make(prepare, key="streams")
    folder = tmp_path_factory.mktemp("bridge")
    settings = load_settings(
        _env_file=None,
        kafka=services.kafka,
        redis=services.redis,
        postgres=database.url,
        postgres_admin=database.admin_url,
        topic_prefix=f"b{uuid4().hex[:8]}.",
        data_dir=folder,
        partitions=4,
        auth_demo_secret="only for the tests of the bridge, not secret",
    )
    await create_topics(settings, [*load_catalogue(settings).agents, "probe"])
    pool = await open_pool(settings.postgres_url())
    producer = await start_producer(settings, "test")
    yield Place(settings, pool, producer, folder)
    await producer.stop()
    await pool.close()


@pytest.fixture(scope="module")
async def gateway(place: Place) -> AsyncIterator[Gateway]:
    async with place.gateway() as gateway:
        yield gateway
