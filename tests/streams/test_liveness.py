from streams.liveness import LOOP_LIMIT_S, Liveness, Place

A, B = ("requests", 0), ("requests", 1)


class Worker:
    """A liveness with a limit of 30 s and a clock that is put forward."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.liveness = Liveness(30.0, self.now_s)

    def after(self, seconds: float, places: dict[tuple[str, int], Place] | None) -> list[str]:
        self.now_s += seconds
        self.liveness.beat(self.now_s)
        if places is None:
            self.liveness.unknown(self.now_s)
        else:
            self.liveness.observe(places, self.now_s)
        return self.liveness.troubles(self.now_s)


def test_standing_still_while_records_wait_turns_red_and_a_commit_green() -> None:
    worker = Worker()
    assert worker.after(0, {A: Place(5, 5, 0), B: Place(7, 9, 2)}) == []
    assert worker.after(30, {A: Place(5, 6, 1), B: Place(7, 9, 2)}) == []
    (trouble,) = worker.after(1, {A: Place(5, 6, 1), B: Place(7, 12, 5)})
    assert trouble == "requests/1: 5 records wait, committed offset 7 has not moved for 31 s"
    assert worker.after(5, {A: Place(5, 6, 1), B: Place(8, 12, 4)}) == []
    assert len(worker.after(31, {A: Place(5, 6, 1), B: Place(8, 12, 4)})) == 2


def test_idle_for_hours_is_alive_and_the_limit_counts_from_the_first_record() -> None:
    worker = Worker()
    for _ in range(5):
        assert worker.after(3600, {A: Place(5, 5, 0)}) == []
    assert worker.after(3600, {A: Place(5, 6, 1)}) == []
    assert worker.after(29, {A: Place(5, 6, 1)}) == []
    assert worker.after(2, {A: Place(5, 6, 1)})


def test_nothing_is_held_against_a_worker_whose_broker_is_away() -> None:
    worker = Worker()
    worker.after(0, {A: Place(5, 6, 1)})
    for _ in range(10):
        assert worker.after(20, None) == []
    assert worker.after(20, {A: Place(5, 6, 1)}) == []
    assert worker.after(31, {A: Place(5, 6, 1)})


def test_what_waits_rightly_or_recovers_gets_more_time() -> None:
    worker = Worker()
    worker.after(0, {A: Place(5, 6, 1, patience=0), B: Place(5, 6, 1, patience=20)})
    assert worker.after(599, {A: Place(5, 6, 1, patience=0), B: Place(5, 6, 1, patience=20)}) == []
    (trouble,) = worker.after(2, {A: Place(5, 6, 1, patience=0), B: Place(5, 6, 1, patience=20)})
    assert trouble.startswith("requests/1")
    # Once it no longer waits rightly, its time counts from then.
    assert len(worker.after(29, {A: Place(5, 6, 1), B: Place(6, 6, 0)})) == 0
    assert len(worker.after(31, {A: Place(5, 6, 1)})) == 1


def test_partitions_that_went_to_another_worker_are_forgotten() -> None:
    worker = Worker()
    worker.after(0, {A: Place(5, 6, 1)})
    assert worker.after(31, {}) == []
    assert worker.after(0, {A: Place(5, 6, 1)}) == []


def test_a_blocked_loop_is_red_without_anybody_observing() -> None:
    worker = Worker()
    worker.after(0, {A: Place(5, 5, 0)})
    assert worker.liveness.troubles(worker.now_s + LOOP_LIMIT_S) == []
    (trouble,) = worker.liveness.troubles(worker.now_s + LOOP_LIMIT_S + 1)
    assert trouble == "the event loop has been blocked for 11 s"
