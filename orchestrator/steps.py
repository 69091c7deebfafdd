"""Compiling the steps of a pattern: names, references, order, arguments, policies."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from orchestrator.catalogue import CapabilitySpec, Catalogue, RetryPolicy
from orchestrator.conditions import Condition, compile_condition
from orchestrator.faults import nearest, pointer, unknown_key
from orchestrator.inputs import Inputs
from orchestrator.limits import Limits
from orchestrator.pattern import BEGIN, Compensation, CompiledStep, Foreach, OnError, Part
from orchestrator.references import CTX_NAMES, Absent, Reference, Scope, Written, parse_path
from orchestrator.schema import COMPENSATE_KEYS, RETRY_KEYS, STEP_KEYS
from orchestrator.schemas import NUMBER, Kinds, NoSuchPath, kinds_at
from orchestrator.templates import Template, compile_template, descend, gather, nodes_of
from orchestrator.validation import schema_faults, shown
from topics.canonical import NotCanonical, canonical_bytes
from topics.errors import Fault

CALL = "pattern."
CALL_KEYS = frozenset({"args", "as", "capability", "condition", "depends_on", "description", "id", "parallel"})
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


def name_steps(steps: Sequence[Any], where: str, faults: list[Fault], place: str = "") -> StepNames:
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
            faults.append(Fault(where, f"{place}/steps/{index}/as", message))
        elif own in taken:
            at = f"/steps/{index}/id" if isinstance(given, str) else f"/steps/{index}"
            faults.append(Fault(where, place + at, f"id {own!r} is already taken by /steps/{taken[own]}"))
        taken.setdefault(own, index)
        makers.setdefault(name, []).append(index)
        ids.append(own)
        names.append(name)
    return StepNames(tuple(ids), tuple(names), makers)


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


class TooManySteps(Exception):
    """Sub-patterns of sub-patterns have more steps than a pattern may have."""


class StepCompiler:
    """Compiles the steps of one document one after the other and collects every fault on the way."""

    def __init__(self, frame: Frame, work: Work, call: Call) -> None:
        self._steps = frame.steps
        self._names = frame.names
        self._inputs = frame.inputs
        self._frame = frame
        self._work = work
        self._call = call
        self._catalogue = work.catalogue
        self._where = frame.where
        self._limits = work.limits
        self._faults = work.faults
        self._specs = tuple(self._step_spec(index) for index in range(len(self._steps)))
        self._foreach: dict[int, Foreach] = {}

    def compile(self, outputs: frozenset[str]) -> list[CompiledStep]:
        """Return all steps, sub-patterns inlined, not yet joined; meaningful only if no fault was recorded.

        Args:
            outputs: full ids of the steps whose outputs the whole pattern returns.
        """
        found: list[CompiledStep] = []
        settled: list[str] = []
        for index in range(len(self._steps)):
            steps = self._inline(index, outputs) if self._calls(index) else [self._step(index, outputs)]
            own = self._id(index)
            for step in steps:
                if step is not None:
                    found.append(self._placed(step, step.id in (own, own + BEGIN), settled))
            settled.append(own)
            self._work.made += sum(step is not None for step in steps)
            if self._work.made > self._limits.steps_max:
                raise TooManySteps
        return found

    def _placed(self, step: CompiledStep, direct: bool, earlier: list[str]) -> CompiledStep:
        """Tie a step to the begin of its sub-pattern; in one that is parallel, let it wait for its own kind only."""
        call = self._call
        if not direct or call.begin is None:
            return step
        after = [*step.after, call.begin]
        parallel = step.parallel
        if call.parallel and not parallel:
            after.extend(earlier)
            parallel = True
        requires = tuple(dict.fromkeys((call.begin, *step.requires)))
        return replace(step, parallel=parallel, after=tuple(dict.fromkeys(after)), requires=requires)

    def _id(self, index: int) -> str:
        return self._call.prefix + self._names.ids[index]

    def _calls(self, index: int) -> bool:
        name = self._data(index).get("capability")
        return isinstance(name, str) and name.startswith(CALL)

    def _step_spec(self, index: int) -> CapabilitySpec | None:
        place = f"/steps/{index}/capability"
        return None if self._calls(index) else self._spec(self._data(index).get("capability"), place)

    def _inline(self, index: int, outputs: frozenset[str]) -> list[CompiledStep | None]:
        """Return the steps of a sub-pattern between its begin and its end."""
        data, at, own = self._data(index), f"/steps/{index}", self._id(index)
        name = str(data["capability"])
        for key in data:
            if key not in STEP_KEYS:
                self._fault(at + pointer(key), unknown_key(key, STEP_KEYS))
            elif key not in CALL_KEYS:
                self._fault(at + pointer(key), f"{key} is for steps with a capability, not for a sub-pattern")
        condition = self._condition(index, data.get("condition"), f"{at}/condition")
        explicit = self._depends_on(index, data.get("depends_on"), f"{at}/depends_on")
        frame = self._work.frame(name.removeprefix(CALL), self._call.path, self._where, f"{self._frame.place}{at}")
        if frame is None:
            self._args(index, data.get("args"), None, f"{at}/args")
            return []
        spec = CapabilitySpec("", name, 1, input_schema=frame.inputs.schema)
        template = self._args(index, data.get("args"), spec, f"{at}/args")
        after, requires = _order(own, template, condition, explicit, None, None)
        parallel = data.get("parallel") is True
        call = Call(
            prefix=own + "/",
            begin=own + BEGIN,
            parallel=parallel or self._call.parallel,
            bound={
                **dict.fromkeys(frame.inputs.types),
                **frame.inputs.defaults,
                **{name: node for name, node in nodes_of(template).items() if node is not None},
            },
            path=(*self._call.path, name.removeprefix(CALL)),
        )
        inner_outputs = {output: call.prefix + step for output, step in frame.outputs.items()}
        if own in outputs:
            outputs = outputs | frozenset(inner_outputs.values())
        inner = StepCompiler(frame, self._work, call).compile(outputs)
        self._work.outputs[own] = inner_outputs
        ends = [call.prefix + step for step in frame.names.ids]
        begin = CompiledStep(
            index=index,
            id=own + BEGIN,
            as_=self._names.as_[index],
            capability=name,
            version=1,
            agent="",
            timeout_ms=0,
            retry=RetryPolicy(),
            args=template,
            condition=condition,
            parallel=parallel,
            after=after,
            requires=requires,
            readers=(),
            projections=(),
            output=False,
            digest_head=b"",
            needs=(),
            part=Part(own, True, frame.inputs, inner_outputs),
        )
        end = replace(
            begin,
            id=own,
            args=Template({}, (), ()),
            condition=None,
            after=(begin.id, *ends),
            requires=(begin.id,),
            output=own in outputs,
            part=Part(own, False, frame.inputs, inner_outputs),
        )
        return [begin, *inner, end]

    def _data(self, index: int) -> Mapping[str, Any]:
        step = self._steps[index]
        return step if isinstance(step, Mapping) else {}

    def _fault(self, place: str, message: str) -> None:
        self._faults.append(Fault(self._where, self._frame.place + place, message))

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
        own = self._id(index)
        self._work.schemas[own] = spec.output_schema if foreach is None else _list_of(spec.output_schema)
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
            pure=spec.pure,
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
        source = self._resolve(index, written, f"{self._frame.place}{at}/foreach")
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
            self._frame.place + place,
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
        """Return what is written at a place of the file (whole pointer), or None after recording a fault."""
        found = self._find(index, written, own_output)
        kinds = found if isinstance(found, str) else self.kinds(found)
        if isinstance(found, str):
            self._faults.append(Fault(self._where, place, f"{written.text}: {found}"))
            return None
        if isinstance(kinds, NoSuchPath):
            message = f"{written.text}: there is no {kinds.key!r}{nearest(kinds.key, kinds.known)}"
            self._faults.append(Fault(self._where, place, message))
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
            return self._find_input(written)
        if written.root == "ctx":
            if first not in CTX_NAMES:
                return f"unknown context name {first!r}{nearest(first, CTX_NAMES)}"
            self._work.reads_context = True
            return Reference(written.text, "ctx", None, written.keys, ".".join(written.keys))
        if own_output and index in self._foreach and first == self._names.as_[index] != LAST:
            return "an item of a foreach step that is undone reads its own output as {{output}}"
        maker = self._names.maker_before(first, index + (own_output and index not in self._foreach))
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
        declared = kinds_at(self._inputs.schema, written.keys)
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
            if index not in self._foreach:
                return Reference(written.text, "state", self._id(index), written.keys, path)
        elif index not in self._foreach:
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
            return kinds_at(self._inputs.schema, reference.keys)
        if reference.root == "index":
            return NUMBER
        if reference.root in ("item", "output"):
            maker = self._names.ids.index((reference.step or "").removeprefix(self._call.prefix))
            if reference.root == "item":
                source = self._foreach[maker].source
                return self.kinds(replace(source, keys=(*source.keys, "0", *reference.keys), declared=None))
            spec = self._specs[maker]
            schema = spec.output_schema if spec else None
        else:
            schema = self._work.schemas.get(reference.step or "", self._own_schema(reference.step))
        kinds = None if schema is None else kinds_at(schema, reference.keys)
        # Without a schema `length` is that of a list or text in all but odd cases, and those fail at run time.
        return NUMBER if kinds is None and reference.keys[-1:] == ("length",) else kinds

    def _own_schema(self, step: str | None) -> Mapping[str, Any] | None:
        """Return the schema of a step that is just being compiled: its compensation reads its own output."""
        name = (step or "").removeprefix(self._call.prefix)
        spec = self._specs[self._names.ids.index(name)] if name in self._names.ids else None
        return spec.output_schema if spec else None

    def _condition(self, index: int, text: Any, place: str) -> Condition | None:
        if not isinstance(text, str):
            return None
        return compile_condition(
            text,
            lambda written, at: self._resolve(index, written, at),
            self.kinds,
            self._frame.place + place,
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
                found.append(self._call.prefix + name)
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
                at = self._frame.place + place + pointer(name)
                found = schema_faults({**definitions, **properties[name]}, value, self._where, at)
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
    args.extend(_read_by((foreach.source,) if foreach else ()))
    asked = _read_by(condition.references if condition else ())
    tested = set(_read_by(condition.tested if condition else ()))
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


def _read_by(references: Iterable[Reference]) -> list[str]:
    leaves = (leaf for reference in references for leaf in reference.reads)
    return [leaf.step for leaf in leaves if leaf.step and leaf.root == "state"]


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
