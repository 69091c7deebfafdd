"""Limits, turns and queues of one partition, without Kafka."""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.execution import IN_FLIGHT, Status
from streams.flow import RESEND_MS, FlowControl, PartitionFlow

A, B = "a", "b"


def admit(flow: PartitionFlow, name: str, tenant: str) -> bool:
    """Bring in a new execution; returns whether it had to queue."""
    full = flow.full(tenant)
    flow.moved(name.encode(), tenant, None, Status.QUEUED if full else Status.RUNNING)
    return full


def test_beyond_the_limit_executions_queue_and_the_oldest_is_next() -> None:
    flow = PartitionFlow(2, 2, 100)
    assert [admit(flow, name, A) for name in "1234"] == [False, False, True, True]
    assert flow.starts(0) == []
    flow.moved(b"1", A, Status.RUNNING, Status.SUCCEEDED)
    assert flow.starts(0) == [(b"3", A)]
    assert (flow.in_flight, flow.queued) == (2, 2)
    flow.moved(b"3", A, Status.QUEUED, Status.RUNNING)
    assert (flow.in_flight, flow.queued) == (2, 1)


def test_a_tenant_at_its_limit_leaves_room_for_others() -> None:
    flow = PartitionFlow(10, 2, 100)
    assert [admit(flow, name, A) for name in "123"] == [False, False, True]
    assert admit(flow, "4", B) is False


def test_tenants_take_turns_however_many_one_has_queued() -> None:
    flow = PartitionFlow(1, 1, 100_000)
    admit(flow, "first", B)
    for number in range(1000):
        admit(flow, f"a{number}", A)
    admit(flow, "b", B)
    flow.moved(b"first", B, Status.RUNNING, Status.SUCCEEDED)
    started = flow.starts(0)
    flow.moved(started[0][0], A, Status.QUEUED, Status.RUNNING)
    flow.moved(started[0][0], A, Status.RUNNING, Status.FAILED)
    assert flow.starts(0) == [(b"b", B)]


def test_nobody_overtakes_those_who_are_queued() -> None:
    flow = PartitionFlow(1, 1, 100)
    admit(flow, "1", A)
    admit(flow, "2", A)
    flow.moved(b"1", A, Status.RUNNING, Status.SUCCEEDED)
    assert flow.full(A)
    assert flow.full(B)


def test_a_start_signal_that_did_nothing_is_sent_again() -> None:
    flow = PartitionFlow(1, 1, 100)
    admit(flow, "1", A)
    admit(flow, "2", A)
    flow.moved(b"1", A, Status.RUNNING, Status.SUCCEEDED)
    assert flow.starts(1_000) == [(b"2", A)]
    assert flow.starts(1_000 + RESEND_MS - 1) == []
    assert flow.starts(1_000 + RESEND_MS) == [(b"2", A)]
    assert flow.starts(1_001 + RESEND_MS) == []
    assert flow.in_flight == 1


def test_one_that_ends_while_its_start_is_under_way_gives_its_room_back() -> None:
    flow = PartitionFlow(1, 1, 100)
    for name in "123":
        admit(flow, name, A)
    flow.moved(b"1", A, Status.RUNNING, Status.SUCCEEDED)
    assert flow.starts(0) == [(b"2", A)]
    flow.moved(b"2", A, Status.QUEUED, Status.CANCELLED)
    assert flow.starts(0) == [(b"3", A)]


def test_waiting_for_a_pack_takes_no_room() -> None:
    flow = PartitionFlow(1, 1, 100)
    admit(flow, "1", A)
    admit(flow, "2", A)
    flow.moved(b"1", A, Status.RESOLVING, Status.WAITING_FOR_PACK)
    assert flow.starts(0) == [(b"2", A)]
    flow.moved(b"2", A, Status.QUEUED, Status.RUNNING)
    assert flow.full(A)
    flow.moved(b"1", A, Status.WAITING_FOR_PACK, Status.QUEUED)
    flow.moved(b"2", A, Status.RUNNING, Status.SUCCEEDED)
    assert flow.starts(0) == [(b"1", A)]


def test_requests_are_held_shortly_before_the_bound_and_released_at_half() -> None:
    flow = PartitionFlow(1, 1, 10)
    for number in range(9):
        admit(flow, str(number), A)
        assert not flow.held
    admit(flow, "9", A)
    assert flow.held
    for number in range(1, 5):
        assert flow.held
        flow.moved(str(number).encode(), A, Status.QUEUED, Status.CANCELLED)
    assert not flow.held


