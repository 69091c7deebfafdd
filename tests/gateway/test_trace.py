"""Spans as they leave the processes over OTLP: one trace from the HTTP request to each capability."""

import asyncio
from uuid import uuid4

import pytest

from tests.gateway.system import Gateway

pytestmark = pytest.mark.integration

CLIENT = "00f067aa0ba902b7"
SERVICES = {"dawsos-gateway", "dawsos-orchestrator", "dawsos-agents"}


async def test_one_trace_from_the_http_request_to_the_capability(gateway: Gateway) -> None:
    trace_id = uuid4().hex
    done = await gateway.execute("echo", headers={"traceparent": f"00-{trace_id}-{CLIENT}-01"})
    assert done.status_code == 200
    async with asyncio.timeout(30):
        # Each process exports by itself, in its own time.
        while {span.service for span in gateway.collector.of_trace(trace_id)} < SERVICES:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    spans = gateway.collector.of_trace(trace_id)
    by_id = {span.span_id: span for span in spans}
    [capability] = [span for span in spans if span.name == "steered.echo"]
    above, place = [], capability
    while place.parent_id in by_id:
        place = by_id[place.parent_id]
        above.append(place.service)
    assert capability.service == "dawsos-agents"
    assert above == ["dawsos-orchestrator", "dawsos-gateway"]
    # The gateway's own span hangs on the client's, and nothing of the trace hangs in the air.
    assert place.parent_id == CLIENT and place.name.startswith("POST")
    assert all(span.parent_id in by_id or span.parent_id == CLIENT for span in spans)
