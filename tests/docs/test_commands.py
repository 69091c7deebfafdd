"""The commands in README and docs/ run as they stand.

Every line that begins with `$ ` in a fenced `console` block is run, page by page from top to bottom, in a folder and
data directory of the page's own. A command that is meant to fail says so: `# exit 3`. The two `make` commands are not
run here: `make test` is what runs this, and `.ci/run` runs `make demo`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED_EXIT = re.compile(r"#\s*exit (\d+)\s*$")
NOT_HERE = ("make ", "git clone ", "cd ", "docker ")
# Benchmarks are run by people; a timed run inside a test would mean nothing.
# Chaos runs have a short one of their own, in tests/chaos.
BENCHMARKS = ("dawsos bench ", "dawsos chaos ")


def commands(page: Path) -> list[str]:
    """The page's commands, in order; a trailing backslash joins a line with the next."""
    lines = [
        line.removeprefix("$ ")
        for block in BLOCK.findall(page.read_text())
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("$ ")
    ]
    return [line for line in lines if not line.startswith((*NOT_HERE, *BENCHMARKS))]


def test_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) >= 3


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_page(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("data", "patterns", "docs"):
        (folder / name).symlink_to(ROOT / name)
    # The first page runs as it does for people; the brokers of the others need not optimize, like those of all tests.
    kept = () if page.name == "README.md" else ("DAWSOS_KAFKA_OPTIMIZING",)
    environment = {name: text for name, text in os.environ.items() if name in kept or not name.startswith("DAWSOS_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["DAWSOS_DATA_DIR"] = str(tmp_path / "state")
    bash = shutil.which("bash") or "sh"
    try:
        for command in commands(page):
            expected = EXPECTED_EXIT.search(command)
            run = subprocess.run(
                [bash, "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            wanted = int(expected[1]) if expected else 0
            assert run.returncode == wanted, f"{command}\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"
    finally:
        subprocess.run(["dawsos", "down"], cwd=folder, env=environment, capture_output=True, check=False)


def test_json_blocks_are_the_files_they_show() -> None:
    page = (ROOT / "docs" / "patterns.md").read_text()
    (shown,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown == (ROOT / "docs" / "examples" / "exposure.json").read_text()
