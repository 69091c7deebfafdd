"""Sub-patterns: inlined when compiled, one digest, ids like `parent/child`, and all faults at once."""

import json
from typing import Any

import pytest

from orchestrator.catalogue import NOBODY, Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.describe import describe, mermaid
from orchestrator.events import IllegalTransition
from orchestrator.faults import PatternFaults
from orchestrator.limits import Limits
from orchestrator.pattern import CompiledPattern
from orchestrator.registry import PatternRegistry
from tests.orchestrator.player import CATALOGUE, SHA, Player, check_golden, noop
from topics.canonical import digest
from topics.errors import Code
from topics.messages import Projection

CHILD = {
    "id": "child",
    "name": "Child",
    "inputs": {
        "n": {"type": "integer", "required": True},
        "label": {"type": "string", "default": "none"},
        "data": {"type": "object"},
    },
    "steps": [
        noop("first", args={"n": "{{inputs.n}}", "text": "{{inputs.label}}!", "rows": "{{inputs.data}}"}),
        noop("second", args={"x": "{{state.first.y}}"}, condition="inputs.n > 2"),
    ],
    "outputs": ["first", "second"],
}


def call(as_: str = "sub", pattern: str = "child", **more: Any) -> dict[str, Any]:
    return {"capability": f"pattern.{pattern}", "as": as_, **more}


def compiled(steps: list[Any], *children: dict[str, Any], limits: Limits | None = None, **more: Any) -> CompiledPattern:
    document = {"id": "p", "name": "P", "steps": steps, "outputs": [], **more}
    library = {child["id"]: (f"{child['id']}.json", json.dumps(child).encode()) for child in children}
    return compile_pattern(json.dumps(document).encode(), CATALOGUE, "p.json", limits or Limits(), library)


def faults_of(steps: list[Any], *children: dict[str, Any], limits: Limits | None = None, **more: Any) -> list[str]:
    with pytest.raises(PatternFaults) as caught:
        compiled(steps, *children, limits=limits, **more)
    return [str(fault) for fault in caught.value.faults]


def begun(pattern: CompiledPattern, **changes: Any) -> Player:
    one = Player(pattern)
    one.request(**changes)
    return one


NESTED = [
    {"capability": "t.typed", "as": "v"},
    call(args={"n": "{{state.v.count}}", "label": "of {{state.v.total}}", "data": {"rows": "{{state.v.items}}"}}),
    noop("after", args={"all": "{{state.sub}}", "one": "{{state.sub.first.y}}"}),
]


def test_a_sub_pattern_runs_in_place_of_its_step() -> None:
    one = begun(compiled(NESTED, CHILD, outputs=["sub", "after"]))
    assert one.sent[0].projections == ("count", "items", "total")
    one.answer("v", {"count": 3, "total": "1.5", "items": [1]})
    assert [(sent.step_id, sent.args) for sent in one.sent] == [
        ("sub/first", {"n": 3, "text": "of 1.5!", "rows": {"rows": [1]}})
    ]
    assert one.sent[0].idempotency_key == f"{one.execution_id}/sub/first"
    one.answer("sub/first", {"y": 7})
    assert [(sent.step_id, sent.args) for sent in one.sent] == [("sub/second", {"x": 7})]
    one.answer("sub/second", "two")
    assert [sent.args for sent in one.sent] == [{"all": {"first": {"y": 7}, "second": "two"}, "one": 7}]
    one.answer("after", 1)
    result = one.result
    assert result.data == {"sub": {"first": {"y": 7}, "second": "two"}, "after": 1}
    assert [(step.step_id, step.status) for step in result.trace.steps] == [
        ("v", "succeeded"),
        ("sub/first", "succeeded"),
        ("sub/second", "succeeded"),
        ("sub", "succeeded"),
        ("after", "succeeded"),
    ]
    assert result.trace.capabilities == {"t.noop": 1, "t.typed": 1}
    steps = [step.digest for step in result.trace.steps if not step.capability.startswith("pattern.")]
    assert result.digest == digest([result.trace.pattern_digest, {}, None, steps])


def test_what_was_skipped_inside_is_null_in_the_whole_and_skips_who_reads_it_alone() -> None:
    steps = [*NESTED, noop("alone", args={"x": "{{state.sub.second}}"})]
    one = begun(compiled(steps, CHILD, outputs=["sub"]))
    one.answer("v", {"count": 1, "total": "1.5", "items": []})
    one.answer("sub/first", {"y": 7})
    assert [sent.args for sent in one.sent] == [{"all": {"first": {"y": 7}, "second": None}, "one": 7}]
    one.answer("after", 1)
    reasons = {step.step_id: step.skip_reason for step in one.result.trace.steps if step.skipped}
    assert reasons == {
        "sub/second": "condition is false: inputs.n > 2",
        "alone": "needs sub/second, which was skipped",
    }


