"""A demo pattern twice, in processes of their own: the bytes of data, charts and digest are equal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.patterns import BUNDLED

ROOT = Path(__file__).parents[2]
# Those that the bundled example, which needs no server, can answer.
PATTERNS = [BUNDLED / "analysis" / "portfolio_overview.json"]


@pytest.mark.parametrize("path", PATTERNS, ids=lambda path: path.stem)
def test_fresh_processes_make_the_same_bytes(path: Path, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAWSOS_")}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "cli.main", "try", str(path), "--example", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            # Nothing may follow from the order of a set or dict of texts.
            env={**inherited, "PYTHONHASHSEED": seed, "DAWSOS_DATA_DIR": str(tmp_path)},
        )
        for seed in ("1", "2")
    ]
    printed = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed[0][1].decode()
    first, second = (json.loads(out) for out, _ in printed)
    for part in ("digest", "data", "charts"):
        assert json.dumps(first[part]) == json.dumps(second[part]), part
