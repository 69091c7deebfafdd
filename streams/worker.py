"""Entry points of the worker processes: `run_orchestrator`, `run_agents`, `run_projector`.

Each waits for Kafka, checks the topics, starts, writes the ready file, serves until SIGTERM or SIGINT, drains and
returns. What cannot start says why in one line and raises SystemExit(1); a supervisor tries again.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import orjson

from services.garbage import look_for_garbage_rarely
from settings import Settings, load_settings
from streams import tracing
from streams.clients import KafkaUnavailable, start_producer, wait_for_kafka
from streams.health import Health
from streams.kafka_watch import watch_of
from streams.logs import configure
from streams.stopping import Stopping, unless_stopping
from streams.topics_admin import TopicsWrong, check_topics
from topics.errors import RetryableError

log = logging.getLogger(__name__)

EXIT_CANNOT_START = 1
# Any number nobody else locks: "dawsos projector" by its initials.
PROJECTOR_LOCK = 0x64_70_72_6A
_START_OVER_S = 2.0
_PROJECTOR_NICE = 10
# A little less than the supervisor waits before it kills.
_AGENTS_DRAIN_S = 9.0
T = TypeVar("T")
Serve = Callable[[Settings, asyncio.Event, Callable[[], None], Health], Awaitable[None]]


def run_orchestrator(settings: Settings) -> None:
    """Serve as an orchestrator; any number of processes share the partitions."""
    run_worker(settings, "orchestrator", _serve_orchestrator)


def run_agents(settings: Settings, only: Sequence[str] = ()) -> None:
    """Serve as capability agents.

    Args:
        settings: checked settings.
        only: names of the agents to run; empty runs all.
    """

    async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[], None], health: Health) -> None:
        await _serve_agents(settings, stop, ready, health, only)

    run_worker(settings, "agents", serve)


def run_projector(settings: Settings) -> None:
    """Serve as projector; of several one works and the others stand by."""
    run_worker(settings, "projector", _serve_projector)


def run_worker(settings: Settings, name: str, serve: Serve) -> None:
    """Run a worker process: `serve` gets the settings, an event that ends it, and what to call once it serves."""
    configure(settings.log_level, as_json=settings.log_json)
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    tracing.configure(settings, name)
    try:
        with runner:
            runner.run(_main(settings, name, serve))
    finally:
        tracing.shutdown()


async def _main(settings: Settings, name: str, serve: Serve) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    health = Health(name, settings.liveness_s)
    with _ready_file(settings.ready_file, health) as (write_starting, write_ready):

        def ready() -> None:
            look_for_garbage_rarely()
            log.info("%s is ready (pid %s)", name, os.getpid())
            health.ready = True
            write_ready()

        try:
            _start_health(health, settings)
            write_starting()
            await unless_stopping(stop, wait_for_kafka(settings))
            watching = asyncio.create_task(watch_of(settings).run(), name="kafka-watch")
            try:
                await serve(settings, stop, ready, health)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        except Stopping:
            pass
        except (KafkaUnavailable, TopicsWrong, CannotStart) as error:
            log.error("%s cannot start: %s", name, error)
            raise SystemExit(EXIT_CANNOT_START) from None
        finally:
            await health.stop()
    log.info("%s has stopped", name)


class CannotStart(Exception):
    """A worker's configuration does not allow it to serve; the text says what to change."""


def _start_health(health: Health, settings: Settings) -> None:
    try:
        health.start(settings.health_host, settings.health_port)
    except OSError as error:
        place = f"{settings.health_host}:{settings.health_port}"
        raise CannotStart(f"the health endpoint cannot listen at {place} (DAWSOS_HEALTH_PORT): {error}") from error


