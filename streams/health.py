"""The health endpoint of a worker: `/livez`, `/readyz`, `/metrics` over HTTP, from a thread of its own.

A thread answers while the event loop is blocked, and costs nothing while nobody asks. 200 means yes, 503 no; the body
says why. `/livez` red means that a restart helps; `/readyz` red that the worker does not serve (yet).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from streams.liveness import Liveness, Place

log = logging.getLogger(__name__)

_EVERYWHERE = ("", "0.0.0.0", "::")
_LOCAL = "127.0.0.1"
_BEAT_S = 1.0
_LOOK_S = 5.0
_LOOK_TIMEOUT_S = 5.0

LookAtPlaces = Callable[[], Awaitable[Mapping[tuple[str, int], Place]]]
Families = Callable[[], Iterable[Metric]]


class Health:
    """What a worker says about itself.

    Args:
        kind: `orchestrator`, `agents` or `projector`.
        limit_s: how long committed offsets may stand still while records wait.

    Attributes:
        ready: set by the worker: it serves.
        sources: set by the worker: where it stands in its partitions; asked every few seconds, in its loop.
        families: set by the worker: further metrics, asked at each scrape, in another thread.
        url: where it answers; None before `start`.
    """

    def __init__(self, kind: str, limit_s: float) -> None:
        self._kind = kind
        self._look_every_s = min(_LOOK_S, limit_s / 4)
        self.liveness = Liveness(limit_s, time.monotonic())
        self.ready = False
        self.sources: list[LookAtPlaces] = []
        self.families: list[Families] = []
        self.url: str | None = None
        self._server: Any = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, host: str, port: int) -> None:
        """Begin to answer, and to watch the running loop.

        Args:
            host: address to bind.
            port: 0 for any that is free.

        Raises:
            OSError: the port is taken.
        """
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Families(self))
        metrics = make_wsgi_app(registry)

        def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
            path = environ["PATH_INFO"]
            if path == "/metrics":
                return metrics(environ, start_response)
            if path == "/livez":
                body: dict[str, Any] = {"live": not (troubles := self.troubles()), "troubles": troubles}
                good = not troubles
            elif path == "/readyz":
                body, good = {"ready": self.ready}, self.ready
            else:
                start_response("404 Not Found", [("Content-Type", "text/plain")])
                return [b"expected /livez, /readyz or /metrics\n"]
            status = "200 OK" if good else "503 Service Unavailable"
            start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
            return [orjson.dumps({"worker": self._kind, **body}), b"\n"]

        self._server = make_server(host, port, answer, _Server, handler_class=_Silent)
        self.url = f"http://{_LOCAL if host in _EVERYWHERE else host}:{self._server.server_port}"
        # Nothing to do between requests; only the end of `serve_forever` waits for this interval.
        threading.Thread(target=self._server.serve_forever, args=(3600,), name="health", daemon=True).start()
        self._tasks = [
            asyncio.create_task(self._beat(), name="health-beat"),
            asyncio.create_task(self._look(), name="health-look"),
        ]

    async def stop(self) -> None:
        """Stop answering; the thread ends with the process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.socket.close()

    def troubles(self) -> list[str]:
        """Return why the worker is not alive; empty when it is."""
        return self.liveness.troubles(time.monotonic())

    async def _beat(self) -> None:
        while True:
            self.liveness.beat(time.monotonic())
            await asyncio.sleep(_BEAT_S)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                async with asyncio.timeout(_LOOK_TIMEOUT_S):
                    found = [await source() for source in list(self.sources)]
            except Exception as error:
                # Kafka is away or a rebalance is under way: nothing to hold against the worker.
                log.debug("where the partitions end is not known: %s", error)
                self.liveness.unknown(time.monotonic())
                continue
            places = {tp: place for one in found for tp, place in one.items()}
            self.liveness.observe(places, time.monotonic())


class _Families(Collector):
    """All metrics of a worker; made when asked for, so that counting costs nothing."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        health, now_s = self._health, time.monotonic()
        info = GaugeMetricFamily("dawsos_worker_info", "Kind of this worker.", labels=["kind"])
        info.add_metric([health._kind], 1)
        yield info
        yield GaugeMetricFamily("dawsos_worker_live", "1 if /livez is green.", value=not health.troubles())
        yield GaugeMetricFamily("dawsos_worker_ready", "1 if /readyz is green.", value=health.ready)
        names = ["topic", "partition"]
        lag = GaugeMetricFamily("dawsos_consumer_lag_records", "Records waiting to be committed.", labels=names)
        still = GaugeMetricFamily(
            "dawsos_consumer_commit_age_seconds", "Time without a commit while records wait; 0 if none.", labels=names
        )
        for (topic, partition), place in dict(health.liveness.places).items():
            labels = [topic, str(partition)]
            lag.add_metric(labels, place.waiting)
            still.add_metric(labels, health.liveness.still_s((topic, partition), now_s))
        yield lag
        yield still
        for families in list(health.families):
            yield from families()


class _Server(ThreadingWSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked went away; nothing to report."""

    def server_bind(self) -> None:
        """Without looking up our own name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Silent(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Probes every few seconds are no news."""
