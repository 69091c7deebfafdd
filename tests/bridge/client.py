"""A client of the bridge for the tests: it remembers its cursor and what it was sent."""

import asyncio
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection

from topics.socket import SERVER_TYPES

TYPES = {model.__name__: model for model in SERVER_TYPES}


async def receive(socket: ClientConnection, timeout_s: float = 15) -> dict[str, Any]:
    """The next message but heartbeats, checked against the contract."""
    while True:
        text = await asyncio.wait_for(socket.recv(), timeout_s)
        message = orjson.loads(text)
        TYPES[message["type"]].model_validate_json(text)
        if message["type"] != "Heartbeat":
            return message


async def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(orjson.dumps({"type": kind, "v": 1, **fields}).decode())


async def subscribe(socket: ClientConnection, **fields: Any) -> tuple[list[str], str]:
    """Subscribe; returns the results that came before `Subscribed`, and its cursor."""
    fields = fields or {"all": True}
    if set(fields) == {"cursor"}:
        fields["all"] = True
    await send(socket, "Subscribe", **{name: value for name, value in fields.items() if value is not None})
    found = []
    while True:
        message = await receive(socket)
        if message["type"] == "Subscribed":
            return found, message["cursor"]
        if message["type"] == "ResultArrived":
            found.append(message["execution_id"])
        else:
            assert message["type"] in ("Welcome", "ExecutionProgress"), message


async def results(socket: ClientConnection, count: int, timeout_s: float = 15) -> tuple[list[str], str]:
    """The next results and the last cursor."""
    found: list[str] = []
    cursor = ""
    while len(found) < count:
        message = await receive(socket, timeout_s)
        if message["type"] == "ResultArrived":
            found.append(message["execution_id"])
            cursor = message["cursor"]
    return found, cursor
