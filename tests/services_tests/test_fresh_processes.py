"""Every bundled pattern twice, in processes of their own: the bytes of data, charts and digest are equal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.patterns import BUNDLED

ROOT = Path(__file__).parents[2]


def test_fresh_processes_make_the_same_bytes(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAWSOS_")}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.services_tests.demo_runs"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            # Nothing may follow from the order of a set or dict of texts.
            env={**inherited, "PYTHONHASHSEED": seed, "DAWSOS_DATA_DIR": str(tmp_path)},
        )
        for seed in ("1", "2")
    ]
    printed = [run.communicate(timeout=200) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed[0][1].decode()
    first, second = (by_pattern(out) for out, _ in printed)
    assert set(first) == {json.loads(path.read_bytes())["id"] for path in BUNDLED.glob("*/*.json")}
    assert {found["status"] for found in first.values()} == {"succeeded"}, first
    for pattern_id in first:
        if pattern_id == "pack_build":
            # What it begins has a new id each time; what it is made of must not differ.
            one, two = (made[pattern_id]["data"]["validation"] for made in (first, second))
            assert one["prices"] > 0 and json.dumps(one) == json.dumps(two)
            continue
        for part in ("digest", "data", "charts"):
            one, two = (json.dumps(made[pattern_id][part]) for made in (first, second))
            assert one == two, (pattern_id, part)


def by_pattern(lines: bytes) -> dict[str, Any]:
    return {found["pattern_id"]: found for found in map(json.loads, lines.splitlines())}
