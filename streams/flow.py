"""Flow control: how many executions may be in flight, and who is next when there is room. Pure: no clock, no I/O.

Every limit is divided by the number of partitions, so each partition decides alone, and a change of owners needs no
agreement between workers. In flight is what does work: an execution that waits for its pack, or in the queue, takes no
room. Queued executions are rows; what is kept here is only their order, and it is made again from the rows after
each take-over. Tenants take turns; within a tenant the oldest comes first.
"""

from collections import OrderedDict
from math import ceil

from orchestrator.execution import IN_FLIGHT, Status

# A start signal that did nothing for so long is sent again; a repeated one does no harm.
RESEND_MS = 5_000
# What was fetched when fetching stops still comes.
_HOLD_FROM = 0.9
_RELEASE_AT = 0.5


class PartitionFlow:
    """The executions of one partition that are in flight or queued.

    Args:
        in_flight_max: of all tenants together.
        tenant_in_flight_max: of one tenant.
        queued_max: queued rows; `held` becomes true shortly before, and false again at half of it.

    Attributes:
        in_flight: executions that take room, those whose start signal is under way included.
        held: no more requests should be taken.
    """

    def __init__(self, in_flight_max: int, tenant_in_flight_max: int, queued_max: int) -> None:
        self._in_flight_max = in_flight_max
        self._tenant_max = tenant_in_flight_max
        self._queued_max = queued_max
        self._of_tenant: dict[str, int] = {}
        self._queues: dict[str, OrderedDict[bytes, None]] = {}
        self._waiting = 0
        # Tenants that have somebody queued and room for one more, in their turn.
        self._turns: OrderedDict[str, None] = OrderedDict()
        # Start signals under way: tenant, and when it was sent; oldest first.
        self._starting: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self.in_flight = 0
        self.held = False

    @property
    def queued(self) -> int:
        """Queued rows."""
        return self._waiting + len(self._starting)

    def in_flight_of(self, tenant: str) -> int:
        """Return how many executions of a tenant take room."""
        return self._of_tenant.get(tenant, 0)

    def full(self, tenant: str) -> bool:
        """Tell whether an execution of this tenant that would begin now has to queue. Nobody overtakes."""
        return (
            self.in_flight >= self._in_flight_max
            or self._of_tenant.get(tenant, 0) >= self._tenant_max
            or bool(self._turns)
            or tenant in self._queues
        )

    def moved(self, key: bytes, tenant: str, before: Status | None, after: Status) -> None:
        """Note that an execution changed its status (None: it is new, or found at a take-over)."""
        if before is after:
            return
        had_room, has_room = before in IN_FLIGHT, after in IN_FLIGHT
        if before is Status.QUEUED:
            if self._starting.pop(key, None) is not None:
                had_room = True
            else:
                self._drop(key, tenant)
        if has_room and not had_room:
            self._take(tenant)
        elif had_room and not has_room:
            self._release(tenant)
        if after is Status.QUEUED:
            self._queues.setdefault(tenant, OrderedDict())[key] = None
            self._waiting += 1
        self._refresh(tenant)
        if self.queued >= self._queued_max * _HOLD_FROM:
            self.held = True
        elif self.queued <= self._queued_max * _RELEASE_AT:
            self.held = False

    def starts(self, now_ms: int) -> list[tuple[bytes, str]]:
        """Return key and tenant of the executions to be started now; their room is taken from here on.

        Args:
            now_ms: a clock's milliseconds; signals sent `RESEND_MS` ago are returned again.

        Cost: O(what is returned).
        """
        found: list[tuple[bytes, str]] = []
        starting = self._starting
        while starting:
            key, (tenant, sent_at_ms) = next(iter(starting.items()))
            if now_ms < sent_at_ms + RESEND_MS:
                break
            starting[key] = (tenant, now_ms)
            starting.move_to_end(key)
            found.append((key, tenant))
        while self._turns and self.in_flight < self._in_flight_max:
            tenant, _ = self._turns.popitem(last=False)
            key = next(iter(self._queues[tenant]))
            self._drop(key, tenant)
            self._take(tenant)
            starting[key] = (tenant, now_ms)
            self._refresh(tenant)
            found.append((key, tenant))
        return found

    def _take(self, tenant: str) -> None:
        self.in_flight += 1
        self._of_tenant[tenant] = self._of_tenant.get(tenant, 0) + 1

    def _release(self, tenant: str) -> None:
        count = self._of_tenant.get(tenant)
        if count is None:
            return
        self.in_flight -= 1
        if count > 1:
            self._of_tenant[tenant] = count - 1
        else:
            del self._of_tenant[tenant]

    def _drop(self, key: bytes, tenant: str) -> None:
        queue = self._queues.get(tenant)
        if queue is None or key not in queue:
            # Its rows could not be read at the take-over, so nobody told of it.
            return
        del queue[key]
        self._waiting -= 1
        if not queue:
            del self._queues[tenant]

    def _refresh(self, tenant: str) -> None:
        if tenant not in self._queues or self._of_tenant.get(tenant, 0) >= self._tenant_max:
            self._turns.pop(tenant, None)
        elif tenant not in self._turns:
            self._turns[tenant] = None


class FlowControl:
    """The flow of every partition a worker owns.

    Args:
        partitions: of the engine topics; the limits are divided by it and rounded up.
        in_flight_max: executions in flight, over all partitions.
        tenant_in_flight_max: of one tenant, over all partitions.
        queued_max: queued rows, over all partitions.
    """

    def __init__(self, partitions: int, in_flight_max: int, tenant_in_flight_max: int, queued_max: int) -> None:
        limits = (in_flight_max, tenant_in_flight_max, queued_max)
        self._shares = tuple(ceil(limit / partitions) for limit in limits)
        self._flows: dict[int, PartitionFlow] = {}

    def of(self, partition: int) -> PartitionFlow:
        """Return the flow of a partition."""
        flow = self._flows.get(partition)
        if flow is None:
            flow = self._flows[partition] = PartitionFlow(*self._shares)
        return flow

    def items(self) -> list[tuple[int, PartitionFlow]]:
        """Return every partition anything is known of, with its flow."""
        return list(self._flows.items())

    def held(self) -> frozenset[int]:
        """Return the partitions that should take no more requests."""
        return frozenset(partition for partition, flow in self._flows.items() if flow.held)

    def clear(self) -> None:
        """Forget everything: the rows are about to be told again."""
        self._flows.clear()