def test_a_sub_pattern_that_is_skipped_is_skipped_as_a_whole() -> None:
    steps = [
        call(args={"n": 1}, condition="1 > 2"),
        noop("a", condition="!has(state.sub)"),
        noop("b", depends_on=["sub"]),
    ]
    one = begun(compiled(steps, CHILD, outputs=["sub"]))
    assert one.sent_ids == ["a"]
    one.answer("a")
    assert one.result.data == {"sub": None}
    reasons = {step.step_id: step.skip_reason for step in one.result.trace.steps if step.skipped}
    assert reasons == {
        "sub": "condition is false: 1 > 2",
        "sub/first": "needs sub, which was skipped",
        "sub/second": "needs sub, which was skipped",
        "b": "needs sub, which was skipped",
    }


def test_inputs_are_checked_when_it_begins() -> None:
    one = begun(compiled([noop("v"), call(args={"n": "{{state.v.n}}"})], CHILD))
    one.answer("v", {"n": "many"})
    error = one.result.error
    assert error is not None
    assert error.code == Code.INVALID_INPUT
    assert error.message == "step sub (pattern.child): /inputs/n: expected an integer, got 'many'"
    assert [(step.step_id, step.status) for step in one.result.trace.steps][-1] == ("sub", "failed")


def test_what_the_caller_does_not_pass_is_an_error_only_where_it_is_read() -> None:
    child = {
        **CHILD,
        "steps": [
            noop("guarded", condition="has(inputs.data.rows)", args={"x": "{{inputs.data.rows.0}}"}),
            noop("read", args={"x": "{{inputs.data.rows}}", "n": "{{inputs.n}} {{inputs.label}}"}),
        ],
        "outputs": ["read"],
    }
    given = begun(compiled([call(args={"n": 1, "data": {"rows": ["a"]}})], child))
    assert [sent.args for sent in given.sent] == [{"x": "a"}]
    given.answer("sub/guarded")
    assert [sent.args for sent in given.sent] == [{"x": ["a"], "n": "1 none"}]
    missing = begun(compiled([call(args={"n": 1, "data": {"row": 1}})], child))
    error = missing.result.error
    assert error is not None
    assert error.message == "step sub/read: args/x: {{inputs.data.rows}} does not exist; keys: row"


def test_stored_values_go_in_and_out_as_references() -> None:
    one = begun(compiled(NESTED, CHILD, outputs=["sub"]))
    part = "cd" * 32
    projections = {"count": Projection(value=1), "total": Projection(value="2"), "items": Projection(ref=part)}
    one.stored("v", SHA, **projections)
    assert (one.sent[0].args["rows"], one.sent[0].refs) == ({"rows": None}, {"/rows/rows": part})
    assert one.sent[0].projections == ("y",)
    one.stored("sub/first", SHA, y=Projection(value=3))
    assert (one.sent[0].args, one.sent[0].refs) == (
        {"all": {"first": None, "second": None}, "one": 3},
        {"/all/first": SHA},
    )
    one.answer("after")
    assert one.result.refs == {"/data/sub/first": SHA}


def test_parallel_sub_patterns_run_beside_each_other_in_their_own_order() -> None:
    two = {
        **CHILD,
        "id": "two",
        "inputs": {},
        "steps": [noop("a"), noop("b"), noop("c", parallel=True)],
        "outputs": ["b"],
    }
    steps = [call("l", "two", parallel=True), call("r", "two", parallel=True), noop("join")]
    one = begun(compiled(steps, two))
    assert one.sent_ids == ["l/a", "l/c", "r/a", "r/c"]
    one.answer("r/a")
    assert one.sent_ids == ["r/b"]
    for name in ("r/b", "r/c", "l/a", "l/c"):
        one.answer(name)
    assert one.sent_ids == []
    one.answer("l/b")
    assert one.sent_ids == ["join"]


def test_a_sequential_one_waits_for_all_before_it_and_holds_up_all_after_it() -> None:
    two = {
        **CHILD,
        "id": "two",
        "inputs": {},
        "steps": [noop("a", parallel=True), noop("b", parallel=True)],
        "outputs": [],
    }
    one = begun(compiled([noop("before"), call("s", "two"), noop("after")], two))
    assert one.sent_ids == ["before"]
    one.answer("before")
    assert one.sent_ids == ["s/a", "s/b"]
    one.answer("s/b")
    one.answer("s/a")
    assert one.sent_ids == ["after"]


