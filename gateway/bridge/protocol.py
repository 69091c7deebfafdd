"""uvicorn's websocket protocol, with three things it lacks.

A peer that takes nothing is cut off, headers are not logged, and an upgrade that was refused is no error. Without the
first, a stopped client keeps its connection and up to 64 KiB for as long as its TCP stack answers.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STALLED_S = 60.0


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Cuts the line when nothing could be written for a minute."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stalled: asyncio.TimerHandle | None = None
        # At DEBUG the library would log headers, and with them tickets and tokens.
        self.conn.debug = False

    async def send(self, message: Any) -> None:
        """Send; an answer by HTTP ends the handshake, too."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def pause_writing(self) -> None:
        """Count from when the buffer is full."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count no more."""
        self._settle()
        super().connection_lost(exc)

    def _settle(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
