"""One websocket: five small jobs around a session, until one of them ends it.

Reading frames, sending what waits in the outbox, following results, showing progress, and watching the clock. Nobody
waits for a client: a job that finds no room in its outbox for ten seconds ends the session, with code 1013.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from gateway.bridge import cursor
from gateway.bridge.frames import FrameInvalid, read_frame
from gateway.bridge.hub import HistoryUnavailable, Hub, SlowClient
from gateway.bridge.outbox import OutboxFull
from gateway.bridge.session import Session
from gateway.bridge.states import States
from gateway.bridge.tickets import Tickets
from orchestrator.execution import TERMINAL
from services.tokens import Principal
from streams.progress_feed import Progress, ProgressFeed, WatchOverflow
from topics.errors import Code, RetryableError
from topics.socket import (
    Authenticate,
    Authenticated,
    Heartbeat,
    Ping,
    SessionEnding,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Welcome,
)

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
WARN_S = 60.0
CLOSE_S = 90.0
FRAMES_BURST = 20
FRAMES_PER_S = 5.0
FAULTS_MAX = 10
# A close frame holds at most 125 bytes, two of them its code.
_REASON_BYTES_MAX = 123


class SessionOver(Exception):
    """The session ends.

    Args:
        code: of the close frame.
        reason: for people, at most 123 bytes.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Line:
    """An accepted websocket and its session.

    Args:
        websocket: accepted.
        hub: of this gateway.
        feed: progress of executions.
        states: encodes progress.
        tickets: for clients that authenticate again.
        principal: who it is.
        heartbeat_s: never silent for longer.
    """

    def __init__(
        self,
        websocket: WebSocket,
        hub: Hub,
        feed: ProgressFeed,
        states: States,
        tickets: Tickets,
        principal: Principal,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._websocket = websocket
        self._hub = hub
        self._feed = feed
        self._states = states
        self._tickets = tickets
        self._heartbeat_s = heartbeat_s
        self._ends_at = principal.expires_at
        self._prolonged = asyncio.Event()
        self._behind = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._announce = False
        self._sent: str | None = None
        self.session = Session(principal, hub.cursor)

    async def run(self) -> None:
        """Serve until the client goes or the session is over."""
        self._hub.add(self.session, self._behind.set)
        self.session.put(
            Welcome(
                tenant=self.session.principal.tenant,
                user_id=self.session.principal.user_id,
                heartbeat_s=self._heartbeat_s,
                session_ends_at_ms=round(self._ends_at * 1000),
            )
        )
        jobs = [
            asyncio.create_task(job, name=name)
            for name, job in (
                ("read", self._read()),
                ("send", self._send()),
                ("follow", self._follow()),
                ("progress", self._progress()),
                ("clock", self._clock()),
            )
        ]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            over = _outcome(done)
        finally:
            self._hub.remove(self.session)
            self.session.outbox.clear()
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        if over is not None:
            await self._close(over)

    async def _close(self, over: SessionOver) -> None:
        """Say why; a client that takes nothing is left to the protocol, which cuts it off."""
        reason = over.reason
        if over.code == 1013 and self._sent is not None and len(self._sent) <= _REASON_BYTES_MAX:
            reason = self._sent
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(CLOSE_S):
                await self._websocket.close(over.code, reason)

    async def _send(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    message = await self.session.outbox.get()
            except TimeoutError:
                self.session.put(Heartbeat())
                continue
            await self._websocket.send_text(message.text)
            if message.cursor is not None:
                self._sent = message.cursor

    async def _read(self) -> None:
        allowance, faults = float(FRAMES_BURST), 0
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            event = await self._websocket.receive()
            if event["type"] != "websocket.receive":
                raise WebSocketDisconnect(event.get("code", 1005))
            now = loop.time()
            allowance = min(float(FRAMES_BURST), allowance + (now - last) * FRAMES_PER_S) - 1
            last = now
            if allowance < 0:
                raise SessionOver(1008, f"too many frames: more than {FRAMES_PER_S:g} a second")
            text = event.get("text")
            if text is None:
                raise SessionOver(1003, "expected text frames")
            fault = await self._obey(text)
            if fault is not None:
                faults += 1
                if faults > FAULTS_MAX:
                    raise SessionOver(1008, "too many frames that were not understood")
                self.session.refuse(*fault)

    async def _obey(self, text: str) -> tuple[Code, str] | None:
        try:
            message = read_frame(text)
        except FrameInvalid as error:
            return Code.INVALID_REQUEST, str(error)
        match message:
            case Subscribe():
                return self._subscribe(message)
            case Unsubscribe():
                self.session.unsubscribe()
            case Ping():
                self.session.put(Heartbeat())
            case Authenticate():
                return await self._authenticate(message)
        return None

    def _subscribe(self, message: Subscribe) -> tuple[Code, str] | None:
        if not (message.all or message.executions or message.patterns):
            return Code.INVALID_REQUEST, "expected all, or some executions or patterns to watch"
        try:
            position = cursor.decode(message.cursor or self._hub.cursor())
        except cursor.CursorInvalid as error:
            return Code.INVALID_REQUEST, f"/cursor: {error}"
        self.session.subscribe(message, position)
        self._announce = True
        self._behind.set()
        return None

    async def _authenticate(self, message: Authenticate) -> tuple[Code, str] | None:
        try:
            principal = await self._tickets.redeem(message.ticket)
        except RetryableError:
            return Code.UPSTREAM_FAILED, "tickets cannot be checked now; try again"
        if principal is None:
            return Code.UNAUTHENTICATED, "the ticket is unknown, was used before, or is too old"
        known = self.session.principal
        if (principal.tenant, principal.user_id) != (known.tenant, known.user_id):
            raise SessionOver(1008, "the ticket is another user's")
        self._ends_at = max(self._ends_at, principal.expires_at)
        self._prolonged.set()
        self.session.put(Authenticated(session_ends_at_ms=round(self._ends_at * 1000)))
        return None

    async def _follow(self) -> None:
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                await self._hub.follow(self.session)
            except cursor.CursorInvalid as error:
                self.session.unsubscribe()
                self._announce = False
                self.session.refuse(Code.INVALID_REQUEST, f"/cursor: {error}")
                continue
            if self._announce and self.session.live:
                self._announce = False
                self.session.put(Subscribed(cursor=self._hub.cursor()))
                self._subscribed.set()

    async def _progress(self) -> None:
        """Show how what is watched stands, anew for each subscription."""
        await self._subscribed.wait()
        while True:
            self._subscribed.clear()
            jobs = [asyncio.create_task(self._show()), asyncio.create_task(self._wait_subscribed())]
            try:
                done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)

    async def _wait_subscribed(self) -> None:
        await self._subscribed.wait()

    async def _show(self) -> None:
        owner = self.session.principal
        while True:
            with self._feed.watch(owner.tenant, owner.user_id) as watch, suppress(WatchOverflow):
                while True:
                    for progress in await watch.next():
                        await self._show_one(progress)

    async def _show_one(self, progress: Progress) -> None:
        view = progress.view
        if view.status in TERMINAL or not self.session.watches(view.execution_id, view.pattern_id):
            return
        await self._hub.room(self.session)
        # Meanwhile its result may have been sent, or the subscription replaced.
        if self._hub.has_ended(view.execution_id) or not self.session.watches(view.execution_id, view.pattern_id):
            return
        self.session.put_progress(view.execution_id, self._states.encode(progress))

    async def _clock(self) -> None:
        while True:
            left_s = self._ends_at - time.time()
            warn_s = min(WARN_S, max(left_s / 2, 0.0))
            if await self._prolonged_within(left_s - warn_s):
                continue
            self.session.put(SessionEnding(session_ends_at_ms=round(self._ends_at * 1000)))
            if not await self._prolonged_within(self._ends_at - time.time()):
                raise SessionOver(4401, "the session's token has expired")

    async def _prolonged_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._prolonged.wait()
        except TimeoutError:
            return False
        self._prolonged.clear()
        return True


def _outcome(done: set[asyncio.Task[None]]) -> SessionOver | None:
    """Return how the session ends; None when the client is gone."""
    for job in done:
        error = job.exception()
        if error is None or isinstance(error, WebSocketDisconnect):
            return None
    error = next(iter(done)).exception()
    if isinstance(error, SessionOver):
        return error
    if isinstance(error, SlowClient | OutboxFull):
        return SessionOver(1013, "too slow; subscribe again with the last cursor")
    if isinstance(error, HistoryUnavailable):
        return SessionOver(1013, "older results cannot be read now; try again with the same cursor")
    log.error("a websocket session failed", exc_info=error)
    return SessionOver(1011, "something went wrong here")
