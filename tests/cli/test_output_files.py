"""A file that cannot be written is a usage error, found before anything runs."""

import os
from pathlib import Path

import pytest

from cli.exits import Exit
from cli.output_files import why_not_writable
from tests.cli.command import invoke

COMMANDS = (
    ("try", "--example", "--report"),
    ("run", "portfolio_overview", "--report"),
    ("report", "tax_lots", "--example", "--out"),
    ("executions", "show", "7f3c1a52-0000-4000-8000-000000000000", "--report"),
    ("demo", "--out"),
)


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: object, **named: object) -> None:
        raise AssertionError("something ran")

    monkeypatch.setattr("asyncio.run", run)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_place_below_a_file_is_refused_before_anything_runs(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.touch()
    found = invoke(*command, str(file / "below" / "x.html"))
    assert found.exit_code == Exit.USAGE, found.stderr
    # The frame breaks lines where it likes, also inside a path.
    said = "".join(found.stderr.replace("│", "").split())
    assert command[-1] in said and "cannotwrite" in said
    assert "a-fileisnotadirectory" in said


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
def test_a_directory_is_refused_before_anything_runs(command: tuple[str, ...], tmp_path: Path) -> None:
    found = invoke(*command, str(tmp_path))
    assert found.exit_code == Exit.USAGE
    assert "directory" in found.stderr


def test_what_stands_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "not" / "there" / "x.html"
    assert why_not_writable(deep) is None
    assert not deep.parent.parent.exists()
    assert why_not_writable(tmp_path) == f"{tmp_path} is a directory"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert why_not_writable(deep) == f"no permission to write in {tmp_path}"


@pytest.mark.usefixtures("nothing_runs")
def test_a_fixture_that_cannot_be_recorded_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"pattern": "tax_lots"}')
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    found = invoke("patterns", "test", str(file), "--record")
    assert found.exit_code == Exit.USAGE
    assert "no permission to write" in found.stderr
