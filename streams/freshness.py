"""What this worker knows about pricing packs, and who waits for them.

Every orchestrator follows `pack-events` on its own. An execution that parks is registered here; when its pack's status
is, or becomes, anything but warming, the gate is opened by a signal. Nothing is durable: after each recovery the
parked executions register again and are checked against what is known by then.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from topics.codec import decode
from topics.messages import PackEvent, PackRef, PackStatus

OpenGate = Callable[[bytes, PackRef], Awaitable[None]]


class FreshnessMap:
    """Newest status of each pack, and the executions parked on it.

    Args:
        open_gate: sends `GateOpened` to an execution, given its key and the pack.
    """

    def __init__(self, open_gate: OpenGate) -> None:
        self._open_gate = open_gate
        self._packs: dict[UUID, PackEvent] = {}
        self._parked: dict[UUID, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._parked.values())

    def status(self, pack_id: UUID) -> PackStatus | None:
        """Return a pack's newest known status."""
        event = self._packs.get(pack_id)
        return None if event is None else event.pack.status

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
        known = self._packs.get(event.pack.pack_id)
        if known is not None and known.seq >= event.seq:
            return
        self._packs[event.pack.pack_id] = event
        if event.pack.status is not PackStatus.WARMING:
            for key in sorted(self._parked.pop(event.pack.pack_id, ())):
                await self._open_gate(key, event.pack)

    async def park(self, key: bytes, pack_id: UUID) -> None:
        """Register an execution; open its gate at once if the pack's status has changed meanwhile."""
        event = self._packs.get(pack_id)
        if event is not None and event.pack.status is not PackStatus.WARMING:
            await self._open_gate(key, event.pack)
        else:
            self._parked.setdefault(pack_id, set()).add(key)

    def clear(self) -> None:
        """Forget who is parked; what is known about packs stays."""
        self._parked.clear()
