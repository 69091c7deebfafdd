"""What Prometheus sees of a gateway. No label names a tenant, a user or an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from starlette.types import Scope

    from gateway.connections import Connections

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_UNROUTED = "unrouted"


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dawsos_gateway_requests",
            "Requests answered; 499 stands for a client that left before.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "dawsos_gateway_request_seconds",
            "Time to the end of the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge("dawsos_gateway_requests_in_flight", "Requests being answered.", registry=self._registry)
        self.refused = Counter("dawsos_gateway_refused", "Requests not taken.", ("reason",), registry=self._registry)
        self.results = Counter(
            "dawsos_gateway_results", "Results given to clients that waited.", ("status",), registry=self._registry
        )
        self._waiting = Gauge(
            "dawsos_gateway_executions_waited_for", "Executions a client waits for.", registry=self._registry
        )
        self._live = Gauge(
            "dawsos_gateway_executions_live", "Executions under way, by status.", ("status",), registry=self._registry
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request."""
        route: Any = scope.get("route")
        # The route as declared, never the path: its values would make a series each.
        name = getattr(route, "path", _UNROUTED)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, name, str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def exposition(self, connected: Connections) -> bytes:
        """Return everything in Prometheus' text format."""
        self._waiting.set(len(connected.client.results))
        self._live.clear()
        for status, count in connected.progress.counts().items():
            self._live.labels(status.value).set(count)
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
