"""Step times: the terminal, the stored execution and the report say the same of one execution."""

import io

import pytest
from rich.console import Console

from cli.execution_commands import _print_steps
from cli.progress import StepProgress
from cli.report.page import render
from tests.cli.command import invoke
from tests.cli.test_report import Page
from topics.messages import ExecutionResult

TIMES = tuple(f"{130 + index} ms" for index in range(7))


@pytest.fixture
def timed(example: ExecutionResult) -> ExecutionResult:
    """The example, each step with a time of its own that no client saw pass."""
    steps = tuple(
        step.model_copy(update={"started_at_ms": 1000, "finished_at_ms": 1130 + index})
        for index, step in enumerate(example.trace.steps)
    )
    trace = example.trace.model_copy(update={"steps": steps, "queued_ms": 77})
    return example.model_copy(update={"trace": trace})


def shown(result: ExecutionResult, seen: int, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """What is left standing when a client saw so many steps end."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    monkeypatch.setattr("cli.progress.err", lambda: console)
    with StepProgress("a run") as progress:
        progress.update("$queue", "queued")
        progress.update("$queue", "succeeded")
        for step in result.trace.steps[:seen]:
            progress.update(step.step_id, "requested")
            progress.update(step.step_id, "succeeded")
        progress.complete(result.trace)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    return text[text.rfind("a run") :]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("seen", [0, 3, 7])
def test_what_is_left_standing_are_the_times_of_the_report(
    timed: ExecutionResult, seen: int, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(timed, seen, monkeypatch, terminal=terminal)
    assert "asked to settled" in text
    assert all(text.count(time) == 1 for time in (*TIMES, "77 ms"))
    assert text.count(" ms") == len(TIMES) + 1


def test_the_report_and_the_stored_execution_call_it_the_same(
    timed: ExecutionResult, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = Page(render(timed)).texts
    assert "Asked to settled" in texts
    assert all(texts.count(time) == 1 for time in TIMES)
    _print_steps(timed)
    said = capsys.readouterr().out
    assert all(time in said for time in TIMES)


def test_a_run_over_own_files_is_timed_by_its_trace_too() -> None:
    assert "asked to settled: resolve pins" in invoke("try", "--example").stderr
