"""Where agents meet their services: explicit wiring, one function per world.

Our own agents are listed in `services.catalogue.agent_classes`; further ones come from `DAWSOS_AGENTS=module:Class`.
An agent's constructor asks for services by parameter name: `portfolios`, `ledgers`, `packs`, `fundamentals`,
`reference`, `macro`, `rubric`, `policy`, `pack_desk`, `market_sources`, `pack_tenants`; agents with effects also for
`effects`, which only Postgres has.
"""

import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.base import BaseAgent
from agents.runtime import AgentRuntime
from agents.store_ports import ArtifactStore, BreakerStore, Cache
from services.catalogue import AgentNotLoadable, agent_classes
from services.clock import NowClock, SystemClock
from services.fundamentals import RecordedFundamentals, bundled_rubric
from services.ledgers import GitLedgers
from services.local_artifacts import LocalArtifacts
from services.local_data import TENANT, USER_ID, LocalData, LocalPortfolios
from services.local_packs import POLICY as LOCAL_POLICY
from services.local_pipeline import SOURCE, FilesSource, LocalPackDesk
from services.macro import RecordedMacro, StoredMacro
from services.market_sources import market_sources
from services.provider_clients import provider_clients
from services.reference import RecordedReference
from settings import Settings, load_settings

if TYPE_CHECKING:
    from db.postgres import Pool
    from services.pipeline_pool import OwnerPool


def construct(classes: Sequence[type[BaseAgent]], services: Mapping[str, Any]) -> list[BaseAgent]:
    """Construct agents, giving each constructor the services it names.

    Raises:
        AgentNotLoadable: a constructor asks for something there is not.
    """
    agents: list[BaseAgent] = []
    for agent in classes:
        asked = inspect.signature(agent).parameters.values()
        missing = [item.name for item in asked if item.default is item.empty and item.name not in services]
        if missing:
            raise AgentNotLoadable(
                f"{agent.__module__}:{agent.__qualname__} asks for {', '.join(missing)};"
                f" there are {', '.join(sorted(services))}"
            )
        agents.append(agent(**{item.name: services[item.name] for item in asked if item.name in services}))
    return agents


def build_runtime_local(
    data: LocalData,
    *,
    agents: Sequence[str] = (),
    cache: Cache | None = None,
    clock: SystemClock | None = None,
    artifacts: ArtifactStore | None = None,
    settings: Settings | None = None,
) -> AgentRuntime:
    """Return a runtime on files in memory, for `dawsos try`; its one user is `services.local_data.USER_ID`.

    Args:
        data: from `services.local_data.read_local_data` or `example_data`.
        agents: further agents, `module:Class`.
        cache: none by default; one process asks each question once.
        clock: the machine's by default.
        artifacts: large values; in memory by default. Pass one to read them afterwards.
        settings: keys of data providers; from the environment by default.
    """
    settings = settings or load_settings()
    clients = provider_clients(settings)
    services = {
        **clients,
        "portfolios": LocalPortfolios([(TENANT, USER_ID, data.portfolio)]),
        "ledgers": data.ledger,
        "packs": data.packs,
        "fundamentals": RecordedFundamentals(),
        "reference": RecordedReference(),
        "macro": RecordedMacro(),
        "rubric": bundled_rubric(),
        "policy": LOCAL_POLICY,
        "pack_desk": LocalPackDesk(data.packs),
        "market_sources": market_sources(settings, clients, {SOURCE: FilesSource(data.packs)}),
        "pack_tenants": (TENANT,),
    }
    clock = clock or SystemClock()
    store = artifacts or LocalArtifacts()
    return AgentRuntime(construct(agent_classes(agents), services), store, cache, None, clock.now_ms)


def build_runtime_postgres(
    pool: "Pool",
    cache: Cache | None,
    breaker: BreakerStore | None,
    settings: Settings,
    *,
    clock: NowClock | None = None,
    artifacts: ArtifactStore | None = None,
    pipeline: "OwnerPool | None" = None,
) -> AgentRuntime:
    """Return a runtime on Postgres.

    Args:
        pool: from `db.postgres.open_pool`, the application's role.
        cache: answers of pure capabilities; None for none.
        breaker: circuits shared between workers; None keeps them in this process.
        settings: further agents, ledger repository, policy, limits.
        clock: the machine's by default.
        artifacts: large values; Postgres by default.
        pipeline: pool that may write packs; whoever gives it closes it.
    """
    from db.artifact_rules import lease_for
    from db.artifacts import ArtifactRepository
    from db.effects import EffectRepository
    from db.ledgers import SnapshotRepository
    from db.macro import MacroRepository
    from db.packs import PackRepository
    from db.portfolios import PortfolioRepository
    from services.pack_rows import RowPacks
    from services.pipeline_pool import OwnerPool, postgres_desk

    clients = provider_clients(settings)
    services = {
        **clients,
        "portfolios": PortfolioRepository(pool),
        "ledgers": GitLedgers(ledger_repository(settings), SnapshotRepository(pool)),
        "packs": RowPacks(PackRepository(pool)),
        "fundamentals": RecordedFundamentals(),
        "reference": RecordedReference(),
        "macro": StoredMacro(MacroRepository(pool), RecordedMacro()),
        "rubric": bundled_rubric(),
        "policy": settings.policy,
        "pack_desk": postgres_desk(pipeline or OwnerPool(settings.postgres_pipeline_url())),
        "market_sources": market_sources(settings, clients),
        "pack_tenants": settings.pack_tenants,
        "effects": EffectRepository(pool),
    }
    clock = clock or SystemClock()
    return AgentRuntime(
        construct(agent_classes(settings.agents), services),
        artifacts or ArtifactRepository(pool, settings.artifact_bytes_max, lease_for(settings.deadline_s_max)),
        cache,
        breaker,
        clock.now_ms,
        artifact_bytes_max=settings.artifact_bytes_max,
    )


@asynccontextmanager
async def open_runtime(settings: Settings, clock: NowClock | None = None) -> AsyncIterator[AgentRuntime]:
    """Connect to Postgres and Redis and give a runtime; everything is closed at the end.

    Postgres must answer. Redis need not: without it answers are computed instead of remembered.

    Args:
        settings: addresses and limits.
        clock: what deadlines are compared with; the machine's by default. Deadlines are the broker's time, so a
            worker gives its estimate of that.

    Raises:
        RetryableError: Postgres does not answer.
    """
    from db.breaker import RedisBreaker
    from db.cache import RedisCache
    from db.postgres import open_pool
    from db.redis_link import RedisLink
    from services.pipeline_pool import OwnerPool

    pool = await open_pool(settings.postgres_url(), plan_once=True)
    link = RedisLink(settings.redis_url())
    prefix = f"{settings.topic_prefix}dawsos."
    cache, breaker = RedisCache(link, prefix), RedisBreaker(link, prefix)
    pipeline = OwnerPool(settings.postgres_pipeline_url())
    runtime = build_runtime_postgres(pool, cache, breaker, settings, clock=clock, pipeline=pipeline)
    try:
        yield runtime
        await runtime.drain()
    finally:
        await pipeline.close()
        await link.close()
        await pool.close()


def ledger_repository(settings: Settings) -> Path:
    """Return where the ledgers' git repository is."""
    return settings.ledger_repository or settings.data_dir / "ledger.git"
