"""The websocket over real Kafka, Postgres and Redis: who may open it, what it carries, what ends it."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from gateway.bridge import cursor
from tests.bridge.client import receive, results, send, subscribe
from tests.bridge.conftest import ALICE, BOB, Gateway, Place
from topics.socket import FRAME_BYTES_MAX, SUBPROTOCOL

pytestmark = pytest.mark.integration


async def status_of(gateway: Gateway, **options: object) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with gateway.socket(**options):  # pyright: ignore[reportArgumentType]
            pass
    body = refused.value.response.body
    assert body is None or b"Traceback" not in body
    return refused.value.response.status_code


async def closing(socket: object) -> tuple[int, str]:
    """Read until the server closes; its code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await receive(socket)  # pyright: ignore[reportArgumentType]
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_one_user_sees_the_own_results_and_nobody_elses(place: Place, gateway: Gateway) -> None:
    async with (
        gateway.socket() as alice,
        gateway.socket(gateway.token(BOB)) as bob,
        gateway.socket(gateway.token(ALICE, "other")) as other,
    ):
        for socket in (alice, bob, other):
            assert (await receive(socket))["type"] == "Welcome"
            await subscribe(socket)
        mine = await place.publish(ALICE, count=3)
        theirs = await place.publish(BOB)
        foreign = await place.publish(ALICE, "other")
        assert sorted((await results(alice, 3))[0]) == sorted(mine)
        assert (await results(bob, 1))[0] == theirs
        assert (await results(other, 1))[0] == foreign
        for socket in (alice, bob, other):
            with pytest.raises(TimeoutError):
                await receive(socket, 0.3)


async def test_by_id_by_pattern_and_replaced(place: Place, gateway: Gateway) -> None:
    async with gateway.socket() as socket:
        await subscribe(socket, patterns=["wanted"], results=True)
        await place.publish(pattern="other")
        (wanted,) = await place.publish(pattern="wanted", data={"answer": 42})
        message = await receive(socket)
        while message["type"] != "ResultArrived":
            message = await receive(socket)
        assert message["execution_id"] == wanted
        assert message["result"]["data"] == {"answer": 42}
        assert (await subscribe(socket, executions=[wanted]))[0] == [wanted]
        await subscribe(socket, executions=["00000000-0000-0000-0000-000000000000"])
        await place.publish(pattern="wanted")
        with pytest.raises(TimeoutError):
            await receive(socket, 0.3)
        await send(socket, "Unsubscribe")
        await send(socket, "Ping")


async def test_a_large_result_comes_without_its_body(place: Place, gateway: Gateway) -> None:
    async with gateway.socket() as socket:
        await subscribe(socket, all=True, results=True)
        await place.publish(data={"text": "x" * 300_000})
        message = await receive(socket)
        assert message["type"] == "ResultArrived" and "result" not in message


async def test_a_ticket_is_good_once_and_only_for_pages_of_this_origin(gateway: Gateway) -> None:
    token = gateway.token()
    ticket = await gateway.ticket(token)
    async with gateway.socket(ticket=ticket, headers={"Origin": gateway.url}) as socket:
        assert (await receive(socket))["user_id"] == str(ALICE)
    assert await status_of(gateway, ticket=ticket) == 401
    fresh = await gateway.ticket(token)
    assert await status_of(gateway, ticket=fresh, headers={"Origin": "https://evil.example"}) == 403
    assert await status_of(gateway, ticket="x" * 43) == 401
    assert await status_of(gateway, token="not.a.token") == 401
    assert await status_of(gateway, token=gateway.token(lifetime_s=-60)) == 401
    for secret in (ticket, fresh, token):
        assert secret not in gateway.log()


async def test_a_socket_without_the_sub_protocol_or_a_token_is_refused(gateway: Gateway) -> None:
    for protocols, expected in ((None, 422), ([SUBPROTOCOL], 401)):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{gateway.port}/ws", subprotocols=protocols, proxy=None):  # pyright: ignore[reportArgumentType]
                pass
        assert refused.value.response.status_code == expected
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"{gateway.url}/ws-tickets")).status_code == 401
        assert (await client.get(f"{gateway.url}/ws")).status_code in (404, 405, 426)


