"""The published test vectors are up to date, and a program in another language comes to the same answers.

`UPDATE_GOLDEN=1` rewrites them; read the diff.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import playwright
import pytest

from provenance.formulas import args_digest, execution_digest, pins_of, step_digest, step_entry
from provenance.verification import verify
from tests.provenance.stage import EVERYTHING, PORTFOLIO, compiled, parsed, run
from topics.canonical import canonical_bytes, digest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "examples" / "verification_vectors.json"
NODE = Path(playwright.__path__[0]) / "driver" / "node"
VALUES = (
    {"b": 1, "a": [True, False, None]},
    {"€": 1, "\r": 2, "דּ": 3, "1": 4, "😀": 5, "\u0080": 6, "ö": 7},
    [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, 0.0, -0.0, 1e21, 1e20, 5e-324],
    '€$\u000f\nA\'B"\\\\"/',
    {"amount": "10.50", "weight": 0.123456789012},
)
TAMPERED: tuple[tuple[str, Any], ...] = (
    ("/data/first/amount", "10.51"),
    ("/data/nested/doubled/1", 4),
    ("/trace/steps/2/args/amount", "10.51"),
    ("/trace/steps/3/version", 2),
    ("/trace/inputs/n", 4),
    ("/trace/base_ccy", "USD"),
)


async def vectors() -> dict[str, Any]:
    result = parsed(await run(EVERYTHING, portfolio_id=PORTFOLIO))
    trace = result["trace"]
    converted = trace["steps"][2]
    tampered = []
    for place, value in TAMPERED:
        changed = json.loads(json.dumps(result))
        put(changed, place, value)
        tampered.append(
            {"pointer": place, "value": value, "found": [each.pointer for each in verify(changed).findings]}
        )
    return {
        "canonical": [
            {"value": value, "bytes": canonical_bytes(value).decode(), "sha256": digest(value)} for value in VALUES
        ],
        "args": {"args": converted["args"], "refs": {}, "sha256": args_digest(converted["args"], {})},
        "step": {
            "list": [
                converted["capability"],
                converted["version"],
                converted["args_digest"],
                pins_of(trace),
                converted["output_digest"],
            ],
            "sha256": step_digest(converted, pins_of(trace)),
        },
        "execution": {"entries": [step_entry(each) for each in trace["steps"]], "sha256": execution_digest(trace)},
        "pattern": dict(compiled(EVERYTHING).document),
        "result": result,
        "tampered": tampered,
    }


def put(node: Any, place: str, value: Any) -> None:
    *keys, last = [int(key) if key.isdigit() else key for key in place.split("/")[1:]]
    for key in keys:
        node = node[key]
    node[last] = value


async def test_the_published_vectors_are_up_to_date() -> None:
    made = await vectors()
    if os.environ.get("UPDATE_GOLDEN"):
        FILE.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    published = json.loads(FILE.read_text(encoding="utf-8"))
    assert made == published
    assert verify(published["result"], published["pattern"]).sound
    assert published["step"]["sha256"] == published["result"]["trace"]["steps"][2]["digest"]
    assert published["execution"]["sha256"] == published["result"]["digest"]
    assert all(each["found"] for each in published["tampered"])


@pytest.mark.skipif(not NODE.exists(), reason="no node beside playwright")
def test_a_javascript_program_finds_the_same(tmp_path: Path) -> None:
    script = tmp_path / "check.mjs"
    script.write_text(
        f"""
import {{ readFileSync }} from "node:fs";
import {{ canonical, digest, verify }} from {json.dumps((ROOT / "docs/examples/verify.mjs").as_uri())};
const vectors = JSON.parse(readFileSync({json.dumps(str(FILE))}, "utf8"));
const put = (node, place, value) => {{
  const keys = place.split("/").slice(1), last = keys.pop();
  for (const key of keys) node = node[key];
  node[last] = value;
}};
const tampered = vectors.tampered.map((each) => {{
  const changed = structuredClone(vectors.result);
  put(changed, each.pointer, each.value);
  return verify(changed);
}});
console.log(JSON.stringify({{
  canonical: vectors.canonical.map((each) => canonical(each.value) === each.bytes
    && digest(each.value) === each.sha256),
  args: digest({{ args: vectors.args.args, refs: vectors.args.refs }}) === vectors.args.sha256,
  step: digest(vectors.step.list) === vectors.step.sha256,
  sound: verify(vectors.result),
  tampered,
}}));
"""
    )
    ran = subprocess.run([NODE, script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    published = json.loads(FILE.read_text(encoding="utf-8"))
    assert found["canonical"] == [True] * len(VALUES) and found["args"] and found["step"]
    assert found["sound"] == []
    for ours, theirs in zip(published["tampered"], found["tampered"], strict=True):
        assert theirs and set(theirs) - {"/trace/steps/2/digest"} <= {*ours["found"], *every_step(published)}


def every_step(published: dict[str, Any]) -> set[str]:
    """A changed pin is named by us; the example names every step that has not its digest any more."""
    return {f"/trace/steps/{index}/digest" for index in range(len(published["result"]["trace"]["steps"]))}


@pytest.mark.skipif(not NODE.exists(), reason="no node beside playwright")
def test_the_example_is_a_command(tmp_path: Path) -> None:
    published = json.loads(FILE.read_text(encoding="utf-8"))
    (tmp_path / "result.json").write_text(json.dumps(published["result"]))
    command = [NODE, ROOT / "docs" / "examples" / "verify.mjs", tmp_path / "result.json"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
    published["result"]["data"]["first"]["amount"] = "1"
    (tmp_path / "result.json").write_text(json.dumps(published["result"]))
    ran = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.split()) == (1, ["/data/first"])
