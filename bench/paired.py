"""Is this tree slower than another revision? `python -m bench.paired --base REV [--pairs 10] [--concurrency 1,16,128]`.

Runs `dawsos bench steps` of both trees in turn, so that whatever else the machine does meets both, and prints the
median of the ratios of each pair: this tree to the base. The base is checked out in a temporary folder.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_MEASURES = ("per_s", "p50_ms", "p99_ms", "cpu_ms")


def compare(base: Path, ours: Path, pairs: int, concurrency: str) -> dict[str, Any]:
    """Run both trees in turn and compare them.

    Args:
        base: folder of the other revision.
        ours: folder of this one.
        pairs: how often each is run; the first of a pair alternates.
        concurrency: as for `dawsos bench steps`.

    Returns:
        `{"pairs": [{"base": rows, "ours": rows}], "median_ratio": [{"concurrency", "per_s", "p50_ms", …}]}`; a figure
        the base does not print is left out.
    """
    done: list[dict[str, list[dict[str, Any]]]] = []
    for number in range(pairs):
        trees = {"base": base, "ours": ours}
        order = list(trees) if number % 2 == 0 else list(reversed(trees))
        done.append({name: _rows(trees[name], concurrency) for name in order})
        sys.stderr.write(f"pair {number + 1} of {pairs}: {json.dumps(_ratios(done[-1:]))}\n")
    return {"pairs": done, "median_ratio": _ratios(done)}


def _rows(tree: Path, concurrency: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "cli.main", "bench", "steps", "--concurrency", concurrency, "--json"]
    ran = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, check=True)
    figures = json.loads(ran.stdout)
    cpu = {each["concurrency"]: each["total"] for each in figures.get("cpu_ms_per_execution", ())}
    return [row | ({"cpu_ms": cpu[row["concurrency"]]} if cpu else {}) for row in figures["rows"]]


def _ratios(pairs: list[dict[str, list[dict[str, Any]]]]) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for index, row in enumerate(pairs[0]["base"]):
        ratios = {"concurrency": row["concurrency"]}
        for name in _MEASURES:
            both = [(pair["ours"][index].get(name), pair["base"][index].get(name)) for pair in pairs]
            known = [ours / base for ours, base in both if ours and base]
            if known:
                ratios[name] = round(statistics.median(known), 3)
        found.append(ratios)
    return found


def main() -> None:
    """Check out the base, compare, print JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.paired", description=__doc__)
    parser.add_argument("--base", required=True, help="Revision to compare with.")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--concurrency", default="1,16,128")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dawsos-paired-") as folder:
        base = Path(folder) / "base"
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run([*git, "add", "--quiet", "--detach", str(base), chosen.base], check=True)
        try:
            figures = compare(base, ROOT, chosen.pairs, chosen.concurrency)
        finally:
            subprocess.run([*git, "remove", "--force", str(base)], check=True)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
