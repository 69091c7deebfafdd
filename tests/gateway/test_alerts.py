"""The alert rules: of a form Prometheus takes, on metrics the workers really have, each with its playbook entry."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.system import Gateway

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "alerts.yml"
RULES: list[dict[str, Any]] = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
PLAYBOOK = (ROOT / "docs" / "playbook.md").read_text(encoding="utf-8")
PROMTOOL = shutil.which("promtool")
_TIME = re.compile(r"^\d+[smh]$")


def test_each_rule_says_what_is_wrong_and_where_to_read_on() -> None:
    entries = {title.lower(): title for title in re.findall(r"^### (\w+)$", PLAYBOOK, re.MULTILINE)}
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
        assert _TIME.match(rule.get("for", "0s")) and rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/playbook.md" and entries[anchor] == rule["alert"]
    assert set(entries.values()) == set(names)


@pytest.mark.integration
async def test_rules_ask_for_metrics_there_are(gateway: Gateway) -> None:
    # A series begins with the first thing it counts: an execution, a timer that fired.
    assert (await gateway.execute("echo")).status_code == 200
    assert (await gateway.execute("slow", inputs={"seconds": 1}, deadline_s=0.2)).status_code == 504
    addresses = [f"{part.health}/metrics" for part in gateway.parts().values() if part.health]
    assert len(addresses) >= 4
    known: dict[str, set[str]] = {}
    async with httpx.AsyncClient() as client:
        for address in [*addresses, f"{gateway.url}/metrics"]:
            text = (await client.get(address)).text
            if PROMTOOL is not None:
                _promtool("check", "metrics", given=text)
            for family in text_string_to_metric_families(text):
                names = {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
                for name in names | {sample.name for sample in family.samples}:
                    labels = known.setdefault(name, set())
                    labels.update(label for sample in family.samples for label in sample.labels)
    for rule in RULES:
        for name, labels in re.findall(r"\b(dawsos_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            assert name in known, f"{rule['alert']}: no worker has {name}"
            asked = set(re.findall(r"(\w+)\s*=", labels))
            assert asked <= known[name] or not known[name], f"{rule['alert']}: {name} has {known[name]}, not {asked}"


def test_promtool_takes_the_rules() -> None:
    if PROMTOOL is None:
        pytest.skip("needs promtool, which comes with Prometheus")
    assert f"{len(RULES)} rules found" in _promtool("check", "rules", str(FILE))


def _promtool(*arguments: str, given: str = "") -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
