"""Step times: the terminal, the stored execution and the report say the same of one execution."""

import io

import pytest
from rich.console import Console

from cli.execution_commands import _print_steps
from cli.figures import STEP_TIME
from cli.progress import StepProgress
from cli.report.page import render
from tests.cli.command import invoke
from tests.cli.test_report import Page
from topics.messages import ExecutionResult
from topics.trace import Trace

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


def told(*news: tuple[str, str], trace: Trace | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines printed where there is no terminal."""
    console = Console(file=io.StringIO(), force_terminal=False, width=200, color_system=None)
    monkeypatch.setattr("cli.progress.err", lambda: console)
    with StepProgress("a run") as progress:
        for step_id, status in news:
            progress.update(step_id, status)
        if trace is not None:
            progress.complete(trace)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    return [line.strip() for line in text.splitlines()[1:] if STEP_TIME not in line]


def test_what_comes_after_the_end_is_no_news(timed: ExecutionResult, monkeypatch: pytest.MonkeyPatch) -> None:
    step = timed.trace.steps[1].step_id
    one = timed.trace.model_copy(update={"steps": timed.trace.steps[1:2], "queued_ms": None})
    late = ((step, "succeeded"), (step, "requested"), (step, "retrying"), (step, "succeeded"))
    assert told(*late, trace=one, monkeypatch=monkeypatch) == [f"✔ {step}"]
    # A failed attempt is followed by the next one.
    again = ((step, "requested"), (step, "failed"), (step, "requested"), (step, "retrying"), (step, "succeeded"))
    assert told(*again, trace=one, monkeypatch=monkeypatch) == [f"✘ {step} failed", f"✔ {step}"]
    # Its answer was not seen: the trace has the last word.
    assert told(*again[:2], trace=one, monkeypatch=monkeypatch) == [f"✘ {step} failed", f"✔ {step}"]


def test_an_undoing_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    news = (("$undo:begun", "requested"), ("$undo:begun", "succeeded"))
    assert told(*news, trace=None, monkeypatch=monkeypatch) == ["✔ undo begun"]