def test_sub_patterns_of_sub_patterns_foreach_and_undoing_inside() -> None:
    inner = {
        "id": "inner",
        "name": "I",
        "inputs": {"list": {"type": "array", "required": True}},
        "steps": [
            noop("each", foreach="inputs.list", args={"x": "{{item.k}}"}, compensate={"capability": "t.undo"}),
            noop("n", args={"n": "{{inputs.list.length}}"}),
        ],
        "outputs": ["each"],
    }
    middle = {
        "id": "middle",
        "name": "M",
        "inputs": {"rows": {"type": "array"}},
        "steps": [call("deep", "inner", args={"list": "{{inputs.rows}}"})],
        "outputs": ["deep"],
    }
    pattern = compiled(
        [noop("v"), call("m", "middle", args={"rows": "{{state.v.rows}}"})], inner, middle, outputs=["m"]
    )
    check_golden("inlined.txt", describe(pattern) + mermaid(pattern))
    one = begun(pattern)
    assert one.sent[0].projections == ("rows", "rows.length")
    one.answer("v", {"rows": [{"k": 1}, {"k": 2}]})
    assert one.sent_ids == ["m/deep/each[0]", "m/deep/each[1]"]
    one.answer("m/deep/each[0]", "a")
    one.answer("m/deep/each[1]", "b")
    assert [sent.args for sent in one.sent] == [{"n": 2}]
    one.answer("m/deep/n")
    assert one.result.data == {"m": {"deep": {"each": ["a", "b"]}}}
    two = begun(pattern)
    two.answer("v", {"rows": [{"k": 1}]})
    two.answer("m/deep/each[0]", "a")
    two.error("m/deep/n", retryable=False)
    assert two.sent_ids == ["$undo:m/deep/each[0]"]


def test_one_digest_covers_it_and_its_source_compiles_alone() -> None:
    pattern = compiled(NESTED, CHILD, outputs=["sub"])
    again = compile_pattern(pattern.source, CATALOGUE, "pattern-versions/x")
    assert again.digest == pattern.digest
    assert again.source == pattern.source
    assert [step.id for step in again.steps] == [step.id for step in pattern.steps]
    changed = compiled(NESTED, {**CHILD, "version": "2"}, outputs=["sub"])
    assert changed.digest != pattern.digest
    brought = compiled(NESTED, outputs=["sub"], patterns={"child": CHILD})
    assert brought.digest == pattern.digest


def test_an_execution_under_way_finishes_on_the_version_it_began_with() -> None:
    old = compiled([call(args={"n": 3})], CHILD, outputs=["sub"])
    one = begun(old)
    new = compiled([call(args={"n": 3})], {**CHILD, "steps": [noop("first"), noop("other")], "outputs": ["other"]})
    registry = PatternRegistry([new])
    registry.add(compile_pattern(old.source, CATALOGUE, "pattern-versions/x"), newest=False)
    assert one.state is not None
    assert one.state.pattern_digest == old.digest
    assert registry.newest("p") is new
    one.pattern = registry.by_digest(one.state.pattern_digest or "")
    one.answer("sub/first", {"y": 1})
    one.answer("sub/second", 2)
    assert one.result.data == {"sub": {"first": {"y": 1}, "second": 2}}
    assert one.result.trace.pattern_digest == old.digest


@pytest.mark.parametrize("pins", [False, True])
def test_a_pattern_still_compiles_when_nobody_offers_its_capability_any_more(pins: bool) -> None:
    then = compiled([noop("a"), noop("b")])
    versions = {**then.capabilities, **({"context.resolve": 3} if pins else {})}
    now = Catalogue({name: spec for name, spec in CATALOGUE.capabilities.items() if name not in versions})
    pinned = compile_pattern(then.source, now.pinned(versions), "pattern-versions/x")
    assert (pinned.digest, pinned.capabilities) == (then.digest, versions)
    assert pinned.needs_pins is pins
    assert {step.agent for step in pinned.steps} == {NOBODY}


def test_an_execution_under_way_keeps_the_capability_versions_it_was_admitted_with() -> None:
    now = compiled([noop("a"), noop("b")])
    versions = {**now.capabilities, "t.noop": 7}
    pinned = compile_pattern(now.source, CATALOGUE.pinned(versions), "pattern-versions/x")
    assert pinned.digest == now.digest
    assert pinned.capabilities == {"t.noop": 7}
    registry = PatternRegistry([now])
    registry.add(pinned, newest=False)
    one = begun(pinned)
    assert one.state is not None
    one.pattern = now
    with pytest.raises(IllegalTransition, match="capability versions"):
        one.answer("a")
    one.pattern = registry.by_digest(now.digest, one.state.pattern_versions)
    one.answer("a")
    assert one.sent[0].version == 7
    assert registry.newest("p") is now


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (
            call(pattern="chidl", args={"n": 1}),
            "p.json#/steps/0/capability: there is no pattern 'chidl'; nearest: child",
        ),
        (call(), "p.json#/steps/0/args: pattern.child needs the argument 'n'"),
        (call(args={"n": "x"}), "p.json#/steps/0/args/n: expected an integer, got 'x'"),
        (
            call(args={"n": 1, "m": 2}),
            "p.json#/steps/0/args/m: pattern.child has no argument 'm'; there is: data, label, n",
        ),
        (call(args={"n": 1}, foreach="inputs.x"), "p.json#/steps/0/foreach: foreach is for steps with a capability"),
        (call(args={"n": 1}, retry={}), "p.json#/steps/0/retry: retry is for steps with a capability, not for"),
        (call(args={"n": 1}, on_error="continue"), "p.json#/steps/0/on_error: on_error is for steps with a cap"),
        (call(args={"n": 1}, timeout=5), "p.json#/steps/0/timeout: unknown key 'timeout'"),
        (call(pattern="p"), "p.json#/steps/0/capability: sub-patterns go round in a circle: p -> p"),
    ],
)
def test_faults(step: dict[str, Any], fault: str) -> None:
    found = faults_of([step], CHILD)
    assert any(one.startswith(fault) for one in found), found


