"""The console: its files, and the one-time links that log in to it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from gateway.login_codes import login_codes
from gateway.problems import Problem, responses
from topics.errors import Code

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}

router = APIRouter(tags=["console"])


class Login(BaseModel):
    """A one-time code of `dawsos console`."""

    code: str = Field(min_length=1, max_length=256)


class LoggedIn(BaseModel):
    """The token the code stood for."""

    token: str


@router.post(
    "/console/sessions",
    operation_id="createConsoleSession",
    summary="Exchange a one-time code for a token",
    responses=responses(Code.UNAUTHENTICATED, Code.UPSTREAM_FAILED),
)
async def create_session(login: Login, connection: HTTPConnection) -> LoggedIn:
    """Return the token that `dawsos console` has left for the bearer of the code. The code is good once."""
    state = connection.app.state
    data = await login_codes(state.connections.redis, state.connections.settings.topic_prefix).take(login.code)
    if data is None:
        raise Problem(Code.UNAUTHENTICATED, "the code is unknown, was used before, or is too old")
    return LoggedIn(token=data.decode())


class _Files(StaticFiles):
    """Files with the headers a console needs. Versioned files never change; others are asked for again, by ETag."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                versioned = "/vendor/" in scope["path"] and message["status"] == 200
                headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
            await send(message)

        await super().__call__(scope, receive, with_headers)


def mount(app: FastAPI) -> None:
    """Serve the console below `/console/`; `/` and `/console` lead there."""

    @app.get("/", include_in_schema=False)
    @app.get("/console", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/console/")

    folder = Path(str(files("gateway").joinpath("console")))
    app.mount("/console", _Files(directory=folder, html=True), name="console")
