"""The two-minute chaos run on real services; `dawsos chaos` is the long one. Progress: `pytest -s`."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.checker import check
from chaos.faults import Kind
from chaos.run import Environment, Run, damaged, refold_evidence, run_chaos
from local.errors import EmbeddedMissing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

EXECUTIONS = 900
SECONDS = 120.0
SEED = 11


@pytest.fixture(scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    begun = time.monotonic()
    folder = tmp_path_factory.mktemp("chaos")

    def report(line: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {line}", flush=True)  # noqa: T201 - a run of minutes says where it is

    try:
        yield await run_chaos(EXECUTIONS, SECONDS, SEED, data_dir=folder, report=report)
    except EmbeddedMissing as error:
        pytest.skip(str(error))


async def test_nothing_is_lost_nothing_conflicts_nothing_is_stuck(run: Run) -> None:
    assert run.ok, run.as_json()
    assert run.findings.submitted == EXECUTIONS == sum(run.findings.statuses.values())
    # A run in which everything fails proves little.
    assert run.findings.statuses["succeeded"] > EXECUTIONS // 2, run.as_json()
    # A fault whose process was down at that very moment is not done; most kinds have several.
    assert len(run.faults) >= len(Kind) - 2, run.faults


async def test_the_checker_names_a_loss_in_the_recorded_topics(run: Run) -> None:
    missing = damaged(run.evidence, "loss")
    (gone,) = {each.key for each in run.evidence.results} - {each.key for each in missing.results}
    found = check(missing)
    assert not found.ok and found.count("lost") == 1
    assert gone is not None and gone.decode() in found.faults["lost"][0]


async def test_the_checker_names_a_conflict_in_the_recorded_topics(run: Run) -> None:
    found = check(damaged(run.evidence, "conflict"))
    assert not found.ok and found.count("conflicting") == 1 and found.count("lost") == 0
    assert "2 different results" in found.faults["conflicting"][0]


async def test_every_row_of_the_changelog_is_made_again_byte_for_byte(run: Run) -> None:
    """Orchestrators were restarted meanwhile; folding the topics' events from nothing gives the rows that are there."""
    assert run.refolded.rows > 3 * EXECUTIONS and not run.refolded.differences


async def test_the_replay_names_a_row_no_event_makes(run: Run, tmp_path: Path) -> None:
    at = next(n for n, row in enumerate(run.evidence.changelog) if row.value and b'"s":"running"' in row.value)
    named = run.evidence.changelog[at]
    # One partition's rows are enough to see it, and an eighth of the work.
    own = [row for row in run.evidence.changelog if row.partition == named.partition]
    assert named.value is not None
    false = replace(named, value=named.value.replace(b'"s":"running"', b'"s":"runnin9"'))
    changed = [false if row is named else row for row in own]
    first = next(answer for answer in run.evidence.answers if answer.partition == named.partition)
    others = [answer for answer in run.evidence.answers if answer is not first]
    with Environment(tmp_path):
        sound = refold_evidence(replace(run.evidence, changelog=own))
        found = refold_evidence(replace(run.evidence, changelog=changed))
        lost = refold_evidence(replace(run.evidence, changelog=own, answers=others))
    assert sound.rows and not sound.differences
    assert len(found.differences) >= 1
    assert any(f"{named.partition}/{named.offset}" in line for line in found.differences)
    # The first answer of a partition belongs to an execution that got further, which is now unexplained.
    assert lost.differences
