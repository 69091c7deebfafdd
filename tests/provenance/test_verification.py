import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.compiler import compile_pattern
from provenance.verification import verify
from services.catalogue import load_catalogue
from services.composition import build_runtime_local
from services.local_artifacts import LocalArtifacts
from services.local_data import TENANT, USER_ID, example_data
from services.patterns import BUNDLED
from services.runner import run_in_process
from settings import load_settings
from tests.provenance.stage import EVERYTHING, Stage, compiled, document, parsed, run, step
from topics.messages import ExecuteRequest

# Leaves a change of which no digest shows: what docs/verification.md lists as not covered.
NOT_COVERED = re.compile(
    r"(/started_at_ms|/finished_at_ms|/user_id|/trace/queued_ms|/trace/pattern_version"
    r"|/trace/(agents_used|capabilities_used|sources|warnings)(/\d+)?"
    r"|/trace/capabilities/(context.resolve|stage.undo)|/trace/steps/10/version"
    r"|/trace/per_panel_staleness/\d+/(asof|ttl|reason)"
    r"|/trace/steps/\d+/(started_at_ms|finished_at_ms|attempts|cache|agent|agent_version|confidence|asof|ttl)"
    r"|/trace/steps/\d+/(sources|warnings)(/\d+)?|/trace/steps/\d+/error/(message|code)"
    r"|/trace/steps/\d+/compensation/(capability|version|attempts|started_at_ms|finished_at_ms)"
    r"|/trace/steps/\d+/items/(attempts|succeeded|failed|cancelled|compensated|compensation_failed|failures)|/trace/steps/\d+/items/failures/\d+/(status|error/.*)"
    r"|/error/.*)"
)
# Of the resolution of pins only its answer counts, and that as the pins.
RESOLUTION = re.compile(r"/trace/steps/0/(as|output_digest|version|capability)")


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, (dict, list)) and node:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    else:
        yield path


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, (list, dict)):
        return ["x"] if isinstance(value, list) else {"x": "y"}
    return "x" if value is None else f"{value}x"


def pointer(path: tuple[Any, ...]) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def undetected(result: dict[str, Any], pattern: dict[str, Any] | None, paths: Any = None) -> list[str]:
    found = []
    for path in list(leaves(result)) if paths is None else paths:
        node = result
        for key in path[:-1]:
            node = node[key]
        before = node[path[-1]]
        node[path[-1]] = other(before)
        if verify(result, pattern).sound:
            found.append(pointer(path))
        node[path[-1]] = before
    return found


async def overview(*, charts: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """portfolio_overview on the bundled data: a real result, and its pattern."""
    settings = load_settings(_env_file=None)
    catalogue = load_catalogue(settings)
    source = json.loads((BUNDLED / "analysis" / "portfolio_overview.json").read_text(encoding="utf-8"))
    if not charts:
        source = {**source, "steps": source["steps"][:-1], "outputs": source["outputs"][:-1]}
    pattern = compile_pattern(json.dumps(source).encode(), catalogue, "overview")
    data = example_data()
    request = ExecuteRequest(
        tenant=TENANT,
        request_id="verified",
        user_id=USER_ID,
        pattern_id=pattern.id,
        portfolio_id=data.portfolio.id,
        submitted_at=datetime.now(UTC),
    )
    return parsed(await run_in_process(request, pattern, build_runtime_local(data))), source


async def test_every_leaf_of_a_real_result_is_covered_or_listed() -> None:
    result, pattern = await overview(charts=False)
    sound = verify(result, pattern)
    assert sound.sound, sound.findings
    assert (sound.figures, sound.arguments, sound.steps) == (3, 5, 5) and sound.unchecked == ()
    assert len(list(leaves(result))) > 400
    missed = undetected(result, pattern)
    assert [place for place in missed if not NOT_COVERED.fullmatch(place) and not RESOLUTION.fullmatch(place)] == []


async def test_a_point_of_a_chart_is_covered() -> None:
    result, pattern = await overview(charts=True)
    assert verify(result, pattern).sound
    points = [path for path in leaves(result) if path[:2] == ("data", "charts") or path[0] == "charts"]
    assert len(points) > 5000
    # Thousands of points under one digest; some stand for all.
    assert undetected(result, pattern, points[::400]) == []


async def test_every_leaf_of_a_result_of_every_shape_is_covered_or_listed() -> None:
    source = EVERYTHING
    result = parsed(await run(source, portfolio_id=None))
    pattern = dict(compiled(source).document)
    sound = verify(result, pattern)
    assert sound.sound, sound.findings
    assert [each["status"] for each in result["trace"]["steps"]].count("skipped") == 1
    missed = undetected(result, pattern)
    assert [place for place in missed if not NOT_COVERED.fullmatch(place) and not RESOLUTION.fullmatch(place)] == []


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("data", "first", "amount"), "10.51", "/data/first"),
        (("data", "each", 1), 7, "/data/each"),
        (("data", "nested", "doubled", 0), 4, "/data/nested/doubled"),
        (("data", "some", 1), 2, "/data/some"),
        (("data", "skipped"), 1, "/data/skipped"),
        (("trace", "pricing_pack_id"), str(Stage().pack).replace("1", "2"), "/trace/pricing_pack_id"),
        (("trace", "base_ccy"), "USD", "/trace/base_ccy"),
        (("trace", "inputs", "n"), 4, "/digest"),
        (("trace", "steps", 1, "args", "value", "n"), 4, "/trace/steps/1/args"),
        (("trace", "steps", 1, "version"), 2, "/trace/steps/1/digest"),
        (("trace", "steps", 3, "output_digest"), "0" * 64, "/trace/steps/3/digest"),
        (("trace", "steps", 4, "skip_reason"), "because", "/digest"),
        (("execution_id",), "00000000-0000-4000-8000-000000000001", "/execution_id"),
    ],
)
async def test_what_was_changed_is_named(place: tuple[Any, ...], value: Any, named: str) -> None:
    result = parsed(await run(EVERYTHING))
    node = result
    for key in place[:-1]:
        node = node[key]
    assert node[place[-1]] != value
    node[place[-1]] = value
    assert named in [finding.pointer for finding in verify(result).findings]