def test_outputs_it_does_not_have() -> None:
    found = faults_of([call(args={"n": 1}), noop("a", args={"x": "{{state.sub.third}}"})], CHILD)
    assert found == [
        "p.json#/steps/1/args/x: state.sub.third: there is no output 'third'; there is: first, second",
        *found[1:],
    ]


def test_circles_and_depth() -> None:
    def through(name: str, other: str) -> dict[str, Any]:
        return {"id": name, "name": "N", "steps": [call("x", other)], "outputs": []}

    found = faults_of([call("x", "a")], through("a", "b"), through("b", "a"))
    assert found == ["b.json#/steps/0/capability: sub-patterns go round in a circle: p -> a -> b -> a"]
    leaf = {"id": "c9", "name": "L", "steps": [noop("l")], "outputs": []}
    chain = [through(f"c{depth}", f"c{depth + 1}") for depth in range(9)]
    assert compiled([call("x", "c2")], *chain, leaf).step_by_id["x/x/x/x/x/x/x/x/l"].capability == "t.noop"
    assert faults_of([call("x", "c1")], *chain, leaf) == [
        "c8.json#/steps/0/capability: expected at most 8 levels of sub-patterns, this is one more"
    ]


def test_many_sub_patterns_together_are_bounded() -> None:
    wide = [
        {"id": f"w{n}", "name": "W", "steps": [call(f"a{k}", f"w{n + 1}") for k in range(20)], "outputs": []}
        for n in range(6)
    ]
    leaf = {"id": "w6", "name": "L", "steps": [noop("l")], "outputs": []}
    assert faults_of([call("x", "w0")], *wide, leaf) == [
        "p.json#/steps: expected at most 500 steps with those of sub-patterns"
    ]


def test_faults_of_a_sub_pattern_name_its_file_or_its_place() -> None:
    bad = {**CHILD, "steps": [noop("first", args={"x": "{{inputs.m}}"}, timeout=3)], "outputs": ["second"]}
    faults = [
        "/steps/0/args/x: inputs.m: unknown input 'm'; there is: data, label, n",
        "/steps/0/timeout: unknown key 'timeout'; did you mean 'timeout_s'?",
        "/outputs/0: no step makes 'second'; there is: first",
    ]
    assert sorted(faults_of([call(args={"n": 1})], bad)) == sorted(f"child.json#{fault}" for fault in faults)
    found = faults_of([call(args={"n": 1})], patterns={"child": bad})
    assert sorted(found) == sorted(f"p.json#/patterns/child{fault}" for fault in faults)


def test_the_registry_finds_sub_patterns_among_its_files_and_reports_each_fault_once() -> None:
    parent = {"id": "p", "name": "P", "steps": [call(args={"n": 1})], "outputs": ["sub"]}
    sources = [("p.json", json.dumps(parent).encode()), ("z.json", json.dumps(CHILD).encode())]
    registry = PatternRegistry.compile(sources, CATALOGUE)
    pattern = registry.newest("p")
    assert pattern is not None
    assert [step.id for step in pattern.steps] == ["sub/$begin", "sub/first", "sub/second", "sub"]
    bad = json.dumps({**CHILD, "outputs": ["third"]}).encode()
    with pytest.raises(PatternFaults) as caught:
        PatternRegistry.compile([sources[0], ("z.json", bad), ("bad.json", b"{")], CATALOGUE)
    assert [fault.where for fault in caught.value.faults] == ["bad.json:1:2", "z.json"]


def test_a_portfolio_is_required_only_where_it_is_read_in_any_case() -> None:
    child = {
        "id": "child",
        "name": "C",
        "steps": [{"capability": "ledger.positions", "as": "x", "args": {"portfolio_id": "{{ctx.portfolio_id}}"}}],
        "outputs": ["x"],
    }
    assert compiled([call()], child).portfolio_readers == ("sub/x",)
    assert compiled([call(condition="1 > 2")], child).portfolio_readers == ()
