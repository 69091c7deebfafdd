"""Compiling the steps of a pattern: names, references, order, arguments, policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from orchestrator.catalogue import CapabilitySpec, Catalogue, RetryPolicy
from orchestrator.conditions import Condition, compile_condition
from orchestrator.faults import nearest, pointer, unknown_key
from orchestrator.inputs import Inputs
from orchestrator.limits import Limits
from orchestrator.pattern import Compensation, CompiledStep, Foreach, OnError
from orchestrator.references import CTX_NAMES, Reference, Written, parse_path
from orchestrator.schema import COMPENSATE_KEYS, RETRY_KEYS, STEP_KEYS
from orchestrator.schemas import NUMBER, Kinds, NoSuchPath, kinds_at
from orchestrator.templates import Template, compile_template
from orchestrator.validation import schema_faults, shown
from topics.canonical import NotCanonical, canonical_bytes
from topics.errors import Fault

LAST = "last"
_NULLABLE_CTX = ("benchmark_id", "ledger_commit_hash", "portfolio_id")


@dataclass(frozen=True, slots=True)
class StepNames:
    """Which step makes which name.

    Attributes:
        ids: id of each step by index.
        as_: name of each step's output by index.
        makers: output name → indices of its makers, in order; several only for `last`.
    """

    ids: tuple[str, ...]
    as_: tuple[str, ...]
    makers: Mapping[str, Sequence[int]]

    def maker_before(self, name: str, index: int) -> int | None:
        """Return the newest step before `index` that makes `name`."""
        return next((maker for maker in reversed(self.makers.get(name, ())) if maker < index), None)


def name_steps(steps: Sequence[Any], where: str, faults: list[Fault]) -> StepNames:
    """Give every step its id and output name; duplicates are faults that name both places."""
    ids: list[str] = []
    names: list[str] = []
    makers: dict[str, list[int]] = {}
    taken: dict[str, int] = {}
    for index, step in enumerate(steps):
        data = step if isinstance(step, Mapping) else {}
        as_ = data.get("as")
        name = as_ if isinstance(as_, str) else LAST
        given = data.get("id")
        own = given if isinstance(given, str) else (name if name != LAST else f"step_{index}")
        if name != LAST and name in makers:
            message = f"{name!r} is already made by /steps/{makers[name][0]}"
            faults.append(Fault(where, f"/steps/{index}/as", message))
        elif own in taken:
            at = f"/steps/{index}/id" if isinstance(given, str) else f"/steps/{index}"
            faults.append(Fault(where, at, f"id {own!r} is already taken by /steps/{taken[own]}"))
        taken.setdefault(own, index)
        makers.setdefault(name, []).append(index)
        ids.append(own)
        names.append(name)
    return StepNames(tuple(ids), tuple(names), makers)


class StepCompiler:
    """Compiles steps one after the other and collects every fault on the way.

    Attributes:
        reads_context: whether any template or condition reads `ctx`.
    """

    def __init__(
        self,
        steps: Sequence[Any],
        names: StepNames,
        inputs: Inputs,
        catalogue: Catalogue,
        where: str,
        limits: Limits,
        faults: list[Fault],
    ) -> None:
        self._steps = steps
        self._names = names
        self._inputs = inputs
        self._catalogue = catalogue
        self._where = where
        self._limits = limits
        self._faults = faults
        self._specs = tuple(
            self._spec(self._data(index).get("capability"), f"/steps/{index}/capability") for index in range(len(steps))
        )
        self.reads_context = False
        self._foreach: dict[int, Foreach] = {}

    def compile(self, outputs: frozenset[str]) -> tuple[CompiledStep, ...]:
        """Return all steps, joined to each other; meaningful only if no fault was recorded.

        Args:
            outputs: ids of the steps whose outputs the pattern returns.
        """
        compiled = [self._step(index, outputs) for index in range(len(self._steps))]
        return _joined([step for step in compiled if step is not None])

    def _data(self, index: int) -> Mapping[str, Any]:
        step = self._steps[index]
        return step if isinstance(step, Mapping) else {}

    def _fault(self, place: str, message: str) -> None:
        self._faults.append(Fault(self._where, place, message))

    def _spec(self, name: Any, place: str) -> CapabilitySpec | None:
        if not isinstance(name, str):
            return None
        spec = self._catalogue.find(name)
        if spec is None:
            known = nearest(name, self._catalogue.capabilities)
            self._fault(place, f"unknown capability {name!r}{known}")
        return spec

    def _step(self, index: int, outputs: frozenset[str]) -> CompiledStep | None:
        data, at, spec = self._data(index), f"/steps/{index}", self._specs[index]
        for key in data:
            if key not in STEP_KEYS:
                self._fault(at + pointer(key), unknown_key(key, STEP_KEYS))
        foreach = self._compile_foreach(index, data, at)
        template = self._args(index, data.get("args"), spec, f"{at}/args")
        condition = self._condition(index, data.get("condition"), f"{at}/condition")
        explicit = self._depends_on(index, data.get("depends_on"), f"{at}/depends_on")
        timeout_s = self._timeout_s(data, spec, at)
        retry = self._retry(data, spec, at)
        on_error = self._on_error(data.get("on_error", "fail"), f"{at}/on_error")
        compensate = self._compensate(index, data.get("compensate"), f"{at}/compensate")
        if spec is None:
            return None
        own = self._names.ids[index]
        after, requires = _order(own, template, condition, explicit, compensate, foreach)
        return CompiledStep(
            index=index,
            id=own,
            as_=self._names.as_[index],
            capability=spec.name,
            version=spec.version,
            agent=spec.agent,
            timeout_ms=max(1, round(timeout_s * 1000)),
            retry=retry,
            args=template,
            condition=condition,
            parallel=data.get("parallel") is True,
            after=after,
            requires=requires,
            readers=(),
            projections=(),
            output=own in outputs,
            digest_head=canonical_bytes([spec.name, spec.version])[:-1],
            needs=spec.needs,
            on_error=on_error,
            compensate=compensate,
            foreach=foreach,
        )

    def _compile_foreach(self, index: int, data: Mapping[str, Any], at: str) -> Foreach | None:
        given: Any = data.get("foreach")
        at_once: Any = data.get("concurrency_max", self._limits.concurrency_default)
        if "concurrency_max" in data and "foreach" not in data:
            self._fault(f"{at}/concurrency_max", "concurrency_max is for steps with foreach")
        if type(at_once) is int and at_once > self._limits.concurrency_max:
            message = f"expected at most {self._limits.concurrency_max} items at a time, got {at_once}"
            self._fault(f"{at}/concurrency_max", message)
        if not isinstance(given, str):
            return None
        text = given.strip().removeprefix("{{").removesuffix("}}").strip()
        written = parse_path(text)
        if written is None or written.root not in ("state", "inputs"):
            self._fault(
                f"{at}/foreach", f"expected the path of a list, as state.x.items or inputs.x, got {shown(given)}"
            )
            return None
        source = self._resolve(index, written, f"{at}/foreach")
        if source is None:
            return None
        kinds = self.kinds(source)
        if isinstance(kinds, frozenset) and "array" not in kinds:
            self._fault(f"{at}/foreach", f"expected a list, {text} is {' or '.join(sorted(kinds))}")
        keys = (*source.keys, "length")
        length = replace(source, keys=keys, path=".".join(keys))
        self._foreach[index] = Foreach(text, source, length, at_once if type(at_once) is int else 1)
        return self._foreach[index]

    def _args(
        self, index: int, given: Any, spec: CapabilitySpec | None, place: str, own_output: bool = False
    ) -> Template:
        args = given if isinstance(given, Mapping) else {}
        template = compile_template(
            args,
            lambda written, at: self._resolve(index, written, at, own_output),
            place,
            self._where,
            self._limits.template_depth_max,
            self._faults,
        )
        if spec is not None:
            self._check_args(template, args, spec, place)
        return template

    def _compensate(self, index: int, given: Any, place: str) -> Compensation | None:
        if not isinstance(given, Mapping):
            return None
        for key in given:
            if key not in COMPENSATE_KEYS:
                self._fault(place + pointer(key), unknown_key(key, COMPENSATE_KEYS))
        spec = self._spec(given.get("capability"), f"{place}/capability")
        template = self._args(index, given.get("args"), spec, f"{place}/args", own_output=True)
        if spec is None:
            return None
        return Compensation(
            capability=spec.name,
            version=spec.version,
            agent=spec.agent,
            timeout_ms=max(1, round(spec.timeout_s * 1000)),
            retry=replace(spec.retry, attempts_max=min(spec.retry.attempts_max, self._limits.attempts_max)),
            args=template,
            needs=spec.needs,
        )

    def _resolve(self, index: int, written: Written, place: str, own_output: bool = False) -> Reference | None:
        found = self._find(index, written, own_output)
        if isinstance(found, str):
            self._fault(place, f"{written.text}: {found}")
            return None
        kinds = self.kinds(found)
        if isinstance(kinds, NoSuchPath):
            self._fault(place, f"{written.text}: there is no {kinds.key!r}{nearest(kinds.key, kinds.known)}")
            return None
        return found

    def _find(self, index: int, written: Written, own_output: bool) -> Reference | str:
        """Return the reference, or what is wrong with it."""
        if written.root in ("item", "index", "output"):
            return self._find_item(index, written, own_output)
        first, rest = written.keys[0], written.keys[1:]
        if written.root == "inputs":
            if first not in self._inputs.schema["properties"]:
                return f"unknown input {first!r}{nearest(first, self._inputs.schema['properties'])}"
            return Reference(written.text, "inputs", None, written.keys, ".".join(written.keys))
        if written.root == "ctx":
            if first not in CTX_NAMES:
                return f"unknown context name {first!r}{nearest(first, CTX_NAMES)}"
            self.reads_context = True
            return Reference(written.text, "ctx", None, written.keys, ".".join(written.keys))
        if own_output and index in self._foreach and first == self._names.as_[index] != LAST:
            return "an item of a foreach step that is undone reads its own output as {{output}}"
        maker = self._names.maker_before(first, index + (own_output and index not in self._foreach))
        if maker is not None:
            return Reference(written.text, "state", self._names.ids[maker], rest, ".".join(rest))
        makers = self._names.makers.get(first, ())
        if index in makers:
            return f"{first!r} is what this step itself makes"
        if makers:
            return f"{first!r} is made by a later step (/steps/{makers[0]})"
        known = sorted({self._names.as_[earlier] for earlier in range(index)})
        return f"no earlier step makes {first!r}{nearest(first, known)}"

    def _find_item(self, index: int, written: Written, own_output: bool) -> Reference | str:
        path = ".".join(written.keys)
        if written.root == "output":
            if not own_output:
                return "output exists only in the args of compensate"
            if index not in self._foreach:
                return Reference(written.text, "state", self._names.ids[index], written.keys, path)
        elif index not in self._foreach:
            return f"{written.root} exists only in a step with foreach"
        return Reference(written.text, written.root, self._names.ids[index], written.keys, path)

    def kinds(self, reference: Reference) -> Kinds | NoSuchPath | None:
        """Return what the schemas say about the values at a reference."""
        if reference.root == "ctx":
            name, *below = reference.keys
            if below:
                return NoSuchPath(below[0], ())
            nullable = name in _NULLABLE_CTX
            return frozenset({"string", "null"} if nullable else {"string"})
        if reference.root == "inputs":
            return kinds_at(self._inputs.schema, reference.keys)
        maker = self._names.ids.index(reference.step or "")
        if reference.root == "index":
            return NUMBER
        if reference.root == "item":
            source = self._foreach[maker].source
            return self.kinds(replace(source, keys=(*source.keys, "0", *reference.keys)))
        spec = self._specs[maker]
        if spec is not None and maker in self._foreach and reference.root == "state":
            kinds = kinds_at(_list_of(spec.output_schema), reference.keys)
        else:
            kinds = None if spec is None else kinds_at(spec.output_schema, reference.keys)
        # Without a schema `length` is that of a list or text in all but odd cases, and those fail at run time.
        return NUMBER if kinds is None and reference.keys[-1:] == ("length",) else kinds

    def _condition(self, index: int, text: Any, place: str) -> Condition | None:
        if not isinstance(text, str):
            return None
        return compile_condition(
            text,
            lambda written, at: self._resolve(index, written, at),
            self.kinds,
            place,
            self._where,
            self._faults,
        )

    def _depends_on(self, index: int, names: Any, place: str) -> tuple[str, ...]:
        found: list[str] = []
        earlier = self._names.ids[:index]
        for position, name in enumerate(names if isinstance(names, list) else ()):
            if not isinstance(name, str):
                continue
            if name in earlier:
                found.append(name)
            elif name in self._names.ids:
                other = self._names.ids.index(name)
                which = "this step itself" if other == index else f"a later step (/steps/{other})"
                self._fault(f"{place}/{position}", f"{name!r} is {which}; steps wait for earlier ones only")
            else:
                self._fault(f"{place}/{position}", f"no step has the id {name!r}{nearest(name, set(earlier))}")
        return tuple(found)

    def _check_args(self, template: Template, args: Mapping[str, Any], spec: CapabilitySpec, place: str) -> None:
        schema = spec.input_schema
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return
        open_ended = schema.get("additionalProperties", False) not in (False, None) or "patternProperties" in schema
        for name in args:
            if name not in properties and not open_ended:
                hint = nearest(name, properties) or "; it takes no arguments"
                self._fault(place + pointer(name), f"{spec.name} has no argument {name!r}{hint}")
        for name in schema.get("required", ()):
            if name not in args:
                self._fault(place, f"{spec.name} needs the argument {name!r}")
        definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        for name, value in template.literals.items():
            if isinstance(properties.get(name), Mapping):
                found = schema_faults({**definitions, **properties[name]}, value, self._where, place + pointer(name))
                self._faults.extend(found)

    def _timeout_s(self, data: Mapping[str, Any], spec: CapabilitySpec | None, at: str) -> float:
        value: Any = data.get("timeout_s")
        if not _is_number(value) or value <= 0:
            return spec.timeout_s if spec else 1.0
        if value > self._limits.deadline_s_max:
            self._fault(f"{at}/timeout_s", f"expected at most {self._limits.deadline_s_max:g} s, got {shown(value)}")
        return float(value)

    def _retry(self, data: Mapping[str, Any], spec: CapabilitySpec | None, at: str) -> RetryPolicy:
        base = spec.retry if spec else RetryPolicy()
        given = data.get("retry")
        if not isinstance(given, Mapping):
            return replace(base, attempts_max=min(base.attempts_max, self._limits.attempts_max))
        for key in given:
            if key not in RETRY_KEYS:
                self._fault(f"{at}/retry{pointer(key)}", unknown_key(key, RETRY_KEYS))
        attempts_max: Any = given.get("attempts_max", base.attempts_max)
        if _is_number(attempts_max) and attempts_max > self._limits.attempts_max:
            message = f"expected at most {self._limits.attempts_max} attempts, got {shown(attempts_max)}"
            self._fault(f"{at}/retry/attempts_max", message)
        numbers: dict[str, Any] = {key: given.get(key, getattr(base, key)) for key in RETRY_KEYS}
        if not all(_is_number(value) for value in numbers.values()):
            return base
        return RetryPolicy(
            int(numbers["attempts_max"]),
            float(numbers["backoff_s"]),
            float(numbers["factor"]),
            float(numbers["cap_s"]),
        )

    def _on_error(self, given: Any, place: str) -> OnError:
        action: Literal["fail", "continue"] = "continue" if given == "continue" else "fail"
        if not isinstance(given, Mapping):
            return OnError(action)
        for key in given:
            if key != "value":
                self._fault(place + pointer(key), unknown_key(key, ("value",)))
        value = given.get("value")
        try:
            size = len(canonical_bytes(value))
        except NotCanonical as error:
            self._fault(f"{place}/value", str(error))
            return OnError()
        if size > self._limits.inline_bytes:
            self._fault(f"{place}/value", f"expected at most {self._limits.inline_bytes} bytes, got {size}")
        return OnError("value", value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _order(
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
    if foreach is not None and foreach.source.step is not None:
        args.append(foreach.source.step)
    asked = [reference.step for reference in condition.references if reference.step] if condition else []
    tested = {reference.step for reference in condition.tested if reference.step} if condition else set()
    read = compensate.args.references if compensate else ()
    undo = [reference.step for reference in read if reference.step and reference.root == "state"]
    after = tuple(dict.fromkeys([*args, *asked, *explicit, *(step for step in undo if step != own)]))
    return after, tuple(step for step in after if step not in tested)


def _projected(reference: Reference, fan: bool) -> str:
    """Return the path a reference reads in an answer; of a foreach step each answer is one item."""
    return ".".join(reference.keys[1:]) if fan else reference.path


def _list_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a list of what another describes."""
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return {"type": "array", "items": {key: value for key, value in schema.items() if key not in shared}, **shared}


def _joined(steps: list[CompiledStep]) -> tuple[CompiledStep, ...]:
    """Give each step its readers and the projections that others need of it."""
    readers: dict[str, list[int]] = {step.id: [] for step in steps}
    fans = {step.id for step in steps if step.foreach is not None}
    projections: dict[str, dict[str, None]] = {step.id: {} for step in steps}
    for step in steps:
        if step.parallel:
            for earlier in step.after:
                if earlier in readers:
                    readers[earlier].append(step.index)
        references = [
            *step.args.references,
            *(step.condition.references if step.condition else ()),
            *(step.compensate.args.references if step.compensate else ()),
            *((step.foreach.source, step.foreach.length) if step.foreach else ()),
        ]
        for reference in references:
            if reference.step in projections and reference.root in ("state", "output"):
                path = _projected(reference, reference.root == "state" and reference.step in fans)
                if path:
                    projections[reference.step][path] = None
    return tuple(
        replace(step, readers=tuple(readers[step.id]), projections=tuple(sorted(projections[step.id])))
        for step in steps
    )
