"""What the steps of a pattern document are compiled in: the document, how it is used, what all documents share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.catalogue import Catalogue
from orchestrator.inputs import Inputs
from orchestrator.limits import Limits
from orchestrator.step_names import StepNames
from topics.errors import Fault


@dataclass(frozen=True, slots=True)
class Frame:
    """One pattern document, its steps not yet compiled.

    Attributes:
        where: file it stands in.
        place: JSON pointer of the document in that file; empty for the whole file.
        outputs: output name → id in this document.
    """

    where: str
    place: str
    steps: Sequence[Any]
    names: StepNames
    inputs: Inputs
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """How a document is used: as the pattern itself, or inlined for a step.

    Attributes:
        prefix: of the ids of its steps.
        begin: id of the step it begins with; None for the pattern itself.
        parallel: it runs beside the steps around it, which do not order its own.
        bound: template or literal of every input; None for the pattern itself.
        path: ids of the patterns around it and its own.
    """

    prefix: str
    begin: str | None
    parallel: bool
    bound: Mapping[str, Any] | None
    path: tuple[str, ...]


@dataclass(slots=True)
class Work:
    """What the compilation of one pattern with its sub-patterns shares.

    Attributes:
        frame: finds a sub-pattern by id, for the patterns around it, a file and a place in it; None after a fault.
        schemas: output schema of every step so far, by full id.
        outputs: of every inlined sub-pattern: output name → full id of the step that makes it.
        reads_context: whether any template or condition reads `ctx`.
        made: steps so far.
    """

    catalogue: Catalogue
    limits: Limits
    faults: list[Fault]
    frame: Callable[[str, tuple[str, ...], str, str], Frame | None]
    schemas: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    reads_context: bool = False
    made: int = 0
