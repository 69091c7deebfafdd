"""Resolving the references in the steps of a pattern document: which step or value each is to, and of what kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.catalogue import CapabilitySpec
from orchestrator.faults import nearest
from orchestrator.frame import Call, Frame, Work
from orchestrator.references import CTX_NAMES, Absent, Reference, Scope, Written
from orchestrator.schemas import NUMBER, Kinds, NoSuchPath, kinds_at
from orchestrator.step_names import LAST
from orchestrator.templates import descend, gather
from topics.errors import Fault

_NULLABLE_CTX = ("benchmark_id", "ledger_commit_hash", "portfolio_id")


class Resolver:
    """Resolves what the steps of one document read, while they are compiled one after the other.

    Args:
        frame: the document.
        work: knows the schemas and outputs of the steps compiled so far; gets the faults.
        call: how the document is used.
        specs: capability of each step by index; None for a sub-pattern or an unknown one.
    """

    def __init__(self, frame: Frame, work: Work, call: Call, specs: Sequence[CapabilitySpec | None]) -> None:
        self._frame = frame
        self._names = frame.names
        self._work = work
        self._call = call
        self._specs = specs
        self._lists: dict[int, Reference] = {}

    def iterate(self, index: int, source: Reference) -> None:
        """Let a step read `item` and `index`: it runs once per item of the list at `source`."""
        self._lists[index] = source

    def resolve(self, index: int, written: Written, place: str, own_output: bool = False) -> Reference | None:
        """Return what is written at a place of the file (whole pointer), or None after recording a fault."""
        found = self._find(index, written, own_output)
        kinds = found if isinstance(found, str) else self.kinds(found)
        if isinstance(found, str):
            self._work.faults.append(Fault(self._frame.where, place, f"{written.text}: {found}"))
            return None
        if isinstance(kinds, NoSuchPath):
            message = f"{written.text}: there is no {kinds.key!r}{nearest(kinds.key, kinds.known)}"
            self._work.faults.append(Fault(self._frame.where, place, message))
            return None
        return found

    def _find(self, index: int, written: Written, own_output: bool) -> Reference | str:
        """Return the reference, or what is wrong with it."""
        if written.root in ("item", "index", "output"):
            return self._find_item(index, written, own_output)
        first, rest = written.keys[0], written.keys[1:]
        if written.root == "inputs":
            if first not in self._frame.inputs.schema["properties"]:
                return f"unknown input {first!r}{nearest(first, self._frame.inputs.schema['properties'])}"
            return self._find_input(written)
        if written.root == "ctx":
            if first not in CTX_NAMES:
                return f"unknown context name {first!r}{nearest(first, CTX_NAMES)}"
            self._work.reads_context = True
            return Reference(written.text, "ctx", None, written.keys, ".".join(written.keys))
        if own_output and index in self._lists and first == self._names.as_[index] != LAST:
            return "an item of a foreach step that is undone reads its own output as {{output}}"
        maker = self._names.maker_before(first, index + (own_output and index not in self._lists))
        if maker is not None:
            return self._find_output(written, self._id(maker), rest)
        makers = self._names.makers.get(first, ())
        if index in makers:
            return f"{first!r} is what this step itself makes"
        if makers:
            return f"{first!r} is made by a later step (/steps/{makers[0]})"
        known = sorted({self._names.as_[earlier] for earlier in range(index)})
        return f"no earlier step makes {first!r}{nearest(first, known)}"

    def _find_input(self, written: Written) -> Reference | str:
        bound = self._call.bound
        if bound is None:
            return Reference(written.text, "inputs", None, written.keys, ".".join(written.keys))
        declared = kinds_at(self._frame.inputs.schema, written.keys)
        if isinstance(declared, NoSuchPath):
            return f"there is no {declared.key!r}{nearest(declared.key, declared.known)}"
        return replace(descend(bound.get(written.keys[0]), written.keys[1:], written.text), declared=declared)

    def _find_output(self, written: Written, step: str, rest: tuple[str, ...]) -> Reference | str:
        """Return the reference to the output of a step; of a sub-pattern, to the step inside that makes it."""
        outputs = self._work.outputs.get(step)
        if outputs is None:
            return Reference(written.text, "state", step, rest, ".".join(rest))
        if rest:
            if rest[0] not in outputs:
                return f"there is no output {rest[0]!r}{nearest(rest[0], outputs)}"
            return self._find_output(written, outputs[rest[0]], rest[1:])
        ended = Reference(written.text, "state", step, (), "")
        found = descend(self._gathered(step), (), written.text)
        whole = found.evaluate

        def evaluate(scope: Scope) -> Any:
            end = scope.read(ended)
            return end if isinstance(end, Absent) or whole is None else whole(scope)

        return replace(found, leaves=(ended,), evaluate=evaluate)

    def _gathered(self, step: str) -> Any:
        found: dict[str, Any] = {}
        for name, inner in self._work.outputs[step].items():
            is_call = inner in self._work.outputs
            found[name] = self._gathered(inner) if is_call else Reference(name, "state", inner, (), "")
        return gather(found)

    def _find_item(self, index: int, written: Written, own_output: bool) -> Reference | str:
        path = ".".join(written.keys)
        if written.root == "output":
            if not own_output:
                return "output exists only in the args of compensate"
            if index not in self._lists:
                return Reference(written.text, "state", self._id(index), written.keys, path)
        elif index not in self._lists:
            return f"{written.root} exists only in a step with foreach"
        return Reference(written.text, written.root, self._id(index), written.keys, path)

    def kinds(self, reference: Reference) -> Kinds | NoSuchPath | None:
        """Return what the schemas say about the values at a reference."""
        if reference.declared is not None:
            return reference.declared
        if reference.root == "bound":
            return None
        if reference.root == "ctx":
            name, *below = reference.keys
            if below:
                return NoSuchPath(below[0], ())
            nullable = name in _NULLABLE_CTX
            return frozenset({"string", "null"} if nullable else {"string"})
        if reference.root == "inputs":
            return kinds_at(self._frame.inputs.schema, reference.keys)
        if reference.root == "index":
            return NUMBER
        if reference.root in ("item", "output"):
            maker = self._names.ids.index((reference.step or "").removeprefix(self._call.prefix))
            if reference.root == "item":
                source = self._lists[maker]
                return self.kinds(replace(source, keys=(*source.keys, "0", *reference.keys), declared=None))
            spec = self._specs[maker]
            schema = spec.output_schema if spec else None
        else:
            schema = self._work.schemas.get(reference.step or "", self._own_schema(reference.step))
        kinds = None if schema is None else kinds_at(schema, reference.keys)
        # Without a schema `length` is that of a list or text in all but odd cases, and those fail at run time.
        return NUMBER if kinds is None and reference.keys[-1:] == ("length",) else kinds

    def _id(self, index: int) -> str:
        return self._call.prefix + self._names.ids[index]

    def _own_schema(self, step: str | None) -> Mapping[str, Any] | None:
        """Return the schema of a step that is just being compiled: its compensation reads its own output."""
        name = (step or "").removeprefix(self._call.prefix)
        spec = self._specs[self._names.ids.index(name)] if name in self._names.ids else None
        return spec.output_schema if spec else None
