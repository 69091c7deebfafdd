import asyncio

import pytest

from streams.timers import BrokerClock, TimerHeap


def test_executions_come_up_earliest_first_and_once() -> None:
    heap = TimerHeap()
    heap.arm(b"b", 20)
    heap.arm(b"a", 10)
    heap.arm(b"c", 30)
    assert heap.next_due_at_ms() == 10
    assert heap.pop_due(25, 10) == [b"a", b"b"]
    assert heap.pop_due(25, 10) == []
    assert len(heap) == 1


def test_arming_again_only_brings_forward() -> None:
    heap = TimerHeap()
    heap.arm(b"a", 20)
    heap.arm(b"a", 30)
    assert heap.next_due_at_ms() == 20
    heap.arm(b"a", 10)
    assert heap.pop_due(15, 10) == [b"a"]
    assert heap.next_due_at_ms() is None


def test_one_that_is_postponed_comes_up_then_and_not_before() -> None:
    heap = TimerHeap()
    heap.arm(b"a", 100)
    heap.arm(b"b", 200)
    heap.postpone(b"a", 900)
    assert heap.due_at_ms(b"a") == 900
    assert heap.later_than(b"a", 100)
    assert heap.pop_due(500, 9) == [b"b"]
    assert heap.next_due_at_ms() == 900
    assert heap.pop_due(900, 9) == [b"a"]
    assert heap.next_due_at_ms() is None


@pytest.mark.parametrize(("again", "due"), [(100, 100), (50, 50), (300, 300), (950, 900)])
def test_arming_brings_a_postponed_one_forward(again: int, due: int) -> None:
    heap = TimerHeap()
    heap.arm(b"a", 100)
    heap.postpone(b"a", 900)
    heap.arm(b"a", again)
    assert heap.due_at_ms(b"a") == heap.next_due_at_ms() == due
    assert heap.pop_due(due - 1, 9) == []
    assert heap.pop_due(due, 9) == [b"a"]


def test_postponing_to_a_nearer_time_arms() -> None:
    heap = TimerHeap()
    heap.postpone(b"a", 100)
    heap.postpone(b"a", 50)
    assert heap.pop_due(50, 9) == [b"a"]
    assert heap.pop_due(100, 9) == []


def test_one_that_is_disarmed_does_not_come_up() -> None:
    heap = TimerHeap()
    heap.arm(b"a", 100)
    heap.postpone(b"a", 200)
    heap.disarm(b"a")
    heap.disarm(b"unknown")
    assert (len(heap), heap.due_at_ms(b"a"), heap.next_due_at_ms()) == (0, None, None)


def test_at_most_so_many_come_up() -> None:
    heap = TimerHeap()
    for number in range(5):
        heap.arm(b"%d" % number, number)
    assert heap.pop_due(100, 2) == [b"0", b"1"]
    assert len(heap) == 3


class Clocks:
    """This machine's two clocks and the broker's, moved by hand."""

    def __init__(self) -> None:
        self.passed_s = 100.0
        self.wall_s = 1_700_000_000.0
        self.broker_ahead_ms = 0
        self.clock = BrokerClock(lambda: self.passed_s, lambda: self.wall_s)

    def broker_ms(self) -> int:
        return 1_700_000_000_000 + round(self.passed_s * 1000) + self.broker_ahead_ms

    def arrives(self, after_ms: int) -> None:
        """A record is appended now and arrives so much later."""
        appended = self.broker_ms()
        self.passed_s += after_ms / 1000
        self.clock.observe(appended)

    def behind_ms(self) -> int:
        return self.broker_ms() - self.clock.now_ms()


def test_the_clock_follows_the_quickest_record() -> None:
    clocks = Clocks()
    clocks.arrives(3_000)
    assert 2_999 <= clocks.behind_ms() <= 3_001
    clocks.arrives(2)
    assert 1 <= clocks.behind_ms() <= 3


def test_the_clock_stays_right_while_every_record_arrives_late() -> None:
    clocks = Clocks()
    clocks.arrives(2)
    for _ in range(60_000):
        clocks.arrives(0)
        clocks.passed_s += 0.001
        clocks.clock.observe(clocks.broker_ms() - 800)
    assert clocks.behind_ms() <= 20


def test_the_clock_does_not_look_at_this_machine_s_clock_once_it_knows_better() -> None:
    clocks = Clocks()
    assert clocks.clock.now_ms() == 1_700_000_000_000
    clocks.arrives(1)
    clocks.wall_s += 3600
    assert 0 <= clocks.behind_ms() <= 2


def test_a_timer_that_came_early_sets_the_clock_back_and_it_fires_in_time_then() -> None:
    clocks = Clocks()
    clocks.arrives(1)
    clocks.broker_ahead_ms -= 5_000
    due = clocks.clock.now_ms()
    assert clocks.behind_ms() < -4_990
    clocks.clock.came_early(due, clocks.broker_ms())
    assert -2 <= clocks.behind_ms() <= 2


def test_a_backlog_does_not_hide_what_a_take_over_told() -> None:
    clocks = Clocks()
    clocks.clock.set(clocks.broker_ms())
    clocks.clock.observe(clocks.broker_ms() - 86_400_000)
    assert 0 <= clocks.behind_ms() <= 1


async def test_a_nearer_time_wakes_who_waits_for_the_next() -> None:
    heap = TimerHeap()
    heap.arm(b"far", 1_000_000)
    await heap.until_nearer(0.01)
    waiting = asyncio.create_task(heap.until_nearer(60))
    await asyncio.sleep(0)
    heap.arm(b"farther", 2_000_000)
    await asyncio.sleep(0)
    assert not waiting.done()
    heap.arm(b"near", 10)
    async with asyncio.timeout(5):
        await waiting
