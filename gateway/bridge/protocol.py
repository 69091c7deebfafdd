"""uvicorn's websocket protocol, with two things it lacks: a peer that takes nothing is cut off, headers are not logged.

Without the first, a stopped client keeps its connection and up to 64 KiB for as long as its TCP stack answers.
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
