"""What differs between two results, and which cause explains which figure.

Causes are found at the root: a pin that another execution had, an input, a step whose code has another version, a
pattern with other steps. A step is affected by a cause it reads itself (its capability needs that pin, its arguments
come from that input) and by every changed step it reads. A figure is explained by what its step is affected by. What
nothing of this explains is said so: then something that is not pinned has changed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from provenance.formulas import PINS, counted_steps, planned_steps

FIGURES_MAX = 1000
_REFERENCE = re.compile(r"\b(state|inputs|ctx)\.([A-Za-z0-9_]+)")
_NEED_OF = {
    "pricing_pack_id": "pack",
    "pack_sha256": "pack",
    "asof": "pack",
    "asof_requested": "pack",
    "stale": "pack",
    "ledger_commit_hash": "ledger",
    "portfolio_id": "portfolio",
    "base_ccy": "pack",
    "benchmark_id": "portfolio",
}
_PACK = ("pricing_pack_id", "pack_sha256", "asof", "asof_requested", "stale")
_NAMES_OF_ROWS = ("symbol", "id", "key", "name", "on", "date", "asof")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is one thing in A and another in B; None stands for absent."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step that differs.

    Attributes:
        what: `only in A`, `only in B`, or which of status, capability, version, arguments, output differ.
        causes: ids of the causes that explain it, in the order of `Difference.causes`; empty when none is known.
    """

    step_id: str
    what: tuple[str, ...]
    a: str | None
    b: str | None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FigureChange:
    """A leaf of the outputs that differs.

    Attributes:
        pointer: JSON pointer into B's result (A's for what B does not have).
        label: names of the rows on the way, e.g. `symbol=AAPL`.
        delta: B − A, for numbers and decimals; as text when both are texts.
        step_id: step that made it.
    """

    pointer: str
    label: str
    a: Any
    b: Any
    delta: Any
    step_id: str | None
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """A root of differences.

    Attributes:
        id: `pin:pack`, `pin:ledger`, `pin:<name>`, `input:<name>`, `code:<step>`, `pattern`, or `unpinned:<step>` for a
            step that answered otherwise to the same
            arguments on the same pins.
        text: one line for people.
        details: evidence by name and subject, if it could be had: restated prices, bookings, changed steps.
    """

    id: str
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known beside the two results; everything may be left out.

    Attributes:
        pattern_a, pattern_b: documents of the patterns.
        needs: pins each capability reads, by its name.
        details: per cause id, lines that name what changed in it.
    """

    pattern_a: Mapping[str, Any] | None = None
    pattern_b: Mapping[str, Any] | None = None
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    details: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything in which two results differ; times, attempts and cache flags do not count.

    Attributes:
        same: whether they are the same answer: equal digests.
        figures: values of series last.
        more_figures: figures that differ beyond those listed.
    """

    a: str
    b: str
    same: bool
    pattern: tuple[Change, ...]
    pins: tuple[Change, ...]
    inputs: tuple[Change, ...]
    steps: tuple[StepChange, ...]
    figures: tuple[FigureChange, ...]
    more_figures: int
    causes: tuple[Cause, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def diff(a: Mapping[str, Any], b: Mapping[str, Any], evidence: Evidence | None = None) -> Difference:
    """Compare two results.

    Args:
        a: an `ExecutionResult` as parsed JSON, outputs in their places.
        b: the other one.
        evidence: what else is known.

    Cost: O(size of both).
    """
    known = evidence or Evidence()
    before, after = _object(a.get("trace")), _object(b.get("trace"))
    pattern = tuple(_changes(before, after, ("pattern_id", "pattern_digest", "pattern_version")))
    pins = tuple(_changes(before, after, PINS))
    inputs = tuple(_input_changes(before, after))
    causes, steps = _Causes(before, after, known, pins, inputs, bool(pattern)).find()
    by_step = {step.step_id: step for step in steps}
    figures: list[FigureChange] = []
    more = 0
    # Daily series go last: they are long, and the figures people look for must not be those left out.
    found = sorted(_figures(_object(a.get("data")), _object(b.get("data"))), key=lambda each: _in_series(each[0]))
    for pointer, label, left, right in found:
        if len(figures) == FIGURES_MAX:
            more += 1
            continue
        step_id = _maker(before, after, pointer)
        explained = by_step[step_id].causes if step_id in by_step else ()
        figures.append(FigureChange(pointer, label, left, right, _delta(left, right), step_id, explained))
    return Difference(
        str(a.get("execution_id")),
        str(b.get("execution_id")),
        a.get("digest") == b.get("digest"),
        pattern,
        pins,
        inputs,
        steps,
        tuple(figures),
        more,
        causes,
    )


class _Causes:
    """Finds the roots, and which steps each reaches."""

    def __init__(
        self,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        known: Evidence,
        pins: Sequence[Change],
        inputs: Sequence[Change],
        pattern_differs: bool,
    ) -> None:
        self._a = {str(step.get("step_id")): step for step in counted_steps(before)}
        self._b = {str(step.get("step_id")): step for step in counted_steps(after)}
        self._known = known
        self._pins = pins
        self._inputs = inputs
        self._pattern_differs = pattern_differs
        self._reads = _reads(known.pattern_b) or _reads(known.pattern_a)
        self._written_a, self._written_b = _written(known.pattern_a), _written(known.pattern_b)
        self._found: dict[str, Cause] = {}

    def find(self) -> tuple[tuple[Cause, ...], tuple[StepChange, ...]]:
        order = [*self._b, *(name for name in self._a if name not in self._b)]
        changed: dict[str, StepChange] = {}
        for name in order:
            left, right = self._a.get(name), self._b.get(name)
            what = _what(left, right)
            if what:
                causes = tuple(self._explain(name, left, right, what, changed, order))
                changed[name] = StepChange(name, what, _shown(left), _shown(right), causes)
        for change in self._pins:
            self._pin(change)
        for change in self._inputs:
            self._input(change)
        return tuple(self._found.values()), tuple(changed.values())

    def _explain(
        self,
        name: str,
        left: Mapping[str, Any] | None,
        right: Mapping[str, Any] | None,
        what: tuple[str, ...],
        changed: Mapping[str, StepChange],
        order: Sequence[str],
    ) -> Iterator[str]:
        """Yield the ids of all causes of a step's difference, each once."""
        found: dict[str, None] = {}
        if left is None or right is None:
            found[self._cause("pattern", "the patterns have other steps")] = None
        else:
            if "version" in what or "capability" in what:
                text = f"{left.get('capability')} v{left.get('version')} became {right.get('capability')}"
                found[self._cause(f"code:{name}", f"step {name}: {text} v{right.get('version')}")] = None
            if self._written_a.get(name) != self._written_b.get(name):
                found[self._cause("pattern", f"the patterns differ, as in step {name}")] = None
            found.update((cause, None) for cause in self._inherited(name, changed, order))
            found.update((cause, None) for cause in self._own(name, right))
            if not found and self._pattern_differs and not self._reads:
                found[self._cause("pattern", "the patterns differ")] = None
            if not found:
                text = f"step {name} answered otherwise to the same arguments and pins: it reads what is not pinned"
                found[self._cause(f"unpinned:{name}", text)] = None
        yield from found

    def _inherited(self, name: str, changed: Mapping[str, StepChange], order: Sequence[str]) -> Iterator[str]:
        """Yield what explains the steps this one reads; without a pattern, all earlier ones it may have read."""
        left, right = self._a.get(name, {}), self._b.get(name, {})
        if left.get("args_digest") == right.get("args_digest") and left.get("status") == right.get("status"):
            return
        earlier = self._reads[name][0] if name in self._reads else tuple(order[: order.index(name)])
        for each in earlier:
            if each in changed:
                yield from changed[each].causes

    def _own(self, name: str, step: Mapping[str, Any]) -> Iterator[str]:
        """Yield the pins its capability needs and the inputs and pins its arguments read, if they differ."""
        needs = self._known.needs.get(str(step.get("capability")))
        text = self._reads.get(name)
        named = {key for root, key in (text[1] if text else ()) if root == "ctx"}
        for change in self._pins:
            if needs is None or _NEED_OF[change.name] in needs or change.name in named:
                yield self._pin(change)
        for change in self._inputs:
            if text is None or ("inputs", change.name) in text[1]:
                yield self._input(change)

    def _pin(self, change: Change) -> str:
        """Return the cause a pin stands for; everything about the pack is one."""
        if change.name not in _PACK:
            name = "ledger" if change.name == "ledger_commit_hash" else change.name
            return self._cause(f"pin:{name}", f"{change.name} was {_text(change.a)}, is {_text(change.b)}")
        by_name = {each.name: each for each in self._pins}
        texts = [f"{name} was {_text(each.a)}, is {_text(each.b)}" for name in _PACK if (each := by_name.get(name))]
        return self._cause("pin:pack", "; ".join(texts))

    def _input(self, change: Change) -> str:
        return self._cause(f"input:{change.name}", f"input {change.name} was {_text(change.a)}, is {_text(change.b)}")

    def _cause(self, cause_id: str, text: str) -> str:
        if cause_id not in self._found:
            self._found[cause_id] = Cause(cause_id, text, tuple(self._known.details.get(cause_id, ())))
        return cause_id


def _reads(pattern: Mapping[str, Any] | None) -> dict[str, tuple[tuple[str, ...], frozenset[tuple[str, str]]]]:
    """Return per step id the steps it reads, and the (root, key) of inputs and context it names.

    Steps inside a sub-pattern read whatever stands before them there, and what the step that names it is given.
    """
    if pattern is None:
        return {}
    found: dict[str, tuple[tuple[str, ...], frozenset[tuple[str, str]]]] = {}
    makers: dict[str, list[str]] = {}
    plans = [plan for plan in planned_steps(pattern) if "/" not in plan.id]
    for plan, step in zip(plans, _list(pattern.get("steps")), strict=False):
        paths = list(_paths(step))
        steps = [each for root, key in paths if root == "state" for each in makers.get(key, [])]
        steps += [each for each in step.get("depends_on") or () if isinstance(each, str)]
        named = frozenset((root, key) for root, key in paths if root != "state")
        found[plan.id] = (tuple(dict.fromkeys(steps)), named)
        inner = [each.id for each in planned_steps(pattern) if each.id.startswith(f"{plan.id}/")]
        for place, each in enumerate(inner):
            found[each] = ((*steps, *inner[:place]), named)
        makers.setdefault(plan.as_, []).extend([*inner, plan.id])
    return found


def _paths(node: Any) -> Iterator[tuple[str, str]]:
    """Yield (root, first key) of everything that looks like a reference in a step: templates, condition, foreach."""
    if isinstance(node, str):
        yield from _REFERENCE.findall(node)
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _paths(value)
    elif isinstance(node, list):
        for value in node:
            yield from _paths(value)


def _written(pattern: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return each top-level step as it is written, by id."""
    if pattern is None:
        return {}
    plans = [plan for plan in planned_steps(pattern) if "/" not in plan.id]
    return {plan.id: step for plan, step in zip(plans, _list(pattern.get("steps")), strict=False)}


def _what(left: Mapping[str, Any] | None, right: Mapping[str, Any] | None) -> tuple[str, ...]:
    if left is None or right is None:
        return ("only in B",) if left is None else ("only in A",)
    pairs = (
        ("status", "status"),
        ("capability", "capability"),
        ("version", "version"),
        ("arguments", "args_digest"),
        ("output", "output_digest"),
    )
    return tuple(name for name, key in pairs if left.get(key) != right.get(key))


def _shown(step: Mapping[str, Any] | None) -> str | None:
    if step is None:
        return None
    why = step.get("skip_reason") or _object(step.get("error")).get("code")
    return f"{step.get('status')}" + (f" ({why})" if why else "")


def _changes(a: Mapping[str, Any], b: Mapping[str, Any], names: Iterable[str]) -> Iterator[Change]:
    for name in names:
        left, right = a.get(name), b.get(name)
        if (left or None) != (right or None):
            yield Change(name, left, right)


def _input_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    a, b = _object(before.get("inputs")), _object(after.get("inputs"))
    for name in sorted({*a, *b}):
        if not _equal(a.get(name), b.get(name)):
            yield Change(name, a.get(name), b.get(name))


def _figures(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield pointer, label and both values of every leaf that differs; charts only repeat figures, so not of those."""
    for name in dict.fromkeys([*b, *a]):
        if name == "charts":
            continue
        yield from _leaves(f"/data{_escaped(name)}", "", a.get(name), b.get(name))


def _in_series(pointer: str) -> bool:
    return pointer.rpartition("/")[2].isdigit()


def _leaves(at: str, label: str, left: Any, right: Any) -> Iterator[tuple[str, str, Any, Any]]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in dict.fromkeys([*right, *left]):
            yield from _leaves(at + _escaped(key), label, left.get(key), right.get(key))
    elif isinstance(left, list) and isinstance(right, list):
        yield from _rows(at, label, left, right)
    elif not _equal(left, right):
        yield at, label, left, right


def _rows(at: str, label: str, left: list[Any], right: list[Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Compare two lists: rows by their name where all have one, else by their place."""
    key = next((key for key in _NAMES_OF_ROWS if _names(left, key) and _names(right, key)), None)
    if key is None or not (left or right):
        for index in range(max(len(left), len(right))):
            old = left[index] if index < len(left) else None
            new = right[index] if index < len(right) else None
            yield from _leaves(f"{at}/{index}", label, old, new)
        return
    old_rows = {row[key]: (index, row) for index, row in enumerate(left)}
    new_rows = {row[key]: (index, row) for index, row in enumerate(right)}
    for name in dict.fromkeys([*new_rows, *old_rows]):
        index = new_rows[name][0] if name in new_rows else old_rows[name][0]
        own = f"{label} {key}={name}".strip()
        old, new = old_rows.get(name, (0, None))[1], new_rows.get(name, (0, None))[1]
        yield from _leaves(f"{at}/{index}", own, old, new)


def _names(rows: list[Any], key: str) -> bool:
    names = [row.get(key) for row in rows if isinstance(row, Mapping)]
    return len(names) == len(rows) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def _maker(before: Mapping[str, Any], after: Mapping[str, Any], pointer: str) -> str | None:
    """Return the id of the step that made an output, the innermost of a sub-pattern."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[2:]]
    for trace in (after, before):
        steps = [step for step in _list(trace.get("steps")) if step.get("step_id") != "$resolve"]
        prefix, found = "", None
        for key in keys:
            own = [
                step
                for step in steps
                if step.get("as") == key
                and str(step.get("step_id")).startswith(prefix)
                and "/" not in str(step.get("step_id"))[len(prefix) :]
            ]
            if not own:
                break
            found = str(own[-1].get("step_id"))
            if not str(own[-1].get("capability")).startswith("pattern."):
                break
            prefix = f"{found}/"
        if found is not None:
            return found
    return None


def _delta(left: Any, right: Any) -> Any:
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    if isinstance(left, int) and isinstance(right, int):
        return right - left
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        # On the digits as they are printed: to a reader 0.3 − 0.1 is 0.2, in binary it is 0.19999999999999998.
        return float(Decimal(repr(right)) - Decimal(repr(left)))
    if isinstance(left, str) and isinstance(right, str):
        try:
            delta = Decimal(right) - Decimal(left)
        except InvalidOperation:
            return None
        return f"{delta:f}" if delta.is_finite() else None
    return None


def _equal(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _text(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _escaped(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
