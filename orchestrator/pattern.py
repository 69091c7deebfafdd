"""A compiled pattern: everything `advance` needs, checked and resolved once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.catalogue import CapabilitySpec, RetryPolicy
from orchestrator.conditions import Condition
from orchestrator.inputs import Inputs
from orchestrator.templates import Template
from topics.messages import Gate

RESOLVE_STEP = "$resolve"
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


@dataclass(frozen=True, slots=True)
class Target:
    """What the name of a command stands for: a step or its undoing."""

    step: CompiledStep
    undo: bool


@dataclass(frozen=True, slots=True)
class CompiledPattern:
    """A pattern that has been checked against a capability catalogue.

    Attributes:
        digest: SHA-256 of the canonical pattern document.
        source: the pattern file, byte for byte.
        document: the parsed file.
        inputs: schema, defaults and types of the inputs.
        outputs: output name → id of the step that makes it, in the pattern's order.
        deadline_s: of the pattern, or None.
        gate: freshness policy of the pattern, or None.
        needs_pins: whether `$resolve` runs first; then `resolve` is its capability.
        capabilities: version of every capability the pattern uses.
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
    output_ok: OutputCheck | None
    portfolio_readers: tuple[str, ...]
    compensates: bool = False

    def target(self, name: str) -> Target | None:
        """Return what a command of this name is about; None if the pattern has no such command."""
        undo = name.startswith(UNDO)
        step = self.step_by_id.get(name.removeprefix(UNDO))
        if step is None or (undo and step.compensate is None):
            return None
        return Target(step, undo)

    def place(self, name: str) -> int:
        """Return where a command stands among others: the pattern's order, undoing from the last to the first."""
        if name in self.step_by_id:
            return self.step_by_id[name].index
        target = self.target(name)
        return -1 if target is None else len(self.steps) - target.step.index

    @property
    def inputs_schema(self) -> Mapping[str, Any]:
        """JSON Schema 2020-12 of the inputs."""
        return self.inputs.schema
