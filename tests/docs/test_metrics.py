"""The list of metrics in docs/operations.md is complete, and lists nothing that is not there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
COUNTERS = {"Counter", "CounterMetricFamily", "_counts"}
KINDS = {*COUNTERS, "Gauge", "GaugeMetricFamily", "Histogram", "Metric"}


def exported() -> Iterator[str]:
    """The names as scrapes show them: a counter's ends in `_total`."""
    for path in (*(ROOT / "streams").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                name = node.args[0] if node.args else None
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield name.value + ("_total" if node.func.id in COUNTERS else "")


def test_every_metric_is_in_the_operations_guide_and_every_one_there_exists() -> None:
    listed = re.search(r"^Metrics carry neither.*?(?=^## )", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert listed is not None
    names = set(re.findall(r"`(dawsos_\w+)", listed[0]))
    assert set(exported()) == names
    assert len(names) > 20