async def test_steps_in_another_order_or_left_out_are_noticed() -> None:
    for change in (lambda steps: steps.reverse(), lambda steps: steps.pop(1), lambda steps: steps.append(steps[1])):
        result = parsed(await run(EVERYTHING))
        change(result["trace"]["steps"])
        assert "/digest" in [finding.pointer for finding in verify(result).findings]


async def test_large_outputs_are_checked_by_their_reference() -> None:
    steps = (step("long_noise", "long"), step("echo", "again", args={"value": "{{state.long}}"}))
    store = LocalArtifacts()
    result = parsed(await run(document(*steps), artifacts=store))
    assert verify(result).sound and "noise" in result["data"]["long"]
    # As it travels when it is too large: a reference instead of the value.
    away = copy.deepcopy(result)
    sha256 = away["trace"]["steps"][0]["output_digest"]
    away["data"]["long"] = None
    away["refs"] = {"/data/long": sha256}
    found = verify(away)
    assert found.sound and [each.pointer for each in found.unchecked] == ["/data/long"]
    away["refs"]["/data/long"] = "0" * 64
    assert [each.pointer for each in verify(away).findings] == ["/refs/~1data~1long"]


async def test_failed_undone_and_rejected_executions_are_verified() -> None:
    undo = {"capability": "stage.undo", "args": {"value": "{{state.a}}"}}
    failing = document(step("echo", "a", args={"value": 1}, compensate=undo), step("fail", "b"), step("echo", "c"))
    result = parsed(await run(failing))
    assert [each["status"] for each in result["trace"]["steps"]] == ["compensated", "failed", "blocked"]
    assert verify(result, failing).sound, verify(result, failing).findings
    missed = undetected(result, failing)
    assert [place for place in missed if not NOT_COVERED.fullmatch(place)] == []
    rejected = parsed(await run(document(step("echo", "a"), inputs={"n": {"type": "integer", "required": True}})))
    assert rejected["status"] == "rejected" and verify(rejected).sound


async def test_a_fault_inside_an_agent_leaves_a_trace_that_can_be_verified() -> None:
    class Broken(Stage):
        async def boom(self) -> None: ...

        @property
        def rate(self) -> str:
            raise ZeroDivisionError

        @rate.setter
        def rate(self, value: str) -> None: ...

    result = parsed(await run(document(step("echo", "a"), step("convert", "b", args={"amount": "1"})), Broken()))
    assert result["error"]["code"] == "INTERNAL" and len(result["trace"]["steps"]) == 3
    assert verify(result).sound, verify(result).findings


@pytest.mark.parametrize("value", [{}, {"type": "ExecutionResult", "v": 2, "trace": {}}, {"type": "Trace"}])
def test_what_is_no_result_says_so(value: dict[str, Any]) -> None:
    (finding,) = verify(value).findings
    assert "expected an ExecutionResult" in finding.message


@pytest.mark.parametrize(
    "trace", [{"steps": 3}, {"inputs": []}, {"steps": [{"items": 3, "digest": 4}]}, {"x": float("nan")}]
)
def test_nonsense_is_a_finding_and_never_an_exception(trace: dict[str, Any]) -> None:
    result = {"type": "ExecutionResult", "trace": trace, "data": {"a": float("inf")}, "status": "succeeded"}
    assert verify(result).findings
