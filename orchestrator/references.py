"""References from templates and conditions into what an execution knows: `state`, `inputs`, `ctx`.

A reference is resolved to a step when the pattern is compiled; at run time reading one is a lookup. Nothing is ever
read as None because it is missing: what is missing says so, with the keys that exist.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from orchestrator.execution import StepRecord
from topics.messages import Pins
from topics.paths import Missing, lookup

Root = Literal["state", "inputs", "ctx"]
CTX_NAMES = (
    "asof",
    "base_ccy",
    "benchmark_id",
    "ledger_commit_hash",
    "portfolio_id",
    "pricing_pack_id",
    "user_id",
)
_PATH = re.compile(r"(state|inputs|ctx)((?:\.[A-Za-z0-9_$-]+|\[[0-9]{1,9}\])+)")
_KEY = re.compile(r"\.([A-Za-z0-9_$-]+)|\[([0-9]+)\]")
PATH_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in what an execution knows.

    Attributes:
        text: as the author wrote it.
        step: id of the step whose output it reads, for `state`; None for the other roots.
        keys: path inside that output, the inputs or the context.
        path: `keys` joined by dots, the name of the projection.
    """

    text: str
    root: Root
    step: str | None
    keys: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Written:
    """A reference as written, not yet resolved: root and the keys behind it."""

    text: str
    root: Root
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A value that is not at hand: it lies in the artifact store under this SHA-256."""

    sha256: str


@dataclass(frozen=True, slots=True)
class Absent:
    """A step's output that does not exist, and why."""

    reason: str


Resolve = Callable[[Written, str], Reference | None]
"""Resolves what is written at a JSON pointer of the pattern; None after it has recorded a fault."""


def parse_path(text: str) -> Written | None:
    """Return the reference in `state.a.b[0]`, `inputs.x` or `ctx.y`; None if the text is none."""
    if len(text) > PATH_CHARS_MAX:
        return None
    match = _PATH.fullmatch(text)
    if match is None:
        return None
    keys = tuple(name or index for name, index in _KEY.findall(match[2]))
    return Written(text, match[1], keys)  # type: ignore[arg-type]


class Scope:
    """What one step can read: the settled steps, the inputs and the pins."""

    __slots__ = ("_ctx", "_finished", "_inputs", "_pins", "_user_id")

    def __init__(
        self, finished: Mapping[str, StepRecord], inputs: Mapping[str, Any], pins: Pins | None, user_id: UUID
    ) -> None:
        self._finished = finished
        self._inputs = inputs
        self._pins = pins
        self._user_id = user_id
        self._ctx: dict[str, Any] | None = None

    def read(self, reference: Reference, by_reference: bool = False) -> Any:
        """Return the value there, or `Missing`, `Absent` or `Stored`.

        Args:
            reference: what to read.
            by_reference: return `Stored` for an output that has an artifact even when it is inline as well.
        """
        if reference.root == "state":
            record = self._finished.get(reference.step or "")
            if record is None:
                return Absent("it has not run")
            return _read_output(record, reference, by_reference)
        if reference.root == "inputs":
            return lookup(self._inputs, reference.keys)
        if self._ctx is None:
            self._ctx = context_of(self._pins, self._user_id)
        return lookup(self._ctx, reference.keys)


def context_of(pins: Pins | None, user_id: UUID) -> dict[str, Any]:
    """Return `ctx` as templates see it: JSON values."""
    if pins is None:
        return {"user_id": str(user_id)}
    return {
        "asof": pins.asof.isoformat(),
        "base_ccy": pins.base_ccy,
        "benchmark_id": pins.benchmark_id,
        "ledger_commit_hash": pins.ledger_commit_hash,
        "portfolio_id": None if pins.portfolio_id is None else str(pins.portfolio_id),
        "pricing_pack_id": str(pins.pricing_pack_id),
        "user_id": str(user_id),
    }


def _read_output(record: StepRecord, reference: Reference, by_reference: bool) -> Any:
    keys = reference.keys
    if record.inline and not (by_reference and record.ref is not None and not keys):
        return lookup(record.value, keys) if keys else record.value
    if record.ref is None:
        return Absent(record.skip_reason or (record.error.message if record.error else f"it was {record.status}"))
    if not keys:
        return Stored(record.ref)
    projection = record.projections.get(reference.path)
    if projection is None:
        return Missing((), tuple(sorted(record.projections)))
    if projection.missing is not None:
        return Missing((), projection.missing)
    return Stored(projection.ref) if projection.ref is not None else projection.value
