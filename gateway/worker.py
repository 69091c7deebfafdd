"""The gateway as a worker process: `dawsos worker gateway`."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from gateway.app import create_app
from gateway.bridge.protocol import BoundedWebSocket
from settings import Settings
from streams.health import Health
from streams.worker import CannotStart, run_worker
from topics.socket import FRAME_BYTES_MAX

PORT_DEFAULT = 8080
_BACKLOG = 2048
_DRAIN_S = 8


def run_gateway(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; several gateways may run side by side."""
    run_worker(settings, "gateway", serve)


async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[], None], health: Health) -> None:
    """Listen, call `ready`, and end when `stop` is set.

    Raises:
        CannotStart: the address cannot be had, or it is open to others while the demo's own tokens are accepted.
    """
    _require_private(settings)
    port = settings.gateway_port or PORT_DEFAULT
    with _listen(settings.gateway_host, port) as listener:
        app = create_app(settings)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                ws=BoundedWebSocket,
                ws_max_size=FRAME_BYTES_MAX,
                ws_ping_interval=20,
                # A pong comes after whatever is still on its way to a slow client.
                ws_ping_timeout=60,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_DRAIN_S,
                timeout_keep_alive=75,
            )
        )
        # `serve()` would take the process's signals for itself.
        serving = asyncio.create_task(server._serve([listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
            raise CannotStart("the server ended while it started; the lines above say why")
        ready()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not serving.done():
            # Results may take minutes, streams never end by themselves: nobody is kept until the drain cuts them off.
            app.state.connections.stop_waiting()
        server.should_exit = True
        await serving


def _require_private(settings: Settings) -> None:
    """The demo's secret lies in a file of this machine: who uses it serves this machine only."""
    if settings.auth_issuer is not None or settings.auth_demo_secret is not None:
        return
    host = settings.gateway_host
    try:
        private = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        private = False
    if not private:
        raise CannotStart(
            f"DAWSOS_GATEWAY_HOST is {host}, open to others: set DAWSOS_AUTH_ISSUER, or, for a demo, "
            "DAWSOS_AUTH_DEMO_SECRET"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port} (DAWSOS_GATEWAY_HOST, DAWSOS_GATEWAY_PORT): {error}"
        ) from None
