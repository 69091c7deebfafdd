from orchestrator.execution import Status
from streams.census import Census


def test_executions_are_counted_where_they_stand() -> None:
    census = Census()
    for _ in range(3):
        census.move(None, Status.RESOLVING)
    census.move(Status.RESOLVING, Status.WAITING_FOR_PACK)
    census.move(Status.RESOLVING, Status.RUNNING)
    census.move(Status.RUNNING, Status.RUNNING)
    census.move(Status.RUNNING, Status.SUCCEEDED)
    census.move(None, Status.REJECTED)
    assert census.report()["live"] == {"resolving": 1, "waiting_for_pack": 1}
    census.recount()
    census.move(None, Status.RUNNING)
    assert census.report()["live"] == {"running": 1}


def test_a_cancel_that_came_before_its_request_is_not_under_way() -> None:
    census = Census()
    census.move(None, Status.CANCELLED_EARLY)
    assert census.report()["live"] == {}
    census.move(Status.CANCELLED_EARLY, Status.RUNNING)
    assert census.report()["live"] == {"running": 1}


def test_late_timers_and_ignored_events_are_reported() -> None:
    census = Census()
    assert census.report()["timers_late_p99_ms"] is None
    census.late_ms.extend(range(100))
    census.ignored["late"] += 2
    assert census.report() == {"live": {}, "ignored": {"late": 2}, "timers_late_p99_ms": 99}
