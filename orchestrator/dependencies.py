"""What steps need of each other: which wait for which, and the parts of an output that others read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.conditions import Condition
from orchestrator.pattern import Compensation, CompiledStep, Foreach
from orchestrator.references import Reference
from orchestrator.templates import Template


def dependencies_of(
    own: str,
    template: Template,
    condition: Condition | None,
    explicit: tuple[str, ...],
    compensate: Compensation | None,
    foreach: Foreach | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the steps to wait for, and those among them without which this step is skipped.

    What undoing it will read must exist before it starts: a step that could not be undone must not run.
    """
    args = [reference.step for reference in template.references if reference.step and reference.root == "state"]
    args.extend(_read_by((foreach.source,) if foreach else ()))
    asked = _read_by(condition.references if condition else ())
    tested = set(_read_by(condition.tested if condition else ()))
    read = compensate.args.references if compensate else ()
    undo = [reference.step for reference in read if reference.step and reference.root == "state"]
    after = tuple(dict.fromkeys([*args, *asked, *explicit, *(step for step in undo if step != own)]))
    return after, tuple(step for step in after if step not in tested)


def joined(steps: Sequence[CompiledStep], outputs: Mapping[str, str]) -> tuple[CompiledStep, ...]:
    """Give each step its place, its readers and the projections that others need of it.

    Args:
        steps: of the whole pattern, sub-patterns inlined.
        outputs: output name → id of the step that makes it.
    """
    steps = [replace(step, index=index) for index, step in enumerate(steps)]
    readers: dict[str, list[int]] = {step.id: [] for step in steps}
    fans = {step.id for step in steps if step.foreach is not None}
    projections: dict[str, dict[str, None]] = {step.id: {} for step in steps}
    read: set[str] = set()
    for step in steps:
        if step.parallel:
            for earlier in step.after:
                if earlier in readers:
                    readers[earlier].append(step.index)
        references = [
            *step.args.references,
            *(leaf for reference in (step.condition.references if step.condition else ()) for leaf in reference.reads),
            *(step.compensate.args.references if step.compensate else ()),
            *((*step.foreach.source.reads, *step.foreach.length.reads) if step.foreach else ()),
        ]
        for reference in references:
            if reference.step in projections and reference.root in ("state", "output"):
                read.add(reference.step)
                path = _projected(reference, reference.root == "state" and reference.step in fans)
                if path:
                    projections[reference.step][path] = None
    returned = set(outputs.values())
    unread = returned - read
    if any(step.part or step.foreach for step in steps if step.id in returned):
        # How much room those take is not known beforehand.
        unread.clear()
    # Charts stand twice in a result, and numbers may take twice the room they take in canonical form.
    places = 2 * (len(outputs) + 1)
    return tuple(
        replace(
            step,
            places=places if step.id in unread else 0,
            readers=tuple(readers[step.id]),
            projections=tuple(sorted(projections[step.id])),
        )
        for step in steps
    )


def _read_by(references: Iterable[Reference]) -> list[str]:
    leaves = (leaf for reference in references for leaf in reference.reads)
    return [leaf.step for leaf in leaves if leaf.step and leaf.root == "state"]


def _projected(reference: Reference, fan: bool) -> str:
    """Return the path a reference reads in an answer; of a foreach step each answer is one item."""
    return ".".join(reference.keys[1:]) if fan else reference.path
