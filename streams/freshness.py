"""What this worker knows about pricing packs, and who waits for them.

Every orchestrator follows `pack-events` on its own. An execution that parks is registered here; when its pack's status
is, or becomes, anything but warming, the gate is opened by a signal, and so it is when another revision of the same
day is fresh. Nothing is durable: after each recovery the parked executions register again and are checked against what
is known by then.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from uuid import UUID

from topics.codec import decode
from topics.messages import PackEvent, PackRef, PackStatus

OpenGate = Callable[[bytes, PackRef], Awaitable[bool]]


class FreshnessMap:
    """Newest status of each pack, and the executions parked on it.

    Args:
        open_gate: sends `GateOpened` to an execution, given its key and the pack; False if that is no news for it.
    """

    def __init__(self, open_gate: OpenGate) -> None:
        self._open_gate = open_gate
        self._packs: dict[UUID, PackEvent] = {}
        self._fresh: dict[tuple[str, date], PackRef] = {}
        self._parked: dict[UUID, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._parked.values())

    async def on_record(self, record: object) -> None:
        """Fold one record of `pack-events`; open the gate of those who wait for it.

        Raises:
            Undecodable: not a PackEvent.
        """
        value = getattr(record, "value", None)
        if value is None:
            return
        event = decode(value, PackEvent)
        assert isinstance(event, PackEvent)
        pack = event.pack
        known = self._packs.get(pack.pack_id)
        if known is not None and known.seq >= event.seq:
            return
        self._packs[pack.pack_id] = event
        day = (pack.policy, pack.asof_date)
        if pack.status is PackStatus.FRESH:
            self._fresh[day] = pack
        elif day in self._fresh and self._fresh[day].pack_id == pack.pack_id:
            del self._fresh[day]
        for pack_id in list(self._parked):
            news = self.news(pack_id)
            if news is not None and pack in (news, self._packs[pack_id].pack):
                for key in sorted(self._parked[pack_id]):
                    await self._open(key, pack_id, news)

    def news(self, pack_id: UUID) -> PackRef | None:
        """Return the pack that those who wait for this one should hear of: itself, or a fresh revision of its day."""
        known = self._packs.get(pack_id)
        if known is None:
            return None
        if known.pack.status is not PackStatus.WARMING:
            return known.pack
        return self._fresh.get((known.pack.policy, known.pack.asof_date))

    async def park(self, key: bytes, pack_id: UUID) -> None:
        """Register an execution; open its gate at once if there are news already."""
        self._parked.setdefault(pack_id, set()).add(key)
        news = self.news(pack_id)
        if news is not None:
            await self._open(key, pack_id, news)

    async def _open(self, key: bytes, pack_id: UUID, news: PackRef) -> None:
        # Who asked for this very pack goes on waiting when another one is fresh.
        if await self._open_gate(key, news) or news.pack_id == pack_id:
            waiting = self._parked.get(pack_id, set())
            waiting.discard(key)
            if not waiting:
                self._parked.pop(pack_id, None)

    def clear(self) -> None:
        """Forget who is parked; what is known about packs stays."""
        self._parked.clear()
