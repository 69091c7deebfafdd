"""OpenTelemetry: one trace per execution, from whoever asks for it through every topic to each capability.

Off unless an endpoint is configured, and then nothing is imported and nothing is done but one comparison. The context
travels as W3C `traceparent` in record headers. Names follow the semantic conventions for messaging, version 1.43.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from settings import Settings

Kind = Literal["server", "producer", "consumer", "internal"]
Headers = Iterable[tuple[str, bytes | None]]
TRACEPARENT = "traceparent"

_tracer: Any = None
_provider: Any = None


def configure(settings: Settings, service: str) -> None:
    """Send spans to `DAWSOS_OTEL_ENDPOINT`; without one, do nothing.

    Args:
        settings: endpoint.
        service: of this process, as `gateway`.
    """
    if settings.otel_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=f"{settings.otel_endpoint.rstrip('/')}/v1/traces")
    install(BatchSpanProcessor(exporter), service)


def install(processor: Any, service: str) -> None:
    """Give every span of this process to a span processor."""
    global _provider, _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    _provider = TracerProvider(resource=Resource.create({"service.name": f"dawsos-{service}"}))
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("dawsos")


def shutdown() -> None:
    """Send what is left, and trace no longer."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


@contextlib.contextmanager
def span(
    name: str,
    kind: Kind,
    headers: Headers | None = None,
    attributes: Mapping[str, Any] | None = None,
    linked: bool = False,
) -> Iterator[Any]:
    """Make a span around a block; None when tracing is off.

    Args:
        name: low in cardinality.
        kind: of the span.
        headers: whose `traceparent` is the parent; None: the present span.
        attributes: values by their conventional names.
        linked: also link to that parent: what happens now was not waited for by it (a gate).
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry import trace

    parent = None if headers is None else _context(headers)
    links = []
    if linked and parent is not None:
        context = trace.get_current_span(parent).get_span_context()
        links = [trace.Link(context)] if context.is_valid else []
    kinds = trace.SpanKind[kind.upper()]
    with _tracer.start_as_current_span(name, parent, kinds, attributes, links) as made:
        yield made


def inject(headers: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return headers with the present span as the parent of what follows; as they are when tracing is off."""
    kept = list(headers)
    if _tracer is None:
        return kept
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    if TRACEPARENT not in carrier:
        return kept
    kept = [(name, value) for name, value in kept if name.lower() not in carrier]
    return [*kept, *((name, value.encode()) for name, value in carrier.items())]


def kafka(topic: str, operation: str, record: Any = None) -> dict[str, Any]:
    """Return the conventional attributes of a message."""
    found: dict[str, Any] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
    }
    if record is not None:
        found["messaging.destination.partition.id"] = str(record.partition)
        found["messaging.kafka.offset"] = record.offset
    return found


def _context(headers: Headers) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {name.lower(): value.decode("latin-1") for name, value in headers if value is not None}
    return TraceContextTextMapPropagator().extract(carrier, Context())
