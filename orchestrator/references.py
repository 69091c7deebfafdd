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
from orchestrator.schemas import Kinds
from topics.messages import Pins
from topics.paths import Missing, lookup

Root = Literal["state", "inputs", "ctx", "item", "index", "output", "bound"]
CTX_NAMES = (
    "asof",
    "base_ccy",
    "benchmark_id",
    "ledger_commit_hash",
    "portfolio_id",
    "pricing_pack_id",
    "user_id",
)
_PATH = re.compile(
    r"(?:(?:state|inputs|ctx)(?=[.\[])|item|output|index(?![.\[]))((?:\.[A-Za-z0-9_$-]+|\[[0-9]{1,9}\])*)"
)
_KEY = re.compile(r"\.([A-Za-z0-9_$-]+)|\[([0-9]+)\]")
PATH_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in what an execution knows.

    Attributes:
        text: as the author wrote it.
        root: `item` and `index` exist in a foreach step, `output` where an item of one is undone.
        step: id of the step whose output it reads, for `state`; None for the other roots.
        keys: path inside that output, the inputs or the context.
        path: `keys` joined by dots, the name of the projection.
        node, evaluate: for `bound`, an input of a sub-pattern that its caller computes: the template, and its value.
        leaves: what a bound one reads itself.
        declared: kinds of value the sub-pattern declares for its input; None for any other reference.
    """

    text: str
    root: Root
    step: str | None
    keys: tuple[str, ...]
    path: str
    node: Any = None
    evaluate: "Callable[[Scope], Any] | None" = None
    leaves: "tuple[Reference, ...]" = ()
    declared: Kinds | None = None

    @property
    def reads(self) -> "tuple[Reference, ...]":
        """What it reads in the end."""
        return self.leaves if self.root == "bound" else (self,)


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
class Picked:
    """A value inside one in the artifact store: at a dotted path of what lies under this SHA-256."""

    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """The outputs of a foreach step's items, some of them in the artifact store: index → SHA-256, null in `values`."""

    values: list[Any]
    stored: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Absent:
    """A step's output that does not exist, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoList:
    """What stands where a list was expected."""

    found: Any


Resolve = Callable[[Written, str], Reference | None]
"""Resolves what is written at a JSON pointer of the pattern; None after it has recorded a fault."""


def parse_path(text: str) -> Written | None:
    """Return the reference in `state.a.b[0]`, `inputs.x`, `ctx.y`, `item.z` or `index`; None if the text is none."""
    if len(text) > PATH_CHARS_MAX:
        return None
    match = _PATH.fullmatch(text)
    if match is None:
        return None
    keys = tuple(name or index for name, index in _KEY.findall(match[1]))
    return Written(text, text[: match.start(1)], keys)  # type: ignore[arg-type]


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
            if record.count is not None:
                return self._read_items(record, reference, by_reference)
            return _read_output(record, reference, by_reference)
        if reference.root == "inputs":
            return lookup(self._inputs, reference.keys)
        if reference.evaluate is not None:
            return reference.evaluate(self)
        if self._ctx is None:
            self._ctx = context_of(self._pins, self._user_id)
        return lookup(self._ctx, reference.keys)

    def count(self, source: Reference, length: Reference) -> "int | Missing | Absent | NoList":
        """Return how many items a list has, or why there is none."""
        whole = self.read(source)
        if type(whole) is Stored:
            found = self.read(length)
            return found if isinstance(found, (int, Missing, Absent)) else NoList(found)
        if type(whole) is Gathered:
            return len(whole.values)
        if type(whole) is Missing or type(whole) is Absent:
            return whole
        return len(whole) if isinstance(whole, list) else NoList(whole)

    def read_item(self, source: Reference, index: int, keys: tuple[str, ...]) -> Any:
        """Return what stands in one item of a list, as `read` does. Cost: independent of the list's length."""
        record = self._finished.get(source.step or "") if source.root == "state" else None
        if record is not None and record.count is not None and not source.keys:
            item = self._finished[f"{record.step_id}[{index}]"]
            if item.ref is not None:
                return Picked(item.ref, ".".join(keys)) if keys else Stored(item.ref)
            value = item.value
        else:
            whole = self.read(source, by_reference=True)
            if type(whole) is Stored:
                return Picked(whole.sha256, ".".join((str(index), *keys)))
            if not isinstance(whole, list):
                return whole
            value = whole[index]
        return lookup(value, keys) if keys else value

    def read_done(self, name: str, reference: Reference, by_reference: bool) -> Any:
        """Return what stands in the output of a step or of one item, named by its command."""
        record = self._finished.get(name)
        return Absent("it has not answered") if record is None else _read_output(record, reference, by_reference)

    def _read_items(self, record: StepRecord, reference: Reference, by_reference: bool) -> Any:
        count, keys = record.count or 0, reference.keys
        if not record.has_output:
            return _read_output(record, reference, by_reference)
        if not keys:
            return self._gather(record.step_id, count, by_reference)
        if keys == ("length",):
            return count
        first = keys[0]
        if not (first.isascii() and first.isdigit()) or int(first) >= count:
            return Missing((), ("length", *(str(index) for index in range(min(count, 7)))))
        below = Reference(reference.text, "state", reference.step, keys[1:], ".".join(keys[1:]))
        return _read_output(self._finished[f"{record.step_id}[{int(first)}]"], below, by_reference)

    def _gather(self, step_id: str, count: int, by_reference: bool) -> Any:
        values: list[Any] = []
        stored: dict[int, str] = {}
        for index in range(count):
            item = self._finished[f"{step_id}[{index}]"]
            if item.ref is not None and (by_reference or not item.inline):
                stored[index] = item.ref
                values.append(None)
            else:
                values.append(item.value)
        return Gathered(values, stored) if stored else values


class ItemScope(Scope):
    """What one item of a foreach step can read: the item and its index beside everything else.

    Attributes:
        picks: filled by rendering: JSON pointer of an artifact in the arguments → dotted path of the part meant.
    """

    __slots__ = ("_index", "_inner", "_name", "_source", "picks")

    def __init__(self, inner: Scope, source: Reference, index: int, name: str) -> None:
        self._inner = inner
        self._source = source
        self._index = index
        self._name = name
        self.picks: dict[str, str] = {}

    def read(self, reference: Reference, by_reference: bool = False) -> Any:
        """Return the value there; see `Scope.read`. An item of a list in the artifact store is `Picked`."""
        root = reference.root
        if root == "item":
            return self._inner.read_item(self._source, self._index, reference.keys)
        if root == "index":
            return self._index
        if root == "output":
            return self._inner.read_done(self._name, reference, by_reference)
        return self._inner.read(reference, by_reference)


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
