"""Fetch sessions (KIP-227): a fetch names what has changed since the last one to the same broker; so does its answer.

aiokafka names every partition in every fetch. An orchestrator has 24 of them and one changes per hop; the rest costs
both sides half a millisecond of each workflow with nothing else under way.

The broker keeps, for a session, the partitions asked for and from which offset. The client keeps the same, numbers its
requests, and begins anew whenever it cannot know whether the broker has got one: the answer was not waited for, did
not come, or says that the session is unknown. Brokers too old for the newest form of the request are asked as aiokafka
does.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11

Topics = Sequence[tuple[str, Sequence[tuple[int, int, int]]]]
"""Topic and (partition, offset, bytes at most) of each partition."""
_FIRST_EPOCH = 0
_EPOCH_MAX = 2**31 - 1


class FetchSession:
    """What one broker knows of what one consumer asks it for."""

    __slots__ = ("_epoch", "_id", "_known")

    def __init__(self) -> None:
        self._id = 0
        self._epoch = _FIRST_EPOCH
        self._known: Mapping[tuple[str, int], tuple[int, int]] = {}

    def ask(self, topics: Topics) -> tuple[int, int, Topics, list[tuple[str, list[int]]]]:
        """Return the session's id and epoch, the partitions to name, and those that are wanted no more."""
        known, wanted = self._known, {}
        named: list[tuple[str, list[tuple[int, int, int]]]] = []
        everything = self._epoch == _FIRST_EPOCH
        for topic, partitions in topics:
            changed = []
            for partition, offset, bytes_max in partitions:
                place = topic, partition
                wanted[place] = asked = offset, bytes_max
                if everything or known.get(place) != asked:
                    changed.append((partition, offset, bytes_max))
            if changed:
                named.append((topic, changed))
        forgotten: dict[str, list[int]] = {}
        if not everything:
            for topic, partition in known.keys() - wanted.keys():
                forgotten.setdefault(topic, []).append(partition)
        self._known = wanted
        return self._id, self._epoch, named, list(forgotten.items())

    def answered(self, response: "asyncio.Future[Any]") -> None:
        """Note how the last request ended."""
        if response.cancelled() or response.exception() is not None or response.result().error_code:
            # The id is kept: the next request, a first one, lets the broker drop that session.
            self._epoch = _FIRST_EPOCH
            return
        self._id = response.result().session_id
        # A broker that has no room for sessions gives none.
        self._epoch = _FIRST_EPOCH if not self._id else 1 if self._epoch == _EPOCH_MAX else self._epoch + 1


class SessionRequest(FetchRequest):
    """A fetch request that knows its session; `topics` are all partitions wanted, as for aiokafka's own."""

    def __init__(self, session: FetchSession, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._session = session
        self._numbered = False

    def build(self, request_struct_class: Any) -> Any:
        """Return the request as it is sent; called once, when it is."""
        if request_struct_class is not FetchRequest_v11:
            return super().build(request_struct_class)
        self._numbered = True
        session_id, epoch, topics, forgotten = self._session.ask(self._topics)
        return FetchRequest_v11(
            -1,
            self._max_wait_ms,
            self._min_bytes,
            self._max_bytes,
            self._isolation_level,
            session_id,
            epoch,
            [
                (topic, [(partition, -1, offset, -1, bytes_max) for partition, offset, bytes_max in partitions])
                for topic, partitions in topics
            ],
            forgotten,
            self._rack_id,
        )

    def answered(self, response: "asyncio.Future[Any]") -> None:
        """Note how it ended; called before anybody else sees the answer."""
        if self._numbered:
            self._session.answered(response)
