"""A compiled pattern: everything `advance` needs, checked and resolved once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.catalogue import CapabilitySpec, RetryPolicy
from orchestrator.conditions import Condition
from orchestrator.inputs import Inputs
from orchestrator.references import Reference
from orchestrator.templates import Template
from topics.messages import Gate

RESOLVE_STEP = "$resolve"
_ITEM = re.compile(r"(.+)\[(0|[1-9][0-9]{0,8})\]")
BEGIN = "/$begin"
"""Ends the id of the begin of a sub-pattern."""
UNDO = "$undo:"
"""Begins the name of the command that undoes a step; no id a pattern gives begins so."""

OutputCheck = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class OnError:
    """What a failed step does to its execution.

    Attributes:
        action: `fail` ends the execution; `continue` goes on as if the step were skipped; `value` goes on with
            `value` as the step's output.
    """

    action: Literal["fail", "continue", "value"] = "fail"
    value: Any = None


@dataclass(frozen=True, slots=True)
class Compensation:
    """How a step is undone: the command that takes back what it did.

    Attributes:
        args: may also read the step's own output, when it is known.
    """

    capability: str
    version: int
    agent: str
    timeout_ms: int
    retry: RetryPolicy
    args: Template
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Foreach:
    """The list a step runs once per item of.

    Attributes:
        text: as written.
        length: where its length stands, for a list in the artifact store.
    """

    text: str
    source: Reference
    length: Reference
    concurrency_max: int


@dataclass(frozen=True, slots=True)
class Part:
    """The begin or the end of an inlined sub-pattern: a step the engine settles itself.

    Attributes:
        step: id of the step that names the sub-pattern, which is the id of the end.
        begins: whether this is the begin.
        inputs: of the sub-pattern, to be checked at the begin.
        outputs: output name → id of the step that makes it.
    """

    step: str
    begins: bool
    inputs: Inputs
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """One step of a pattern.

    Attributes:
        index: place in the pattern, from 0.
        id: unique in the pattern: `id` if given, else `as`, else `step_<index>`.
        as_: name of the output in `state`.
        parallel: starts as soon as its own references are settled; else it waits for all earlier steps.
        after: steps that must be settled before it starts, by id (for a sequential step only its own references:
            the rest follows from the order).
        requires: those of `after` whose absence skips this step: all but the ones it tests with `has`.
        readers: indices of later steps that have this one in `after`.
        projections: dotted paths into the output that others read.
        output: whether the pattern returns its output.
        places: among how many outputs the room of a result is shared, if no step reads this one; else 0. An answer
            that takes no more than its share needs no artifact.
        pure: its capability gives the same answer to the same arguments and pins, so it can be computed again.
        digest_head: canonical `[capability, version` as the step's digests begin.
    """

    index: int
    id: str
    as_: str
    capability: str
    version: int
    agent: str
    timeout_ms: int
    retry: RetryPolicy
    args: Template
    condition: Condition | None
    parallel: bool
    after: tuple[str, ...]
    requires: tuple[str, ...]
    readers: tuple[int, ...]
    projections: tuple[str, ...]
    output: bool
    digest_head: bytes
    needs: tuple[str, ...]
    on_error: OnError = OnError()
    compensate: Compensation | None = None
    foreach: Foreach | None = None
    part: Part | None = None
    pure: bool = True
    places: int = 0


def item_name(step_id: str, index: int) -> str:
    """Return the name of one item of a foreach step."""
    return f"{step_id}[{index}]"


@dataclass(frozen=True, slots=True)
class Target:
    """What the name of a command stands for: a step or one item of it, or the undoing of that."""

    step: CompiledStep
    undo: bool
    item: int | None = None

    @property
    def done(self) -> str:
        """Name of what is done or undone."""
        return self.step.id if self.item is None else item_name(self.step.id, self.item)

    @property
    def name(self) -> str:
        """Name of the command."""
        return UNDO + self.done if self.undo else self.done


@dataclass(frozen=True, slots=True)
class CompiledPattern:
    """A pattern that has been checked against a capability catalogue.

    Attributes:
        digest: SHA-256 of the canonical pattern document.
        source: the pattern file, byte for byte; with sub-patterns, canonical bytes of the file and all of them.
        document: the parsed file.
        inputs: schema, defaults and types of the inputs.
        outputs: output name → id of the step that makes it, in the pattern's order.
        deadline_s: of the pattern, or None.
        gate: freshness policy of the pattern, or None.
        needs_pins: whether `$resolve` runs first; then `resolve` is its capability.
        capabilities: version of every capability the pattern uses; not covered by the digest.
        versions: names those versions; with the digest it says exactly how an execution goes on.
        output_ok: whether `data` fits the pattern's `output_schema`; None when it declares none.
        portfolio_readers: ids of unconditional steps whose capability needs a portfolio.
        compensates: whether any step can be undone.
    """

    id: str
    name: str
    version: str | None
    digest: str
    source: bytes
    document: Mapping[str, Any]
    inputs: Inputs
    steps: tuple[CompiledStep, ...]
    step_by_id: Mapping[str, CompiledStep]
    outputs: Mapping[str, str]
    deadline_s: float | None
    gate: Gate | None
    needs_pins: bool
    resolve: CapabilitySpec | None
    capabilities: Mapping[str, int]
    versions: str
    output_ok: OutputCheck | None
    portfolio_readers: tuple[str, ...]
    compensates: bool = False

    def target(self, name: str) -> Target | None:
        """Return what a command of this name is about; None if the pattern has no such command."""
        undo = name.startswith(UNDO)
        done, item = name.removeprefix(UNDO), None
        matched = _ITEM.fullmatch(done) if done.endswith("]") else None
        if matched is not None:
            done, item = matched[1], int(matched[2])
        step = self.step_by_id.get(done)
        if step is None or (undo and step.compensate is None) or (item is None) != (step.foreach is None):
            return None
        return Target(step, undo, item)

    def place(self, name: str) -> tuple[int, int]:
        """Return where a command stands among others: the pattern's order, undoing from the last to the first."""
        if name in self.step_by_id:
            return self.step_by_id[name].index, 0
        target = self.target(name)
        if target is None:
            return -1, 0
        item = target.item or 0
        return (-target.step.index, -item) if target.undo else (target.step.index, item)

    @property
    def inputs_schema(self) -> Mapping[str, Any]:
        """JSON Schema 2020-12 of the inputs."""
        return self.inputs.schema
