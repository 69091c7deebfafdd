import json
from collections.abc import Mapping
from typing import Any

import pytest

from agents.capability import capability
from agents.context import CapabilityContext
from agents.runtime import AgentRuntime, catalogue_of
from orchestrator.catalogue import Catalogue
from services.clock import SystemClock
from services.local_artifacts import LocalArtifacts
from services.replay import OverlayArtifacts, PatternText, Replay, exit_outcome, replay
from tests.provenance.stage import EVERYTHING, PORTFOLIO, Stage, compiled, document, run, step
from topics.messages import ExecutionResult


async def again(
    result: ExecutionResult,
    source: Mapping[str, Any],
    agent: Stage | None = None,
    store: LocalArtifacts | None = None,
    text: PatternText | None = None,
) -> Replay:
    made = agent or Stage()
    artifacts = OverlayArtifacts(store or LocalArtifacts())
    runtime = AgentRuntime([made], artifacts, None, None, SystemClock().now_ms)
    pattern = compiled(source)
    catalogue = Catalogue.from_json(catalogue_of([type(made)]))
    return await replay(
        result, text or PatternText(pattern.source, pattern.capabilities), catalogue, runtime, artifacts
    )


def verdicts(found: Replay) -> dict[str, str]:
    return {each.step_id: each.verdict for each in found.comparison.steps}


async def test_every_shape_is_recomputed_and_nothing_impure_is_asked_again() -> None:
    result = await run(EVERYTHING, portfolio_id=PORTFOLIO)
    agent = Stage(noise="other")
    found = await again(result, EVERYTHING, agent)
    assert found.outcome == "same", found.comparison
    assert found.recomputed_digest == result.digest
    assert {"noise", "fail", "resolve"} & set(agent.calls) == set() and "echo" in agent.calls
    assert verdicts(found) == {
        "first": "same",
        "converted": "same",
        "noise": "stored",
        "skipped": "stored",
        "each": "same",
        "some": "stored",
        "substitute": "stored",
        "long": "same",
        "nested/doubled": "same",
    }


async def test_the_first_step_that_differs_is_named() -> None:
    source = document(
        step("echo", "first", args={"value": "1.00"}),
        step("convert", "converted", args={"amount": "{{state.first}}"}),
        step("echo", "after", args={"value": "{{state.converted}}"}),
        step("echo", "beside", args={"value": 2}),
    )
    result = await run(source)
    found = await again(result, source, Stage(rate="1.26"))
    assert (found.outcome, found.comparison.first) == ("differs", "converted")
    assert "to the same arguments" in found.comparison.message and found.recomputed_digest is None
    assert verdicts(found) == {"first": "same", "converted": "differs", "after": "differs", "beside": "same"}


async def test_an_impure_answer_that_is_no_output_is_kept_and_stands_in() -> None:
    source = document(
        step("noise", "heard", args={"value": 1}),
        step("long_noise", "long"),
        step("noise", "each", args={"value": "{{item}}"}, foreach="inputs.list"),
        step("echo", "told", args={"value": ["{{state.heard}}", "{{state.each}}"]}),
        step("echo", "size", args={"value": "{{state.long.length}}"}),
        outputs=["told", "size"],
        inputs={"list": {"type": "array", "default": [1, 2]}},
    )
    store = LocalArtifacts()
    result = await run(source, artifacts=store)
    kept = {each.step_id: (each.output, each.output_ref) for each in result.trace.steps}
    assert kept["heard"] == ({"noise": "one", "value": 1}, None) and kept["each"][0][1]["value"] == 2
    assert kept["long"][0] is None and kept["long"][1] is not None and kept["told"] == (None, None)
    found = await again(result, source, Stage(noise="other"), store)
    assert found.outcome == "same" and set(verdicts(found).values()) == {"same", "stored"}
    # Without the artifact nothing can be said about what reads it; the rest is still compared.
    lost = await again(result, source, Stage(noise="other"))
    assert lost.outcome == "incomplete" and lost.comparison.first == "long"
    assert verdicts(lost) == {
        "heard": "stored",
        "long": "not_kept",
        "each": "not_reached",
        "told": "same",
        "size": "same",
    }


class Newer(Stage):
    name = "stage"

    @capability("stage.echo", pure=True, version=2)
    async def echo(self, context: CapabilityContext, value: Any = None) -> Any:
        """Return something else."""
        return [value]


async def test_other_code_is_said_and_not_compared() -> None:
    source = document(
        step("noise", "heard"),
        step("echo", "told", args={"value": "{{state.heard}}"}),
        step("convert", "converted", args={"amount": "1"}),
    )
    result = await run(source)
    found = await again(result, source, Newer())
    assert found.outcome == "code_version_unavailable"
    assert found.comparison.first == "told" and "version 2 is here" in found.comparison.message
    assert verdicts(found) == {"heard": "stored", "told": "code_version_unavailable", "converted": "same"}


async def test_a_pattern_that_is_not_here_or_does_not_compile_any_more() -> None:
    source = document(step("echo", "a"))
    result = await run(source)
    artifacts = OverlayArtifacts(LocalArtifacts())
    runtime = AgentRuntime([Stage()], artifacts, None, None, SystemClock().now_ms)
    catalogue = Catalogue.from_json(catalogue_of([Stage]))
    gone = await replay(result, None, catalogue, runtime, artifacts)
    assert gone.outcome == "code_version_unavailable" and "is not here" in gone.comparison.message
    older = PatternText(json.dumps(document({**step("echo", "a"), "of_tomorrow": 1})).encode(), {})
    broken = await replay(result, older, catalogue, runtime, artifacts)
    assert broken.outcome == "code_version_unavailable" and "no longer compiles" in broken.comparison.message
    nobodys = AgentRuntime([], artifacts, None, None, SystemClock().now_ms)
    nobody = await replay(result, PatternText(compiled(source).source, {}), Catalogue({}), nobodys, artifacts)
    assert nobody.outcome == "code_version_unavailable" and "no agent here offers" in nobody.comparison.message
    other = PatternText(compiled(document(step("echo", "b"))).source, {})
    wrong = await replay(result, other, catalogue, runtime, artifacts)
    assert wrong.outcome == "differs"


async def test_a_stored_result_that_was_changed_differs_before_anything_is_computed() -> None:
    source = document(step("echo", "a", args={"value": 1}))
    result = await run(source)
    found = await again(result.model_copy(update={"data": {"a": 2}}), source)
    assert found.outcome == "differs" and [each.pointer for each in found.findings] == ["/data/a"]


async def test_failed_and_undone_executions_are_recomputed_as_far_as_they_went() -> None:
    undo = {"capability": "stage.undo", "args": {"value": "{{state.a}}"}}
    source = document(step("echo", "a", args={"value": 1}, compensate=undo), step("fail", "b"), step("echo", "c"))
    result = await run(source)
    agent = Stage()
    found = await again(result, source, agent)
    assert found.outcome == "same" and agent.undone == []
    assert verdicts(found) == {"a": "same", "b": "stored", "c": "stored"}
    rejected = await run(document(step("echo", "a"), inputs={"n": {"type": "integer", "required": True}}))
    assert (await again(rejected, document(step("echo", "a")))).outcome in ("same", "differs")


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [(["same"], "same"), (["same", "incomplete"], "incomplete"), (["incomplete", "differs"], "differs"), ([], "same")],
)
def test_the_worst_outcome_counts(outcomes: list[str], worst: str) -> None:
    class Made:
        def __init__(self, outcome: str) -> None:
            self.outcome = outcome

    assert exit_outcome([Made(each) for each in outcomes]) == worst  # type: ignore[list-item]
