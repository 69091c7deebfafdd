"""Watch one's executions over the websocket, and miss no result: python watch.py GATEWAY TOKEN_FILE [RESULTS]

The cursor of the last message is kept in `cursor` in this folder. Stopped and started again, it prints every result
since, none twice. It ends after RESULTS results; without that number it goes on for ever.
"""

import asyncio
import json
import sys
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

CURSOR = Path("cursor")


async def watch(gateway: str, token: str, count: int | None) -> None:
    address = gateway.replace("http", "ws", 1) + "/ws"
    headers = {"Authorization": f"Bearer {token}"}
    # Reconnects by itself, and pauses longer after each failure.
    async for socket in connect(address, subprotocols=["dawsos.v1"], additional_headers=headers, proxy=None):
        try:
            subscription = {"type": "Subscribe", "v": 1, "all": True}
            if CURSOR.exists():
                subscription["cursor"] = CURSOR.read_text()
            await socket.send(json.dumps(subscription))
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "ExecutionProgress":
                    execution = message["execution"]
                    print(execution["execution_id"], execution["status"], "waits for", execution.get("waits_for"))
                elif message["type"] == "ResultArrived":
                    print(message["execution_id"], message["status"], message["digest"])
                    count = None if count is None else count - 1
                if "cursor" in message:
                    CURSOR.write_text(message["cursor"])
                if count == 0:
                    return
        except ConnectionClosed as closed:
            print("closed:", closed, file=sys.stderr)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        watch(arguments[0], Path(arguments[1]).read_text().strip(), int(arguments[2]) if arguments[2:] else None)
    )