async def test_a_session_ends_with_its_token_unless_it_is_renewed(gateway: Gateway) -> None:
    async with (
        gateway.socket(gateway.token(lifetime_s=2)) as short,
        gateway.socket(gateway.token(lifetime_s=2)) as long,
    ):
        started = time.monotonic()
        await subscribe(short)
        await subscribe(long)
        assert (await receive(long))["type"] == "SessionEnding"
        await send(long, "Authenticate", ticket="y" * 43)
        assert (await receive(long))["error"]["code"] == "UNAUTHENTICATED"
        await send(long, "Authenticate", ticket=await gateway.ticket(gateway.token()))
        assert (await receive(long))["type"] == "Authenticated"
        code, _ = await closing(short)
        assert code == 4401 and time.monotonic() - started < 10
        await send(long, "Ping")
        with pytest.raises(TimeoutError):
            await receive(long, 0.5)


async def test_nobody_goes_on_with_another_users_ticket(gateway: Gateway) -> None:
    async with gateway.socket() as socket:
        await send(socket, "Authenticate", ticket=await gateway.ticket(gateway.token(BOB)))
        assert (await closing(socket))[0] == 1008


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        '"Subscribe"',
        '{"type":"Nothing","v":1}',
        '{"type":"Subscribe","v":2,"all":true}',
        '{"type":"Subscribe","v":1}',
        '{"type":"Subscribe","v":1,"all":"yes"}',
        '{"type":"Subscribe","v":1,"all":true,"cursor":"nonsense"}',
        '{"type":"Subscribe","v":1,"executions":["../../etc"]}',
        '{"type":"Subscribe","v":1,"executions":' + "[" * 5000 + "]" * 5000 + "}",
        '{"type":"Authenticate","v":1,"ticket":"' + "x" * 300 + '"}',
        "\u0000\ud7ff",
    ],
)
async def test_a_frame_that_is_wrong_is_refused_and_the_socket_stays(gateway: Gateway, frame: str) -> None:
    async with gateway.socket() as socket:
        assert (await receive(socket))["type"] == "Welcome"
        await socket.send(frame)
        message = await receive(socket)
        assert message["type"] == "Refused" and message["error"]["code"] == "INVALID_REQUEST", message
        await subscribe(socket)


async def test_misuse_ends_the_socket_and_nothing_else(gateway: Gateway) -> None:
    async with gateway.socket() as socket:
        await socket.send("x" * (FRAME_BYTES_MAX + 1))
        assert (await closing(socket))[0] == 1009
    async with gateway.socket() as socket:
        await socket.send(b"bytes")
        assert (await closing(socket))[0] == 1003
    async with gateway.socket() as socket:
        for _ in range(12):
            await socket.send("{")
        assert (await closing(socket))[0] == 1008
    async with gateway.socket() as socket:
        for _ in range(40):
            await send(socket, "Ping")
        assert (await closing(socket))[0] == 1008
    async with gateway.socket() as socket:
        await subscribe(socket)


async def test_a_cursor_ahead_of_everything_is_refused(gateway: Gateway) -> None:
    async with gateway.socket() as socket:
        assert (await receive(socket))["type"] == "Welcome"
        await send(socket, "Subscribe", all=True, cursor=cursor.encode([10**12] * 4))
        message = await receive(socket)
        assert message["type"] == "Refused" and "/cursor" in message["error"]["message"]
        await subscribe(socket)


async def test_a_refused_cursor_does_not_end_the_subscription_that_replaced_it(place: Place, gateway: Gateway) -> None:
    async with gateway.socket() as socket:
        assert (await receive(socket))["type"] == "Welcome"
        await send(socket, "Subscribe", all=True, cursor=cursor.encode([10**12] * 4))
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        await subscribe(socket)
        assert time.monotonic() - begun < 2
        (published,) = await place.publish()
        assert (await receive(socket))["execution_id"] == published


async def test_what_is_refused_before_the_upgrade_is_said_and_no_error_of_the_server(gateway: Gateway) -> None:
    async def refused(query: str = "", **headers: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {gateway.token()}", **headers}
        with pytest.raises(InvalidStatus) as said:
            async with connect(
                f"ws://127.0.0.1:{gateway.port}/ws{query}",
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=headers,
                proxy=None,
            ):
                pass
        body = json.loads(said.value.response.body or b"")
        assert said.value.response.status_code == body["status"]
        return body

    body = await refused("?token=abc")
    assert body["status"] == 422 and body["errors"][0]["pointer"] == "?token"
    body = await refused(Origin="https://evil.example")
    assert (body["status"], body["title"]) == (403, "This is not allowed")
    assert "https://evil.example" in body["detail"] and "DAWSOS_CORS_ORIGINS" in body["detail"]
    assert (await refused(Authorization="Bearer x"))["status"] == 401
    assert "completing handshake" not in gateway.log()
