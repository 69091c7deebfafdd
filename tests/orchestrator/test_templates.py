"""Templates: types, text, nesting, escapes, and what is missing."""

from typing import Any

import pytest

from orchestrator.execution import StepStatus
from orchestrator.items import record
from orchestrator.references import Reference, Scope, Written
from orchestrator.templates import Template, TemplateFailed, compile_template
from tests.orchestrator.player import SHA, USER
from topics.errors import Fault


def resolve(written: Written, place: str) -> Reference:
    keys = written.keys[1:] if written.root == "state" else written.keys
    return Reference(
        written.text, written.root, written.keys[0] if written.root == "state" else None, keys, ".".join(keys)
    )


def template(args: dict[str, Any]) -> Template:
    faults: list[Fault] = []
    found = compile_template(args, resolve, "/args", "", 32, faults)
    assert not faults
    return found


SCOPE = Scope(
    {
        "a": record(
            "a", StepStatus.SUCCEEDED, 1, 0, 0, value={"n": 1.5, "list": [1, None], "t": "ü", "b": True}, inline=True
        ),
        "big": record("big", StepStatus.SUCCEEDED, 1, 0, 0, ref=SHA),
        "none": record("none", StepStatus.SKIPPED, 0, None, 0, skip_reason="condition is false: x"),
    },
    {"name": "X", "limit": None},
    None,
    USER,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{state.a}}", {"n": 1.5, "list": [1, None], "t": "ü", "b": True}),
        ("{{ state.a.n }}", 1.5),
        ("{{state.a.list[0]}}", 1),
        ("{{state.a.list.1}}", None),
        ("{{state.a.list.length}}", 2),
        ("{{inputs.limit}}", None),
        ("n={{state.a.n}}, {{inputs.name}}{{state.a.t}}!", "n=1.5, Xü!"),
        ("{{state.a.b}} {{inputs.limit}} {{state.a.list}}", "true null [1,null]"),
        ({"deep": [{"x": "{{state.a.n}}", "y": "plain"}]}, {"deep": [{"x": 1.5, "y": "plain"}]}),
        ("{{ctx.user_id}}", str(USER)),
        ("no template", "no template"),
        (["{not}", 5, None], ["{not}", 5, None]),
    ],
)
def test_render(value: Any, expected: Any) -> None:
    assert template({"x": value}).render(SCOPE) == ({"x": expected}, {})


def test_artifacts_stand_beside_the_arguments_with_escaped_pointers() -> None:
    args, refs = template({"a/b": "{{state.big}}", "c": {"~": ["{{state.big}}"]}}).render(SCOPE)
    assert args == {"a/b": None, "c": {"~": [None]}}
    assert refs == {"/a~1b": SHA, "/c/~0/0": SHA}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{{state.a.m}}", "args/x: {{state.a.m}} does not exist; keys: b, list, n, t"),
        ("{{state.a.list.5}}", "args/x: {{state.a.list.5}} does not exist; keys below 'list': 0, 1"),
        ("{{state.a.n.m}}", "args/x: {{state.a.n.m}} does not exist; there are no keys below 'n'"),
        ("{{state.a.__class__}}", "does not exist"),
        ("{{state.none}}", "has no value: condition is false: x"),
        ("{{state.later}}", "has no value: it has not run"),
        ("about {{state.big}}", "is too large to stand inside text"),
        ("about {{state.a.m}}", "args/x: {{state.a.m}} does not exist"),
        ([{"k": "{{inputs.nope}}"}], "args/x/0/k: {{inputs.nope}} does not exist; keys: limit, name"),
    ],
)
def test_missing(value: Any, message: str) -> None:
    with pytest.raises(TemplateFailed) as caught:
        template({"x": value}).render(SCOPE)
    assert message in str(caught.value)


def test_rendering_does_not_share_what_it_builds() -> None:
    one = template({"x": ["{{state.a.n}}"], "y": 1})
    first, _ = one.render(SCOPE)
    first["x"].append("changed")
    first["y"] = 2
    assert one.render(SCOPE)[0] == {"x": [1.5], "y": 1}
