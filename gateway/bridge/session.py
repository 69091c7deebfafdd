"""One client of the bridge: what it watches, where it stands, what waits to be sent to it. No I/O of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
from pydantic import BaseModel

from gateway.bridge import cursor
from gateway.bridge.outbox import Outbox, Outgoing
from gateway.bridge.result import Owner, Result
from services.tokens import Principal
from topics.codec import encode
from topics.errors import Code
from topics.messages import ErrorBody
from topics.socket import Refused, Subscribe


class Session:
    """A client's session.

    Args:
        principal: whose executions it may see.
        now: the cursor of a client that has everything.
        outbox: what waits to be sent.

    Attributes:
        selection: what it watches; None for nothing.
        position: by partition the first offset it was not given; None while it is live, and gets what comes.
        named: executions it asks for by id without a cursor; their results are given also if they ended before.
        generation: counts subscriptions, so that one that was replaced stops catching up.
    """

    def __init__(self, principal: Principal, now: Callable[[], str], outbox: Outbox | None = None) -> None:
        self.principal = principal
        self.owner: Owner = (principal.tenant, principal.user_id)
        self.outbox = Outbox() if outbox is None else outbox
        self.selection: Subscribe | None = None
        self.position: list[int] | None = None
        self.named: frozenset[str] = frozenset()
        self.generation = 0
        self._now = now
        self._executions: frozenset[str] = frozenset()
        self._patterns: frozenset[str] = frozenset()

    @property
    def live(self) -> bool:
        """Whether what comes is for it at once."""
        return self.selection is not None and self.position is None

    def subscribe(self, selection: Subscribe, position: Sequence[int]) -> int:
        """Watch something, from a position on; returns the subscription's generation."""
        self.selection = selection
        self.position = list(position)
        self._executions = frozenset(selection.executions)
        self._patterns = frozenset(selection.patterns)
        self.named = self._executions if selection.cursor is None else frozenset()
        self.generation += 1
        return self.generation

    def unsubscribe(self) -> None:
        """Watch nothing."""
        self.selection = None
        self.position = None
        self.generation += 1

    def watches(self, execution_id: str, pattern_id: str | None) -> bool:
        """Whether an execution of its owner is among what it watches."""
        chosen = self.selection
        if chosen is None:
            return False
        return chosen.all or execution_id in self._executions or pattern_id in self._patterns

    def cursor(self) -> str | None:
        """Return where it stands; None when it watches nothing."""
        if self.selection is None:
            return None
        return self._now() if self.position is None else cursor.encode(self.position)

    def put_result(self, result: Result, at: str) -> None:
        """Queue a result.

        Args:
            result: of its owner.
            at: the cursor after it.

        Raises:
            OutboxFull: there is no room.
        """
        whole = self.selection is not None and self.selection.results
        self.outbox.put(Outgoing(result.message(at, whole), at))

    def put_progress(self, execution_id: str, body: bytes) -> None:
        """Queue the state of an execution, given as JSON, in place of one that is still unsent.

        Raises:
            OutboxFull: there is no room.
        """
        at = self.cursor() or ""
        text = b'{"type":"ExecutionProgress","v":1,"cursor":"%b","execution":%b}' % (at.encode(), body)
        self.outbox.put(Outgoing(text.decode(), at), execution_id)

    def put(self, message: BaseModel) -> None:
        """Queue any other message with the session's cursor.

        Raises:
            OutboxFull: there is no room.
        """
        at = self.cursor()
        data = orjson.loads(encode(message))
        if at is not None:
            data["cursor"] = at
        self.outbox.put(Outgoing(orjson.dumps(data).decode(), at))

    def refuse(self, code: Code, message: str) -> None:
        """Queue an error.

        Raises:
            OutboxFull: there is no room.
        """
        self.put(Refused(error=ErrorBody(code=code, message=message)))