def test_limits_are_divided_by_partition_and_rounded_up() -> None:
    control = FlowControl(8, 17, 9, 8)
    flow = control.of(3)
    assert [admit(flow, str(number), A) for number in range(3)] == [False, False, True]
    assert [admit(flow, f"b{number}", B) for number in range(2)] == [False, True]
    assert control.held() == {3}
    control.clear()
    assert control.held() == frozenset()


@dataclass
class World:
    """Rows of one partition, the truth; what the flow says must fit them."""

    random: Random
    flow: PartitionFlow
    rows: dict[bytes, tuple[str, Status]] = field(default_factory=dict)
    signals: list[bytes] = field(default_factory=list)
    now_ms: int = 0
    made: int = 0

    def move(self, key: bytes, after: Status) -> None:
        tenant, before = self.rows[key]
        self.rows[key] = (tenant, after)
        self.flow.moved(key, tenant, before, after)
        if after not in IN_FLIGHT and after not in (Status.QUEUED, Status.WAITING_FOR_PACK):
            del self.rows[key]

    def of(self, *statuses: Status) -> list[bytes]:
        return [key for key, (_, status) in self.rows.items() if status in statuses]

    def look(self) -> None:
        self.signals += [key for key, _ in self.flow.starts(self.now_ms)]

    def request(self) -> None:
        tenant = self.random.choice("aaaaaaaab")
        key = b"%d" % self.made
        self.made += 1
        after = Status.QUEUED if self.flow.full(tenant) else Status.RUNNING
        self.rows[key] = (tenant, after)
        self.flow.moved(key, tenant, None, after)

    def signal(self) -> None:
        if self.signals:
            key = self.signals.pop(0)
            lost = self.random.random() < 0.2
            if not lost and self.rows.get(key, ("", None))[1] is Status.QUEUED:
                self.move(key, Status.RUNNING)

    def finish(self) -> None:
        if working := self.of(Status.RUNNING):
            self.move(self.random.choice(working), Status.SUCCEEDED)

    def park(self) -> None:
        if working := self.of(Status.RUNNING):
            self.move(self.random.choice(working), Status.WAITING_FOR_PACK)

    def open_gate(self) -> None:
        if parked := self.of(Status.WAITING_FOR_PACK):
            key = self.random.choice(parked)
            self.move(key, Status.QUEUED if self.flow.full(self.rows[key][0]) else Status.RUNNING)

    def cancel(self) -> None:
        if queued := self.of(Status.QUEUED):
            self.move(self.random.choice(queued), Status.CANCELLED)

    def rebuild(self) -> None:
        self.flow = PartitionFlow(5, 3, 20)
        for key, (tenant, status) in self.rows.items():
            self.flow.moved(key, tenant, None, status)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_no_limit_is_exceeded_and_nothing_is_forgotten(seed: int) -> None:
    world = World(Random(seed), PartitionFlow(5, 3, 20))
    acts = [world.request, world.signal, world.finish, world.park, world.open_gate, world.cancel]
    for _ in range(300):
        world.now_ms += 100
        if world.random.random() < 0.01:
            # Signals of the former owner may still come: they can start one more than the new owner counts on.
            world.signals.clear()
            world.rebuild()
        world.random.choices(acts, [8, 6, 3, 1, 1, 1])[0]()
        world.look()
        working = [tenant for tenant, status in world.rows.values() if status in IN_FLIGHT]
        assert len(working) <= 5
        assert all(working.count(tenant) <= 3 for tenant in "ab")
        assert world.flow.queued == len(world.of(Status.QUEUED))
        assert len(working) <= world.flow.in_flight <= 5
    while world.rows:
        world.now_ms += RESEND_MS
        world.look()
        before = len(world.rows)
        while world.signals:
            world.signal()
        world.open_gate()
        world.finish()
        assert world.rows.keys() <= {b"%d" % number for number in range(world.made)}
        assert before >= len(world.rows)
    assert (world.flow.in_flight, world.flow.queued, world.flow.held) == (0, 0, False)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.integers(1, 500))
def test_no_tenant_starves(tenants: int, crowd: int) -> None:
    flow = PartitionFlow(1, 1, 10_000)
    admit(flow, "x", "x")
    for number in range(crowd):
        admit(flow, f"crowd{number}", "crowd")
    for number in range(tenants):
        admit(flow, f"single{number}", f"t{number}")
    flow.moved(b"x", "x", Status.RUNNING, Status.SUCCEEDED)
    order: list[bytes] = []
    while found := flow.starts(0):
        ((key, tenant),) = found
        order.append(key)
        flow.moved(key, tenant, Status.QUEUED, Status.RUNNING)
        flow.moved(key, tenant, Status.RUNNING, Status.SUCCEEDED)
    assert len(order) == crowd + tenants
    assert all(order.index(b"single%d" % number) <= tenants for number in range(tenants))
