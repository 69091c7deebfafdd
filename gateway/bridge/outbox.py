"""What waits to be sent to one client: bounded, and of a state only the newest.

When it is full, results are no longer put in but read from the window once there is room again, so a burst costs a
client that keeps up nothing; one that makes no room in time is closed, and its cursor says where it stands.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

MESSAGES_MAX = 1000
CHARS_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and the cursor a client has that received it; None before its subscription."""

    text: str
    cursor: str | None = None


class OutboxFull(Exception):
    """The client does not keep up."""


class Outbox:
    """Messages in order.

    Args:
        messages_max: more than this is too many.
        chars_max: the same in characters; one message of any length always finds room in an empty outbox.
    """

    def __init__(self, messages_max: int = MESSAGES_MAX, chars_max: int = CHARS_MAX) -> None:
        self._messages_max = messages_max
        self._chars_max = chars_max
        self._waiting: OrderedDict[object, Outgoing] = OrderedDict()
        self._chars = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def put(self, message: Outgoing, key: object = None) -> None:
        """Add a message.

        Args:
            message: to be sent.
            key: a waiting message with this key is replaced; None for one that stands alone.

        Raises:
            OutboxFull: there is no room; nothing was added.
        """
        if key is None:
            key = object()
        else:
            self.drop(key)
        full = len(self._waiting) >= self._messages_max or self._chars + len(message.text) > self._chars_max
        if full and self._waiting:
            raise OutboxFull
        self._waiting[key] = message
        self._chars += len(message.text)
        self._filled.set()
        if len(self._waiting) > self._messages_max // 2 or self._chars > self._chars_max // 2:
            self._drained.clear()

    def drop(self, key: object) -> None:
        """Take back a waiting message, if there is one."""
        message = self._waiting.pop(key, None)
        if message is not None:
            self._chars -= len(message.text)
            self._settle()

    def clear(self) -> None:
        """Take back everything."""
        self._waiting.clear()
        self._chars = 0
        self._settle()

    async def get(self) -> Outgoing:
        """Return the next message as soon as there is one."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        _, message = self._waiting.popitem(last=False)
        self._chars -= len(message.text)
        self._settle()
        return message

    async def drained(self) -> None:
        """Return as soon as the outbox is at most half full."""
        await self._drained.wait()

    def _settle(self) -> None:
        if len(self._waiting) <= self._messages_max // 2 and self._chars <= self._chars_max // 2:
            self._drained.set()
