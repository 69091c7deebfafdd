"""The HTTP application: layers, routers, error bodies, and what it is connected to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from gateway import openapi, problems
from gateway.bridge.bridge import Bridge
from gateway.connections import open_connections
from gateway.edge import Edge
from gateway.metrics import Metrics
from gateway.routes import (
    artifacts,
    circuits,
    console,
    dead_letters,
    execute,
    executions,
    health,
    packs,
    patterns,
    reproduction,
    socket,
)
from settings import Settings

ROUTERS = (
    execute.router,
    executions.router,
    reproduction.router,
    patterns.router,
    packs.router,
    circuits.router,
    artifacts.router,
    dead_letters.router,
    health.router,
    socket.router,
    console.router,
)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects when it starts.

    Args:
        settings: with all addresses.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_connections(settings, metrics) as connections:
            app.state.connections = connections
            with Bridge(
                settings,
                connections.client.results,
                connections.progress,
                connections.executions,
                connections.pool,
                connections.redis,
            ) as app.state.bridge:
                yield

    app = FastAPI(
        title="DawsOS executor",
        version=version("dawsos-executor"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    console.mount(app)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                "Prefer",
                "traceparent",
            ],
            expose_headers=["Content-Location", "Location", "Retry-After", "X-Request-ID", "Idempotent-Replayed"],
            max_age=600,
        )
    # The last one added is the outermost.
    app.add_middleware(Edge, body_bytes_max=settings.request_bytes_max, metrics=metrics)
    return app
