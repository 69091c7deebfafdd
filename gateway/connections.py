"""What the gateway is connected to, opened together at the start and closed together at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from db.artifacts import ArtifactRepository
from db.cache import RedisCache
from db.dead_letters import DeadLetterRepository
from db.executions import ExecutionRepository
from db.packs import PackRepository
from db.portfolios import PortfolioRepository
from db.postgres import open_pool
from db.rate_limit import Limit, RateLimit
from db.redis_link import RedisLink
from db.requests import RequestRepository
from gateway.metrics import Metrics
from gateway.recomputation import Recomputer
from orchestrator.catalogue import Catalogue
from orchestrator.registry import PatternRegistry
from services.catalogue import catalogue_json, load_catalogue
from services.patterns import load_patterns
from services.tokens import TokenVerifier, make_verifier
from settings import Settings
from streams.announcements import Announcer
from streams.progress_feed import ProgressFeed
from streams.publisher import ExecutionClient
from streams.redrive import Redriver
from streams.worker import patiently

if TYPE_CHECKING:
    from db.postgres import Pool

CLIENT_ID = "gateway"
_POOL_SIZE = 16
# People and their proxies wait for answers: sooner a problem that says so than the statement that takes longer.
# People wait here, not steps: one stall of a busy machine should not be taken for a loss.
_REDIS_S = 1.0
_POSTGRES_S = 5.0


@dataclass(frozen=True, slots=True)
class Connections:
    """Everything a request handler may use.

    Attributes:
        client: publishes requests and cancels; `client.results` has every result as it is published.
        progress: how every execution under way stands.
        patterns: newest versions, compiled.
        catalogue_document: capabilities as `dawsos capabilities --json` prints them.
        stopping: set when the process is to end; whoever waits for something slow answers at once.
    """

    settings: Settings
    pool: Pool
    redis: RedisLink
    client: ExecutionClient
    progress: ProgressFeed
    patterns: PatternRegistry
    catalogue: Catalogue
    catalogue_document: dict[str, Any]
    verifier: TokenVerifier
    limit: RateLimit
    cache: RedisCache
    metrics: Metrics
    requests: RequestRepository
    executions: ExecutionRepository
    portfolios: PortfolioRepository
    artifacts: ArtifactRepository
    packs: PackRepository
    dead_letters: DeadLetterRepository
    redriver: Redriver
    announcer: Announcer
    recomputer: Recomputer
    stopping: asyncio.Event

    def stop_waiting(self) -> None:
        """Let everybody who waits for a result or for news answer now: what they wait for goes on without us."""
        self.stopping.set()
        self.client.results.give_up()


@asynccontextmanager
async def open_connections(settings: Settings, metrics: Metrics) -> AsyncIterator[Connections]:
    """Connect to Kafka and Postgres, which must answer, and to Redis, which need not.

    Raises:
        RetryableError: Postgres does not answer.
        CannotStart: it did not answer for as long as the settings allow.
    """
    catalogue = load_catalogue(settings)
    patterns = load_patterns(settings, catalogue)
    verifier = make_verifier(settings)
    prefix = f"{settings.topic_prefix}dawsos."
    async with AsyncExitStack() as stack:
        pool = await patiently(
            lambda: open_pool(
                settings.postgres_url(),
                size_max=_POOL_SIZE,
                command_timeout_s=_POSTGRES_S,
                wait_timeout_s=_POSTGRES_S,
            ),
            settings.start_timeout_s,
        )
        stack.push_async_callback(pool.close)
        redis = RedisLink(settings.redis_url(), timeout_s=_REDIS_S)
        stack.push_async_callback(redis.close)
        client = await stack.enter_async_context(ExecutionClient(settings, CLIENT_ID))
        progress = ProgressFeed(settings, patterns.by_digest, f"{CLIENT_ID}-progress")
        stack.push_async_callback(progress.stop)
        await progress.start()
        stopping = asyncio.Event()
        recomputer = Recomputer(settings, stopping)
        stack.callback(recomputer.close)
        yield Connections(
            settings=settings,
            pool=pool,
            redis=redis,
            client=client,
            progress=progress,
            patterns=patterns,
            catalogue=catalogue,
            catalogue_document=catalogue_json(settings),
            verifier=verifier,
            limit=RateLimit(redis, prefix, Limit(settings.rate_user_per_s), Limit(settings.rate_tenant_per_s)),
            cache=RedisCache(redis, prefix),
            metrics=metrics,
            requests=RequestRepository(pool),
            executions=ExecutionRepository(pool),
            portfolios=PortfolioRepository(pool),
            artifacts=ArtifactRepository(pool, settings.artifact_bytes_max),
            packs=PackRepository(pool),
            dead_letters=DeadLetterRepository(pool),
            redriver=Redriver(settings, client.producer),
            announcer=Announcer(settings, client.producer),
            recomputer=recomputer,
            stopping=stopping,
        )


def connections_of(connection: HTTPConnection) -> Connections:
    """Return what the app of a request or websocket is connected to."""
    return connection.app.state.connections


async def _connected(connection: HTTPConnection) -> Connections:
    # Not `connections_of` itself: FastAPI calls what is not async in a thread, which costs more than all else here.
    return connections_of(connection)


Connected = Annotated[Connections, Depends(_connected)]
