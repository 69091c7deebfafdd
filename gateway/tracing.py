"""Headers that travel with an execution: the trace it belongs to, and what its client wants to find it by."""

from __future__ import annotations

from starlette.requests import Request

_CARRIED = ("traceparent", "tracestate", "baggage", "correlation-id", "x-correlation-id")
_VALUE_BYTES_MAX = 512


def carried_from(request: Request) -> list[tuple[str, bytes]]:
    """Return the record headers of a request: its trace context and correlation ids, and the request's id."""
    found = [
        (name, value.encode("latin-1"))
        for name in _CARRIED
        if (value := request.headers.get(name)) is not None and len(value) <= _VALUE_BYTES_MAX
    ]
    request_id = getattr(request.state, "request_id", None)
    if request_id is not None:
        found.append(("x-request-id", request_id.encode()))
    return found
