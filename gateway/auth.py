"""Who a request is from, and whether the role allows what it asks for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection, Request

from gateway.connections import Connections, connections_of
from gateway.problems import Problem, unknown_parameter
from services.tokens import KeysUnavailable, Principal, Role, TokenRefused
from topics.errors import Code

__all__ = ["Admin", "Caller", "Operator", "Principal", "Role", "principal_of"]

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    bearerFormat="JWT",
    description="A JWT of the configured issuer, or of the demo (`dawsos token`), with claims tenant, sub and role.",
)


async def principal_of(connection: HTTPConnection, token: str | None) -> Principal:
    """Return who a token stands for; for requests and websockets alike.

    Raises:
        Problem: UNAUTHENTICATED; UPSTREAM_FAILED when the issuer's keys are not known now.
    """
    connected: Connections = connections_of(connection)
    if not token:
        raise Problem(Code.UNAUTHENTICATED, "expected a header Authorization: Bearer …")
    try:
        return await connected.verifier.verify(token)
    except TokenRefused as refused:
        challenge = 'Bearer realm="dawsos", error="invalid_token"'
        raise Problem(Code.UNAUTHENTICATED, str(refused), headers={"WWW-Authenticate": challenge}) from None
    except KeysUnavailable as error:
        raise Problem(Code.UPSTREAM_FAILED, str(error)) from None


async def keep_rate(connected: Connections, principal: Principal) -> None:
    """Count one request of a principal.

    Raises:
        Problem: RATE_LIMITED.
    """
    wait_s = await connected.limit.wait_s(principal.tenant, str(principal.user_id))
    if wait_s > 0:
        connected.metrics.refused.labels("rate").inc()
        raise Problem(Code.RATE_LIMITED, "too many requests of this user or tenant", retry_after_s=wait_s)


async def _caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> Principal:
    principal = await principal_of(request, credentials.credentials if credentials else None)
    await keep_rate(connections_of(request), principal)
    _refuse_unknown_parameters(request)
    return principal


def _refuse_unknown_parameters(request: Request) -> None:
    """A filter that is misspelt would otherwise be one that lets everything through.

    Raises:
        Problem: INVALID_REQUEST, each query parameter that the operation does not document, or that comes twice.
    """
    if not request.query_params:
        return
    given = [name for name, _ in request.query_params.multi_items()]
    operation = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    faults = {name: unknown_parameter(name, known) for name in given if name not in known}
    # Which one is meant nobody knows; no operation takes lists.
    faults |= {name: "expected it once" for name in known if given.count(name) > 1}
    if faults:
        errors = [{"pointer": f"?{name}", "detail": text} for name, text in faults.items()]
        detail = "; ".join(f"{error['pointer']}: {error['detail']}" for error in errors)
        raise Problem(Code.INVALID_REQUEST, detail, errors=errors)


Caller = Annotated[Principal, Depends(_caller)]


async def _operator(caller: Caller) -> Principal:
    return require_role(caller, Role.OPERATOR)


async def _admin(caller: Caller) -> Principal:
    return require_role(caller, Role.ADMIN)


def require_role(caller: Principal, role: Role) -> Principal:
    """Return the caller.

    Raises:
        Problem: FORBIDDEN, its role does not cover that one.
    """
    if not caller.role.covers(role):
        raise Problem(Code.FORBIDDEN, f"expected the role {role}, the token has {caller.role}")
    return caller


Operator = Annotated[Principal, Depends(_operator)]
Admin = Annotated[Principal, Depends(_admin)]
