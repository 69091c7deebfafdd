"""The HTTP application: routers, error bodies, and what it is connected to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from gateway import problems
from gateway.connections import open_connections
from gateway.routes import executions, health, patterns
from settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects when it starts.

    Args:
        settings: with all addresses.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_connections(settings) as connections:
            app.state.connections = connections
            yield

    app = FastAPI(
        title="DawsOS executor",
        version=version("dawsos-executor"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    problems.install(app)
    for router in (executions.router, patterns.router, health.router):
        app.include_router(router)
    return app
