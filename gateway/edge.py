"""What every request passes first: limits on its body, headers of every answer, and the count of both.

Pure ASGI, one layer: it costs a few microseconds, and streams and websockets pass through it untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from typing import Any
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics
from gateway.problems import Problem
from streams import tracing
from topics.errors import Code

log = logging.getLogger(__name__)

_DRAIN_S = 5.0
_DRAINED_LIMITS = 8
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# Answers are JSON and events; pages of the console set a policy of their own.
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_CACHE = (b"cache-control", b"no-store")
_TLS = (b"strict-transport-security", b"max-age=31536000")


class _TooLarge(Exception):
    """The body has more bytes than allowed."""


class Edge:
    """The outermost layer.

    Args:
        app: everything else.
        body_bytes_max: of a request.
        metrics: counts every request.
    """

    def __init__(self, app: ASGIApp, body_bytes_max: int, metrics: Metrics) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"])
        request_id = given.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid4().hex.encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        begun = time.perf_counter()
        status = got = 0
        started = over = False

        async def receive_on() -> Message:
            nonlocal got, over
            message = await receive()
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                if got > self._body_bytes_max:
                    over = True
                    raise _TooLarge
            return message

        async def send_on(message: Message) -> None:
            nonlocal status, started
            if over and not started:
                # What the application makes of the body's end; the client gets 413.
                return
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                _dress(message, request_id, scope.get("scheme") == "https")
            await send(message)

        self._metrics.in_flight.inc()
        try:
            length = given.get(b"content-length", b"")
            if length.isdigit() and int(length) > self._body_bytes_max:
                over = True
            else:
                with tracing.span(scope["method"], "server", _text(scope["headers"]), _attributes(scope)) as made:
                    await self._app(scope, receive_on, send_on)
                    if made is not None:
                        _name(made, scope, status)
        except _TooLarge:
            pass
        except asyncio.CancelledError:
            # Only a server whose time to stop is over cancels requests. It would answer with a bare 500.
            log.warning("a request was given up to stop", extra={"request_id": request_id.decode()})
            if started or over:
                raise
            detail = "This gateway is stopping; try again."
            await Problem(Code.OVERLOADED, detail, retry_after_s=1).response()(scope, receive, send_on)
        except Exception:
            log.exception("a request failed", extra={"request_id": request_id.decode()})
            if started or over:
                raise
            detail = f"Something went wrong here; the log has it under request {request_id.decode()}."
            await Problem(Code.INTERNAL, detail).response()(scope, receive, send_on)
        finally:
            if over and not started:
                over = False
                await _drain(receive, self._body_bytes_max)
                await self._refuse(scope, receive, send_on)
            self._metrics.in_flight.dec()
            self._metrics.count(scope, status or 499, time.perf_counter() - begun)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"expected a body of at most {self._body_bytes_max} bytes"
        response = Problem(Code.PAYLOAD_TOO_LARGE, detail, headers={"Connection": "close"}).response()
        await response(scope, receive, send)


def _text(headers: Any) -> list[tuple[str, bytes]]:
    return [(name.decode("latin-1"), value) for name, value in headers] if tracing.is_on() else []


def _attributes(scope: Scope) -> dict[str, Any]:
    return {"http.request.method": scope["method"], "url.scheme": scope.get("scheme", "http")}


def _name(made: Any, scope: Scope, status: int) -> None:
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        made.update_name(f"{scope['method']} {route}")
        made.set_attribute("http.route", route)
    made.set_attribute("http.response.status_code", status)


async def _drain(receive: Receive, bytes_max: int) -> None:
    """Read on a little: a client that is still sending would not see an answer on a connection that is closed."""
    got = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while got <= _DRAINED_LIMITS * bytes_max:
                message = await receive()
                got += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return


def _dress(message: Message, request_id: bytes, tls: bool) -> None:
    headers: list[tuple[bytes, bytes]] = list(message["headers"])
    names = {name.lower() for name, _ in headers}
    wanted: Any = (*_HEADERS, _POLICY, _CACHE, (b"x-request-id", request_id), *((_TLS,) if tls else ()))
    headers.extend(header for header in wanted if header[0] not in names)
    message["headers"] = headers
