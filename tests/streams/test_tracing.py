"""One trace per execution, through every topic; and no cost when it is off."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from streams import tracing
from tests.streams.system import System, request, wait_gate
from topics.messages import PackStatus

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01".encode()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.install(SimpleSpanProcessor(exporter), "test")
    yield exporter
    tracing.shutdown()


def of_trace(exporter: InMemorySpanExporter) -> list[Any]:
    return [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == TRACE]


@pytest.mark.integration
async def test_one_trace_from_request_to_capability(system: System, spans: InMemorySpanExporter) -> None:
    result = await system.client.execute(request(), 30, headers=[("traceparent", PARENT)])
    found = of_trace(spans)
    names = [span.name for span in found]
    assert names.count("process ExecuteRequest") == 1 and names.count("probe.echo") == 2
    assert names.count("process CapabilityResult") >= 1
    by_id = {span.context.span_id: span for span in found}
    admission = next(span for span in found if span.name == "process ExecuteRequest")
    assert f"{admission.parent.span_id:016x}" == "00f067aa0ba902b7"
    for span in found:
        assert span.kind is SpanKind.CONSUMER
        assert span.attributes["messaging.system"] == "kafka"
        assert span.attributes["dawsos.execution_id"] == result.execution_id
        if span.name == "probe.echo":
            assert by_id[span.parent.span_id] is admission and span.attributes["dawsos.attempt"] == 1


@pytest.mark.integration
async def test_what_a_gate_lets_through_is_linked_to_the_request(system: System, spans: InMemorySpanExporter) -> None:
    warming = system.probe.pack.model_copy(update={"status": PackStatus.WARMING})
    before, system.probe.pack = system.probe.pack, warming
    try:
        running = asyncio.create_task(
            system.client.execute(request("pinned", gate=wait_gate()), 30, headers=[("traceparent", PARENT)])
        )
        await asyncio.sleep(1)
        fresh = warming.model_copy(update={"status": PackStatus.FRESH, "content_sha256": "0" * 64})
        system.probe.pack = fresh
        await system.publish_pack(fresh)
        await running
    finally:
        system.probe.pack = before
    opened = [span for span in of_trace(spans) if span.name == "process GateOpened"]
    assert opened and opened[0].links and opened[0].links[0].context.trace_id == int(TRACE, 16)


def test_headers_stay_as_they_are_when_tracing_is_off() -> None:
    assert not tracing.is_on()
    given = [("traceparent", PARENT), ("x-request-id", b"1")]
    assert tracing.inject(given) == given
    with tracing.span("nothing", "internal") as made:
        assert made is None


async def test_nothing_is_imported_when_tracing_is_off() -> None:
    code = "import sys, streams.worker, streams.orchestrator; assert 'opentelemetry.sdk' not in sys.modules"
    # Not waited for in this thread: an engine in this process would take that for a suspension.
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
