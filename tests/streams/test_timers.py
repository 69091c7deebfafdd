import time

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


def test_at_most_so_many_come_up() -> None:
    heap = TimerHeap()
    for number in range(5):
        heap.arm(b"%d" % number, number)
    assert heap.pop_due(100, 2) == [b"0", b"1"]
    assert len(heap) == 3


def test_the_clock_follows_a_broker_that_is_behind() -> None:
    clock = BrokerClock()
    now_ms = int(time.time() * 1000)
    clock.observe(now_ms - 3_000)
    assert -3_500 < clock.now_ms() - now_ms < -2_000
    # A record that took less time on its way says more about the skew.
    clock.observe(int(time.time() * 1000) - 1_000)
    assert -1_500 < clock.now_ms() - int(time.time() * 1000) < -500


def test_a_backlog_says_nothing_about_the_clock() -> None:
    clock = BrokerClock()
    clock.observe(int(time.time() * 1000) - 86_400_000)
    assert clock.now_ms() > time.time() * 1000 - 6_000
