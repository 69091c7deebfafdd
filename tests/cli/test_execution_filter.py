from datetime import UTC, datetime, timedelta

import pytest

from cli.execution_filter import Wanted, parse_wanted
from cli.exits import Exit
from cli.failures import CommandFailed
from orchestrator.execution import Status
from orchestrator.view import ExecutionView
from tests.cli.command import invoke


def view(status: Status = Status.RUNNING, age_s: float = 100, pattern_id: str = "p") -> ExecutionView:
    started_ms = int((datetime.now(UTC) - timedelta(seconds=age_s)).timestamp() * 1000)
    return ExecutionView("id", "acme", "user", status, started_ms, pattern_id=pattern_id)


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({}, True),
        ({"status": "running", "pattern": "p", "older_than": "90s", "newer_than": "2m"}, True),
        ({"status": "queued"}, False),
        ({"pattern": "q"}, False),
        ({"error": "NO_PACK"}, False),
        ({"older_than": "2m"}, False),
        ({"newer_than": "90s"}, False),
    ],
)
def test_what_is_meant(options: dict[str, str], fits: bool) -> None:
    assert parse_wanted(**options).fits(view()) is fits


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"status": "done"}, "waiting_for_pack"),
        ({"error": "no_pack"}, "NO_PACK"),
        ({"older_than": "soon"}, "expected an age"),
        ({"newer_than": "1w"}, "expected an age"),
    ],
)
def test_what_is_no_filter_is_said(options: dict[str, str], expected: str) -> None:
    with pytest.raises(CommandFailed, match=expected):
        parse_wanted(**options)


@pytest.mark.parametrize("command", [("list", "--live"), ("cancel", "--all")])
def test_those_under_way_have_not_ended(command: tuple[str, str]) -> None:
    found = invoke("executions", *command, "--status", "succeeded")
    assert found.exit_code == Exit.USAGE and "one that is succeeded has ended" in found.stderr


def test_the_same_filter_for_the_database() -> None:
    stored = parse_wanted("failed", "p", "NO_PACK", "1h", "2d").stored()
    assert (stored.status, stored.pattern_id, stored.error_code) == ("failed", "p", "NO_PACK")
    assert stored.since is not None and stored.before is not None
    assert timedelta(hours=46.9) < stored.before - stored.since < timedelta(hours=47.1)
    assert Wanted("waiting_for_pack").under_way and not Wanted("failed").under_way and not Wanted().under_way


def test_a_status_that_only_the_engine_knows_is_not_offered() -> None:
    with pytest.raises(CommandFailed) as refused:
        parse_wanted(status="cancelled_early")
    assert "cancelled_early," not in str(refused.value) and "cancelled," in str(refused.value)
