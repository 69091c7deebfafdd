"""Pattern files: what compiles, and everything that is wrong with what does not, at once."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.describe import describe, graph, mermaid
from orchestrator.faults import PatternFaults
from orchestrator.limits import Limits
from orchestrator.registry import PatternRegistry
from orchestrator.schema import SCHEMA
from tests.orchestrator.player import CATALOGUE, capability, check_golden, noop, pattern_of
from topics.canonical import digest

ROOT = Path(__file__).parent.parent.parent
OVERVIEW = ROOT / "patterns/analysis/portfolio_overview.json"
SPEC_SCHEMA = Path(__file__).parent / "spec_schema.json"
OVERVIEW_CATALOGUE = Catalogue.from_json(
    {
        "agents": {
            "financial_analyst": {
                "version": "1.0.0",
                "capabilities": {
                    name: capability(needs=["pack"])
                    for name in (
                        "context.resolve",
                        "ledger.positions",
                        "pricing.apply_pack",
                        "metrics.compute_twr",
                        "metrics.currency_attribution",
                        "ratings.aggregate",
                        "charts.overview",
                    )
                },
            }
        }
    }
)


def faults_of(document: Any, catalogue: Catalogue = CATALOGUE, limits: Limits | None = None) -> list[str]:
    source = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(PatternFaults) as caught:
        compile_pattern(source, catalogue, "bad.json", limits or Limits())
    return [str(fault) for fault in caught.value.faults]


def step_faults(*steps: dict[str, Any], **more: Any) -> list[str]:
    found = faults_of({"id": "p", "name": "P", "steps": list(steps), "outputs": [], **more})
    return [fault.removeprefix("bad.json#") for fault in found]


# --- the ordered format ---


def test_the_ordered_pattern_stands_byte_for_byte() -> None:
    data = OVERVIEW.read_bytes()
    assert hashlib.sha256(data).hexdigest() == OVERVIEW_SHA256
    assert hashlib.sha256(SPEC_SCHEMA.read_bytes()).hexdigest() == SPEC_SCHEMA_SHA256
    pattern = compile_pattern(data, OVERVIEW_CATALOGUE, str(OVERVIEW))
    assert pattern.source == data
    assert pattern.digest == digest(json.loads(data))
    check_golden("portfolio_overview.txt", describe(pattern))
    check_golden("portfolio_overview.mmd", mermaid(pattern))
    check_golden("portfolio_overview.graph.json", json.dumps(graph(pattern), indent=1) + "\n")


OVERVIEW_SHA256 = "daf35b30b0de0d968d8cebedec24ef00e22bc2be0839a22fcf84c75814182c5b"
SPEC_SCHEMA_SHA256 = "7af273d97fb06ade2a6fd2778a654bbfc4574a3cc266f626f90479df5cb196e1"


def test_the_published_schema_is_up_to_date() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads((ROOT / "patterns/schema.json").read_text()) == SCHEMA


DOCUMENTS: list[Any] = [
    {"id": "a", "name": "A", "steps": [], "outputs": []},
    {"id": "a", "name": "A", "steps": [{"capability": "x"}], "outputs": ["last"], "unknown": 1},
    {"id": "", "name": "", "category": "action", "steps": [{"capability": "", "as": "", "args": {}}], "outputs": []},
    {"id": "a", "name": "A", "inputs": {"p": {}}, "steps": [{"capability": "x", "more": {}}], "outputs": ["q"]},
    {"id": "a", "name": "A", "inputs": {"p": {"type": "zebra", "required": False, "x": 1}}, "steps": [], "outputs": []},
    {"id": "a", "name": "A", "steps": [{"capability": "x", "condition": "", "parallel": True}], "outputs": []},
    {"id": 1, "name": "A", "steps": [], "outputs": []},
    {"id": "a", "name": "A", "category": "other", "steps": [], "outputs": []},
    {"id": "a", "name": "A", "steps": [{}], "outputs": []},
    {"id": "a", "name": "A", "steps": [], "outputs": [1]},
    {"id": "a", "name": "A", "inputs": {"p": 1}, "steps": [], "outputs": []},
    {"id": "a", "name": "A", "inputs": {"p": {"required": "yes"}}, "steps": [], "outputs": []},
    {"id": "a", "name": "A", "steps": [{"capability": "x", "parallel": "yes"}], "outputs": []},
    {"id": "a", "steps": [], "outputs": []},
    [],
    json.loads(OVERVIEW.read_text()),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_our_schema_takes_what_the_ordered_one_takes(document: Any) -> None:
    ordered = Draft7Validator(json.loads(SPEC_SCHEMA.read_text())).is_valid(document)
    assert Draft202012Validator(SCHEMA).is_valid(document) == ordered


# --- faults ---

TEN_FAULTS = {
    "id": "ten faults",
    "name": 10,
    "category": "analysys",
    "inputs": {"portfolio_id": {"type": "uid", "required": True}, "limit": {"type": "integer", "default": "ten"}},
    "steps": [
        {"capability": "ledger.position", "as": "positions"},
        {
            "capability": "ledger.positions",
            "as": "positions",
            "args": {"portfolio": "{{inputs.portfolio}}", "limit": 1000},
        },
        {
            "capability": "pricing.apply_pack",
            "as": "valued",
            "args": {"positions": "{{state.position}}", "pack": "{{ctx.pack_id}}", "later": "{{state.charts}}"},
            "condition": "state.positions.length > 0 &&",
        },
        {
            "capability": "charts.overview",
            "as": "charts",
            "args": {"a": "{{state.valued.totl}}", "b": "{{state.valued"},
            "condition": "state.valued.total > 'much'",
            "timeout_s": "long",
            "for_each": "state.valued.items",
            "retry": {"attempts": 3},
            "depends_on": ["nobody"],
        },
    ],
    "outputs": ["chart", "charts"],
    "deadline": 5,
}


def test_ten_faults_and_more_are_all_reported() -> None:
    found = faults_of(TEN_FAULTS)
    assert len(found) >= 10
    check_golden("ten_faults.txt", "\n".join(found) + "\n")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"", "bad.json:1:1: expected JSON"),
        (b'{"id": "a",\n"b"}', "bad.json:2:4: expected JSON"),
        (b"[1]", "expected an object, got a list of 1"),
        (b"\xff", "expected UTF-8"),
        (b'{"id": NaN}', "NaN is not JSON"),
        (b'{"id": "a", "id": "b"}', "the key 'id' stands twice"),
        (b'{"a":' * 100_000, "expected JSON"),
        (b" " * 2_000_000, "expected at most 1048576 bytes"),
    ],
)
def test_files_that_are_no_patterns(source: bytes, text: str) -> None:
    assert any(text in fault for fault in faults_of(source))


def test_limits() -> None:
    many = {"id": "p", "name": "P", "steps": [noop(f"s{n}") for n in range(501)], "outputs": []}
    assert faults_of(many) == ["bad.json#/steps: expected at most 500 steps, got 501"]
    assert step_faults() == ["/steps: expected at least one step"]
    assert step_faults(noop("a"), deadline_s=90_000) == ["/deadline_s: expected at most 86400 s, got 90000"]
    assert step_faults(noop("a", timeout_s=90_000)) == ["/steps/0/timeout_s: expected at most 86400 s, got 90000"]
    deep: Any = "{{inputs.x}}"
    for _ in range(40):
        deep = [deep]
    assert "nested less deeply" in step_faults(noop("a", args={"x": deep}))[0]


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"capability": "t.nop"}, "/steps/0/capability: unknown capability 't.nop'; nearest: t.noop"),
        ({"capability": "pattern.other"}, "/steps/0/capability: there is no pattern 'other'"),
        (noop("a", arg={}), "/steps/0/arg: unknown key 'arg'; did you mean 'args'?"),
        (noop("a b"), "/steps/0/as: expected a letter, then letters, digits or '_' (at most 64), got 'a b'"),
        (noop("$resolve"), "/steps/0/as: expected a letter"),
        (noop("a", args={"x": "{{state.a}}"}), "/steps/0/args/x: state.a: 'a' is what this step itself makes"),
        (noop("a", args={"x": "{{positions}}"}), "/steps/0/args/x: expected {{state.…}}, {{inputs.…}} or {{ctx.…}}"),
        (noop("a", args={"x": "a }} b"}), "/steps/0/args/x: expected every {{ to have its }}"),
        (noop("a", args={"x": "{{ctx.asof.year}}"}), "/steps/0/args/x: ctx.asof.year: there is no 'year'"),
        (noop("a", depends_on=["a"]), "/steps/0/depends_on/0: 'a' is this step itself"),
        (noop("a", on_error="ignore"), "/steps/0/on_error: expected one of 'fail', 'continue', got 'ignore' or"),
        (noop("a", on_error={"value": 1, "x": 2}), "/steps/0/on_error/x: unknown key 'x'; accepted: value"),
        (noop("a", on_error={"value": "x" * 9000}), "/steps/0/on_error/value: expected at most 8192 bytes"),
        (noop("a", compensate={}), "/steps/0/compensate: 'capability' is missing"),
        (noop("a", compensate={"capability": "t.nop"}), "/steps/0/compensate/capability: unknown capability 't.nop'"),
        (noop("a", compensate={"capability": "t.noop", "arg": 1}), "/steps/0/compensate/arg: unknown key 'arg'; did"),
        (
            noop("a", compensate={"capability": "t.noop", "args": {"x": "{{state.b}}"}}),
            "/steps/0/compensate/args/x: state.b: no earlier step makes 'b'",
        ),
        (
            noop("a", compensate={"capability": "ledger.positions", "args": {"limits": 1}}),
            "/steps/0/compensate/args/limits: ledger.positions has no argument 'limits'; nearest: limit",
        ),
        (noop("a", retry={"attempts_max": 11}), "/steps/0/retry/attempts_max: expected at most 10 attempts, got 11"),
        (noop("a", retry={"factor": 0.5}), "/steps/0/retry/factor: expected at least 1, got 0.5"),
        (
            {"capability": "ledger.positions", "as": "a", "args": {"portfolio_id": 5}},
            "/steps/0/args/portfolio_id: expected a text, got 5",
        ),
        ({"capability": "ledger.positions", "as": "a"}, "/steps/0/args: ledger.positions needs the argument 'portf"),
        (
            {"capability": "ledger.positions", "as": "a", "args": {"portfolio_id": "x", "limits": 1}},
            "/steps/0/args/limits: ledger.positions has no argument 'limits'; nearest: limit",
        ),
        ("text", "/steps/0: expected an object, got 'text'"),
    ],
)
def test_step_faults(step: Any, fault: str) -> None:
    found = step_faults(step)
    assert any(one.startswith(fault) for one in found), found


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{state.v.totl}}", "there is no 'totl'; nearest: total"),
        ("{{state.v.total.x}}", "there is no 'x'"),
        ("{{state.v.items.first}}", "there is no 'first'"),
        ("{{state.v.items.0.weights}}", "there is no 'weights'; nearest: weight"),
        ("{{state.w}}", "no earlier step makes 'w'; there is: v"),
        ("{{inputs.x}}", "unknown input 'x'"),
        ("{{state.v.items[1].weight}}", None),
        ("{{state.v.items.length}}", None),
        ("about {{ state.v.label }} on {{ctx.asof}}", None),
    ],
)
def test_template_paths_are_checked_against_schemas(template: str, fault: str | None) -> None:
    steps = [{"capability": "t.typed", "as": "v"}, noop("b", args={"x": [{"y": template}]})]
    if fault is None:
        pattern_of({"steps": steps})
        return
    (found,) = step_faults(*steps)
    assert found.startswith("/steps/1/args/x/0/y: ")
    assert fault in found


@pytest.mark.parametrize(
    ("declaration", "fault"),
    [
        ({"type": "uid"}, "/type: expected one of uuid, string"),
        ({"type": "integer", "minimum": "3"}, "/minimum: expected a number, got '3'"),
        ({"type": "string", "minimum": 3}, "/minimum: minimum is for integer and number, not for string"),
        ({"type": "integer", "default": "x"}, "/default: expected an integer, got 'x'"),
        ({"type": "date", "default": "2026-02-30"}, "/default: expected a date, got '2026-02-30'"),
        ({"type": "decimal", "default": 1.5}, "/default: expected a text, got 1.5"),
        ({"type": "uuid", "required": True, "default": "x"}, "/default: a required input has no default"),
        ({"type": "string", "enum": []}, "/enum: expected a list of values, got a list of 0"),
        ({"type": "string", "enum": ["a", 1]}, "/enum/1: expected a text, got 1"),
        ({"type": "string", "pattern": "("}, "/pattern: expected a regular expression"),
        ({"type": "string", "defualt": "x"}, "/defualt: unknown key 'defualt'; did you mean 'default'?"),
        ({"type": "array", "items": {"type": "x"}}, "/items/type: expected one of"),
        ({"type": "object", "properties": {"a": 1}}, "/properties/a: expected a declaration, got 1"),
        (5, ": expected an object, got 5"),
    ],
)
def test_input_declarations(declaration: Any, fault: str) -> None:
    found = step_faults(noop("a"), inputs={"x": declaration})
    assert any(one.startswith(f"/inputs/x{fault}") for one in found), found


def test_other_faults_of_the_whole() -> None:
    assert step_faults(noop("a"), gate={"policy": "hope"})[0].startswith("/gate/policy: expected one of 'reject'")
    assert step_faults(noop("a"), gate={"waits": 1}) == ["/gate/waits: unknown key 'waits'; did you mean 'wait_s'?"]
    assert step_faults(noop("a"), output_schema={"type": 5})[0].startswith(
        "/output_schema/type: expected a JSON Schema"
    )
    assert step_faults(noop("a"), output_schema={"$ref": "http://localhost:1/x"})[0].startswith("/output_schema: ")
    assert step_faults(noop("a"), noop("b", id="a")) == ["/steps/1/id: id 'a' is already taken by /steps/0"]
    bare = Catalogue.from_json({"agents": {"x": {"capabilities": {"t.noop": capability(needs=["pack"])}}}})
    found = faults_of({"id": "p", "name": "P", "steps": [noop("a")], "outputs": []}, bare)
    assert found == ["bad.json#/steps: the pattern needs pins, but no agent in the catalogue offers context.resolve"]


# --- what the compiler decides ---


def test_pins_are_needed_when_a_capability_or_a_template_says_so() -> None:
    assert not pattern_of({"steps": [noop("a")]}).needs_pins
    assert pattern_of({"steps": [noop("a", args={"x": "{{ctx.asof}}"})]}).needs_pins
    assert pattern_of({"steps": [noop("a", condition="ctx.base_ccy == 'CAD'")]}).needs_pins
    pattern = pattern_of({"steps": [{"capability": "charts.overview"}]})
    assert pattern.needs_pins
    assert pattern.capabilities == {"charts.overview": 1, "context.resolve": 1}


def test_everything_at_once_is_described() -> None:
    document = {
        "version": "2",
        "inputs": {"go": {"type": "boolean", "default": True}, "n": {"type": "integer", "required": True}},
        "steps": [
            {"capability": "t.typed", "as": "v", "timeout_s": 1.5, "retry": {"attempts_max": 5}},
            noop("b", parallel=True, condition="inputs.go && state.v.total > 10", depends_on=["v"]),
            noop("c", parallel=True, condition="has(state.b)", args={"n": "{{state.v.items.length}}"}),
            noop("d", on_error="continue", depends_on=["b"]),
        ],
        "outputs": ["c", "d"],
        "gate": {"policy": "wait", "wait_s": 5},
    }
    pattern = pattern_of(document)
    check_golden("widened.txt", describe(pattern) + mermaid(pattern))


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"foreach": "a list"}, "/steps/1/foreach: expected the path of a list, as state.x.items or inputs.x, got 'a"),
        ({"foreach": "ctx.asof"}, "/steps/1/foreach: expected the path of a list"),
        ({"foreach": 5}, "/steps/1/foreach: expected a text, got 5"),
        ({"foreach": "state.v.total"}, "/steps/1/foreach: expected a list, state.v.total is decimal"),
        ({"foreach": "state.v.itms"}, "/steps/1/foreach: state.v.itms: there is no 'itms'; nearest: items"),
        ({"foreach": "inputs.x"}, "/steps/1/foreach: inputs.x: unknown input 'x'"),
        ({"foreach": "state.v.items", "concurrency_max": 0}, "/steps/1/concurrency_max: expected at least 1, got 0"),
        ({"foreach": "state.v.items", "concurrency_max": 999}, "/steps/1/concurrency_max: expected at most 256 items"),
        ({"concurrency_max": 9}, "/steps/1/concurrency_max: concurrency_max is for steps with foreach"),
        ({"args": {"x": "{{item}}"}}, "/steps/1/args/x: item: item exists only in a step with foreach"),
        ({"args": {"x": "{{output.n}}"}}, "/steps/1/args/x: output.n: output exists only in the args of compensate"),
        (
            {"foreach": "state.v.items", "args": {"x": "{{item.wait}}"}},
            "/steps/1/args/x: item.wait: there is no 'wait'; nearest: weight",
        ),
        (
            {"foreach": "state.v.items", "compensate": {"capability": "t.noop", "args": {"x": "{{state.b}}"}}},
            "/steps/1/compensate/args/x: state.b: an item of a foreach step that is undone reads its own output as",
        ),
        ({"foreach": "state.v.items", "condition": "item.weight > 0"}, "/steps/1/condition: unknown name 'item.weig"),
    ],
)
def test_foreach_faults(step: dict[str, Any], fault: str) -> None:
    found = step_faults({"capability": "t.typed", "as": "v"}, noop("b", **step))
    assert any(one.startswith(fault) for one in found), found


def test_what_a_foreach_step_makes_is_a_list() -> None:
    each = {"capability": "t.typed", "as": "b", "foreach": "{{ state.v.items }}", "args": {"w": "{{item.weight}}"}}
    steps: list[dict[str, Any]] = [{"capability": "t.typed", "as": "v"}, each]
    pattern = pattern_of(
        {"steps": [*steps, noop("c", args={"x": "{{state.b.0.total}}"}, condition="state.b.length > 1")]}
    )
    assert pattern.step_by_id["b"].projections == ("total",)
    assert pattern.step_by_id["v"].projections == ("items", "items.length")
    check_golden("foreach.txt", describe(pattern) + mermaid(pattern))
    (found,) = step_faults(*steps, noop("c", args={"x": "{{state.b.total}}"}))
    assert found.startswith("/steps/2/args/x: state.b.total: there is no 'total'")


def test_labels_cannot_leave_a_mermaid_diagram() -> None:
    pattern = pattern_of({"steps": [noop("a", condition='"]; click x" == "<script>"')]})
    text = mermaid(pattern)
    assert '"]; click' not in text
    assert "<script>" not in text


def test_catalogue_faults_name_both_owners() -> None:
    offered = {"capabilities": {"t.noop": capability()}}
    with pytest.raises(PatternFaults) as caught:
        Catalogue.from_json({"agents": {"a": offered, "b": offered}}, {"agents": {"c": offered}}, where=["x", "y"])
    assert [str(fault) for fault in caught.value.faults] == [
        "x#/agents/b/capabilities/t.noop: capability t.noop is offered by agent b and by agent a",
        "y#/agents/c/capabilities/t.noop: capability t.noop is offered by agent c and by agent a",
    ]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"version": 0}, "version: expected an integer from 1, got 0"),
        ({"timeout_s": 0}, "timeout_s: expected seconds"),
        ({"needs": ["money"]}, "needs: expected a list of pack, ledger, portfolio"),
        ({"input_schema": 3}, "input_schema: expected a JSON Schema"),
        ({"retry": {"attempts_max": 0}}, "retry/attempts_max: expected an integer from 1"),
        ({"retry": {"factor": 0}}, "retry/factor: expected a number from 1"),
        ({"retry": 3}, "retry: expected an object"),
    ],
)
def test_catalogue_faults(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(PatternFaults, match=fault.split(":")[0]) as caught:
        Catalogue.from_json({"agents": {"a": {"capabilities": {"t.x": capability(**changes)}}}})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "document", [{}, {"agents": []}, {"agents": {"a": 1}}, {"agents": {"a": {"capabilities": {"x": 1}}}}]
)
def test_documents_that_are_no_catalogue(document: Any) -> None:
    with pytest.raises(PatternFaults):
        Catalogue.from_json(document)


def test_registry() -> None:
    def source(pattern_id: str, capability_name: str = "t.noop") -> bytes:
        steps = [{"capability": capability_name, "as": "a"}]
        return json.dumps({"id": pattern_id, "name": "P", "steps": steps, "outputs": []}).encode()

    registry = PatternRegistry.compile([("b.json", source("b")), ("a.json", source("a"))], CATALOGUE)
    assert [pattern.id for pattern in registry.patterns()] == ["a", "b"]
    newest = registry.newest("a")
    assert newest is not None
    assert registry.by_digest(newest.digest) is newest
    assert registry.newest("c") is None
    old = pattern_of({"id": "a", "steps": [noop("x")]})
    registry.add(old, newest=False)
    assert registry.newest("a") is newest
    assert registry.by_digest(old.digest) is old
    with pytest.raises(PatternFaults) as caught:
        PatternRegistry.compile([("1", source("a")), ("2", source("a")), ("3", source("c", "x"))], CATALOGUE)
    assert [fault.where for fault in caught.value.faults] == ["2", "3"]
    assert "stands in 1 as well" in str(caught.value)
