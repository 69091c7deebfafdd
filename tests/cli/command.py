"""The `dawsos` command for tests: in this process where that is enough, as a process where the exit counts."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from cli.main import app

ROOT = Path(__file__).parents[2]


def invoke(*arguments: str) -> Result:
    """Run a command here; stdout and stderr are kept apart."""
    return CliRunner().invoke(app, list(arguments))


def spawn(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, with no settings but those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAWSOS_")}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        env={**inherited, **environment},
        cwd=cwd or ROOT,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
