"""Entry points of the worker processes: `run_orchestrator`, `run_agents`, `run_projector`.

Each waits for Kafka, checks the topics, starts, writes the ready file, serves until SIGTERM or SIGINT, drains and
returns. What cannot start says why in one line and raises SystemExit(1); a supervisor tries again.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from settings import Settings
from streams.clients import KafkaUnavailable, wait_for_kafka
from streams.logs import configure
from streams.topics_admin import TopicsWrong, check_topics

log = logging.getLogger(__name__)

EXIT_CANNOT_START = 1
Serve = Callable[[Settings, asyncio.Event, Callable[[], None]], Awaitable[None]]


def run_orchestrator(settings: Settings) -> None:
    """Serve as an orchestrator; any number of processes share the partitions."""
    _run(settings, "orchestrator", _serve_orchestrator)


def run_agents(settings: Settings, only: Sequence[str] = ()) -> None:
    """Serve as capability agents.

    Args:
        settings: checked settings.
        only: names of the agents to run; empty runs all.
    """

    async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        await _serve_agents(settings, stop, ready, only)

    _run(settings, "agents", serve)


def run_projector(settings: Settings) -> None:
    """Serve as projector; of several one works and the others stand by."""
    _run(settings, "projector", _serve_projector)


def _run(settings: Settings, name: str, serve: Serve) -> None:
    configure(settings.log_level, as_json=settings.log_json)
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        runner.run(_main(settings, name, serve))


async def _main(settings: Settings, name: str, serve: Serve) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _ready_file(settings.ready_file) as write_ready:

        def ready() -> None:
            log.info("%s is ready (pid %s)", name, os.getpid())
            write_ready()

        try:
            await wait_for_kafka(settings)
            await serve(settings, stop, ready)
        except (KafkaUnavailable, TopicsWrong, CannotStart) as error:
            log.error("%s cannot start: %s", name, error)
            raise SystemExit(EXIT_CANNOT_START) from None
    log.info("%s has stopped", name)


class CannotStart(Exception):
    """A worker's configuration does not allow it to serve; the text says what to change."""


@contextmanager
def _ready_file(path: Path | None) -> Iterator[Callable[[], None]]:
    """Give a function that writes the ready file; the file goes when the worker does."""

    def write() -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(orjson.dumps({"pid": os.getpid()}))
            fresh.replace(path)

    if path is not None:
        path.unlink(missing_ok=True)
    try:
        yield write
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


async def _serve_orchestrator(settings: Settings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    from services.catalogue import load_catalogue
    from services.patterns import load_patterns
    from streams.app import OrchestratorWorker

    catalogue = load_catalogue(settings)
    await check_topics(settings, catalogue.agents)
    worker = OrchestratorWorker(settings, load_patterns(settings, catalogue), catalogue)
    await worker.start()
    ready()
    await worker.run_until(stop)


async def _serve_agents(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], None], only: Sequence[str]
) -> None:
    raise NotImplementedError


async def _serve_projector(settings: Settings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    raise NotImplementedError