@contextmanager
def _ready_file(path: Path | None, health: Health) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Give functions that write `NAME.starting` and the ready file; the files go when the worker does."""

    def write(path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(orjson.dumps({"pid": os.getpid(), "health": health.url}))
            fresh.replace(path)

    starting = None if path is None else path.with_suffix(".starting")
    files = [each for each in (path, starting) if each is not None]
    for each in files:
        each.unlink(missing_ok=True)
    try:
        yield partial(write, starting), partial(write, path)
    finally:
        for each in files:
            each.unlink(missing_ok=True)


async def _serve_orchestrator(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], None], health: Health
) -> None:
    from services.catalogue import load_catalogue
    from services.patterns import load_patterns
    from streams.app import OrchestratorWorker
    from streams.metrics import orchestrator_families

    catalogue = load_catalogue(settings)
    await check_topics(settings, catalogue.agents)
    worker = OrchestratorWorker(settings, load_patterns(settings, catalogue), catalogue)
    health.sources.append(worker.places)
    health.families.append(lambda: orchestrator_families(worker))
    await worker.start()
    ready()
    await worker.run_until(stop)


async def _serve_agents(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], None], health: Health, only: Sequence[str]
) -> None:
    from services.catalogue import load_catalogue
    from services.composition import open_runtime
    from streams.agent_worker import AgentWorker
    from streams.broker_time import last_append_ms
    from streams.metrics import agents_families
    from streams.timers import BrokerClock
    from topics.table import EXECUTION_SIGNALS

    async with AsyncExitStack() as stack:
        # Deadlines are the broker's time; this machine's clock may be wrong.
        clock = BrokerClock()
        runtime = await patiently(
            lambda: stack.enter_async_context(open_runtime(settings, clock)), settings.start_timeout_s
        )
        ours = tuple(sorted(runtime.agents))
        unknown = sorted(set(only) - set(ours))
        if unknown:
            raise CannotStart(f"--only: expected some of {', '.join(ours)}, got {', '.join(unknown)}")
        await check_topics(settings, load_catalogue(settings).agents)
        # A request that its deadline overtook while it blocked or killed the last worker must not be tried again: what
        # proves that time is over is the timer the engine has sent itself since.
        if (appended_ms := await last_append_ms(settings, EXECUTION_SIGNALS)) is not None:
            clock.observe(appended_ms)
        producer = await start_producer(settings, "agents")
        limited = runtime.limits.limited
        workers = [AgentWorker(settings, name, runtime.handle, producer, clock, limited) for name in only or ours]
        try:
            await asyncio.gather(*(worker.start() for worker in workers))
            health.sources += [worker.places for worker in workers]
            health.families.append(lambda: agents_families(workers, runtime.circuits()))
            ready()
            await _until(stop, [worker.run_until(stop) for worker in workers], _AGENTS_DRAIN_S)
        finally:
            await producer.stop()


async def _serve_projector(settings: Settings, stop: asyncio.Event, ready: Callable[[], None], health: Health) -> None:
    from db.artifacts import ArtifactRepository
    from db.postgres import open_pool
    from db.requests import RequestRepository
    from services.catalogue import load_catalogue
    from streams.announcements import AnnouncementApplier
    from streams.collector import collect_artifacts, collect_requests
    from streams.leadership import LeadershipLost, leadership
    from streams.metrics import projector_families
    from streams.outbox_relay import OutboxRelay
    from streams.pack_watch import PackWatcher
    from streams.pattern_keeper import PatternKeeper
    from streams.projector import Projector

    # Nobody waits for the projection as they wait for a result: under load it yields, and catches up afterwards.
    os.nice(_PROJECTOR_NICE)
    await check_topics(settings, load_catalogue(settings).agents)
    pool = await patiently(lambda: open_pool(settings.postgres_url()), settings.start_timeout_s)
    producer = await start_producer(settings, "projector")
    ready()
    try:
        while not stop.is_set():
            try:
                async with leadership(settings.postgres_url(), PROJECTOR_LOCK, stop) as lost:
                    if lost is None:
                        return
                    log.info("this projector leads")
                    projector = Projector(settings, pool, producer)
                    try:
                        await projector.start()
                        health.sources = [projector.places]
                        watcher = PackWatcher(settings, pool, producer)
                        health.families = [partial(projector_families, projector), watcher.families]
                        await _until(
                            stop,
                            [
                                _forever(lost),
                                projector.run(),
                                OutboxRelay(settings, pool, producer).run(),
                                PatternKeeper(settings, pool).run(),
                                AnnouncementApplier(settings, pool, producer).run(),
                                watcher.run(),
                                collect_artifacts(ArtifactRepository(pool), projector.caught_up),
                                collect_requests(RequestRepository(pool), timedelta(days=settings.requests_kept_days)),
                            ],
                        )
                    finally:
                        health.sources, health.families = [], []
                        await projector.stop()
            except (LeadershipLost, RetryableError, OSError, asyncpg.PostgresError, TimeoutError) as error:
                log.warning("the projector starts over: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _START_OVER_S)
    finally:
        await producer.stop()
        await pool.close()


async def _forever(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


async def _until(stop: asyncio.Event, jobs: Sequence[Coroutine[Any, Any, None]], drain_s: float = 0.0) -> None:
    """Run jobs until one fails or `stop` is set; then those that have not ended within `drain_s` are cancelled."""
    tasks = [asyncio.create_task(job) for job in jobs]
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            await asyncio.wait(tasks, timeout=drain_s)
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def patiently(open_it: Callable[[], Awaitable[T]], timeout_s: float) -> T:
    """Try again while the service behind is not up yet."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        try:
            return await open_it()
        except RetryableError as error:
            if loop.time() >= deadline:
                raise CannotStart(f"gave up after {timeout_s:.0f} s: {error.message}") from error
            log.warning("waiting: %s", error.message)
            await asyncio.sleep(0.5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker: `python -m streams.worker orchestrator | agents [NAME…] | projector`."""
    name, *only = sys.argv[1:] if arguments is None else arguments
    settings = load_settings()
    if name == "orchestrator":
        run_orchestrator(settings)
    elif name == "agents":
        run_agents(settings, only)
    elif name == "projector":
        run_projector(settings)
    else:
        raise SystemExit(f"expected orchestrator, agents or projector, got {name}")


if __name__ == "__main__":
    main()
