"""The websocket of the bridge, and the tickets that open it."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from gateway.auth import Caller, principal_of
from gateway.bridge.bridge import Bridge, origin_allowed
from gateway.bridge.tickets import LIFETIME_S
from gateway.problems import Problem, responses
from services.tokens import Principal
from topics.errors import Code, RetryableError
from topics.socket import SUBPROTOCOL, TICKET_PREFIX

router = APIRouter(tags=["socket"])
_ORIGIN_SHOWN_MAX = 200


class Ticket(BaseModel):
    """Opens one websocket."""

    ticket: str = Field(description=f"Offer `{TICKET_PREFIX}‹ticket›` as a sub-protocol beside `{SUBPROTOCOL}`.")
    expires_in_s: int = Field(description="It is good so long, and once.")


@router.post(
    "/ws-tickets",
    operation_id="createWebsocketTicket",
    summary="Get a ticket for the websocket",
    status_code=201,
    responses=responses(Code.UNAUTHENTICATED, Code.UPSTREAM_FAILED),
)
async def create_ticket(caller: Caller, connection: HTTPConnection) -> Ticket:
    """Return a ticket for browsers, which cannot send a token when they open a websocket.

    The websocket `/ws` and its messages are in the AsyncAPI document. Programs may send their token in the header
    Authorization instead.
    """
    return Ticket(ticket=await _bridge(connection).tickets.issue(caller), expires_in_s=LIFETIME_S)


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """Serve the bridge; what is wrong is said by HTTP, before the upgrade."""
    bridge = _bridge(websocket)
    try:
        principal = await _principal(websocket, bridge)
        if bridge.full(principal):
            raise Problem(Code.OVERLOADED, "there are as many websockets as there may be; try again later")
    except Problem as problem:
        await websocket.send_denial_response(problem.response())
        return
    await bridge.serve(websocket, principal)


async def _principal(websocket: WebSocket, bridge: Bridge) -> Principal:
    headers = websocket.headers
    if not origin_allowed(headers.get("origin"), headers.get("host"), bridge.allowed_origins):
        raise Problem(
            Code.FORBIDDEN,
            f"pages of {headers.get('origin', '')[:_ORIGIN_SHOWN_MAX]} may not open a websocket here; "
            "the setting DAWSOS_CORS_ORIGINS names those that may",
        )
    if websocket.query_params:
        # Above all no token, which would end up in logs.
        detail = "expected no parameters; a token belongs in the header Authorization, a ticket in a sub-protocol"
        errors = [{"pointer": f"?{name}", "detail": detail} for name in websocket.query_params]
        raise Problem(Code.INVALID_REQUEST, detail, errors=errors)
    offered = websocket.scope["subprotocols"]
    if SUBPROTOCOL not in offered:
        raise Problem(Code.INVALID_REQUEST, f"expected the sub-protocol {SUBPROTOCOL} among those offered")
    ticket = next((each.removeprefix(TICKET_PREFIX) for each in offered if each.startswith(TICKET_PREFIX)), None)
    if ticket is None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return await principal_of(websocket, token.strip() if scheme.lower() == "bearer" else None)
    try:
        principal = await bridge.tickets.redeem(ticket)
    except RetryableError:
        raise Problem(Code.UPSTREAM_FAILED, "tickets cannot be checked now; try again") from None
    if principal is None:
        raise Problem(Code.UNAUTHENTICATED, "the ticket is unknown, was used before, or is too old")
    return principal


def _bridge(connection: HTTPConnection) -> Bridge:
    return connection.app.state.bridge
