"""Comparing an execution with its recomputation, step by step: which is the first one that differs, and in what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from provenance.formulas import counted_steps, step_entry

How = Literal["recomputed", "stored", "unavailable", "not_kept", "not_reached"]
"""Where a step's answer came from in the recomputation: computed again by the same code, or taken from the record;
`unavailable` when the capability is not offered here in the recorded version, `not_kept` when a step that cannot be
computed again left no output, `not_reached` when it waits for one of those."""
Verdict = Literal["same", "stored", "differs", "code_version_unavailable", "not_kept", "not_reached"]
Outcome = Literal["same", "differs", "code_version_unavailable", "incomplete"]


@dataclass(frozen=True, slots=True)
class StepComparison:
    """One step, as recorded and as recomputed.

    Attributes:
        verdict: `same` after recomputing it, `stored` when its recorded answer was used.
        message: what differs, or why it was not compared; empty otherwise.
        recorded, recomputed: output digests.
    """

    step_id: str
    capability: str
    version: int
    verdict: Verdict
    message: str = ""
    recorded: str | None = None
    recomputed: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A whole execution.

    Attributes:
        first: the first step that differs, in the pattern's order; None if none does.
        message: of the first difference, or of what is missing.
    """

    outcome: Outcome
    steps: tuple[StepComparison, ...]
    first: str | None = None
    message: str = ""


def compare(
    recorded: Mapping[str, Any], recomputed: Mapping[str, Any], how: Mapping[str, tuple[How, str]]
) -> Comparison:
    """Compare two traces of one pattern on the same pins.

    Args:
        recorded: trace of the stored result.
        recomputed: trace of the run that made it again.
        how: per step id where its answer came from, and why; steps that are not in it were not reached.
    """
    again = {str(step.get("step_id")): step for step in counted_steps(recomputed)}
    steps = tuple(_compare_step(step, again.get(str(step.get("step_id"))), how) for step in counted_steps(recorded))
    return summed(steps)


def summed(steps: Iterable[StepComparison]) -> Comparison:
    """Return the outcome of compared steps."""
    listed = tuple(steps)
    for verdict, outcome in (
        ("differs", "differs"),
        ("code_version_unavailable", "code_version_unavailable"),
        ("not_kept", "incomplete"),
        ("not_reached", "incomplete"),
    ):
        for step in listed:
            if step.verdict == verdict:
                return Comparison(outcome, listed, step.step_id, step.message)  # type: ignore[arg-type]
    return Comparison("same", listed)


def _compare_step(
    step: Mapping[str, Any], again: Mapping[str, Any] | None, how: Mapping[str, tuple[How, str]]
) -> StepComparison:
    name = str(step.get("step_id"))

    def found(verdict: Verdict, message: str = "") -> StepComparison:
        return StepComparison(
            name,
            str(step.get("capability")),
            int(step.get("version") or 0),
            verdict,
            message,
            step.get("output_digest"),
            again.get("output_digest") if again else None,
        )

    kind, why = how.get(name, ("not_reached", ""))
    if step.get("digest") is None:
        # Skipped, failed or never started: nothing was computed, but the reason has to be the same.
        if step.get("status") != "skipped" or (again is not None and step_entry(step) == step_entry(again)):
            return found("stored", "" if step.get("status") == "skipped" else f"was {step.get('status')}")
        if again is None or again.get("status") == "blocked":
            return found("not_reached", "its condition was not evaluated")
        return found("differs", f"was skipped ({step.get('skip_reason')}), now it is {again.get('status')}")
    if kind == "unavailable":
        return found("code_version_unavailable", why)
    if kind == "not_kept":
        return found("not_kept", why)
    if again is None or again.get("digest") is None:
        if kind == "recomputed" or (again is not None and again.get("status") in ("failed", "skipped")):
            return found("differs", f"succeeded when it was recorded, now it is {_ended(again)}")
        return found("not_reached", why or "a step before it could not be recomputed")
    if again["digest"] == step["digest"]:
        return found("same" if kind == "recomputed" else "stored")
    if again.get("args_digest") != step.get("args_digest"):
        return found(
            "differs", "its arguments are others: a step before it differs, or templates are filled in otherwise"
        )
    if again.get("output_digest") != step.get("output_digest"):
        return found(
            "differs", f"answered {step.get('output_digest')}, now {again.get('output_digest')}, to the same arguments"
        )
    return found("differs", "the same arguments and answer, other pins")


def _ended(step: Mapping[str, Any] | None) -> str:
    if step is None:
        return "absent"
    error = step.get("error")
    reason = f" ({error.get('code')}: {error.get('message')})" if isinstance(error, Mapping) else ""
    return f"{step.get('status')}{reason}"
