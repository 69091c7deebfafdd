"""Compiling the steps of a pattern document one after the other, those of sub-patterns inlined."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.catalogue import CapabilitySpec, RetryPolicy
from orchestrator.conditions import Condition, compile_condition
from orchestrator.dependencies import dependencies_of
from orchestrator.faults import nearest, pointer, unknown_key
from orchestrator.frame import Call, Frame, Work
from orchestrator.pattern import BEGIN, Compensation, CompiledStep, Foreach, Part
from orchestrator.references import parse_path
from orchestrator.resolver import Resolver
from orchestrator.schema import COMPENSATE_KEYS, STEP_KEYS
from orchestrator.step_policies import compile_on_error, compile_retry, compile_timeout_s
from orchestrator.templates import Template, compile_template, nodes_of
from orchestrator.validation import schema_faults, shown
from topics.canonical import canonical_bytes
from topics.errors import Fault

CALL = "pattern."
CALL_KEYS = frozenset({"args", "as", "capability", "condition", "depends_on", "description", "id", "parallel"})


class TooManySteps(Exception):
    """Sub-patterns of sub-patterns have more steps than a pattern may have."""


class StepCompiler:
    """Compiles the steps of one document one after the other and collects every fault on the way."""

    def __init__(self, frame: Frame, work: Work, call: Call) -> None:
        self._steps = frame.steps
        self._names = frame.names
        self._frame = frame
        self._work = work
        self._call = call
        self._catalogue = work.catalogue
        self._where = frame.where
        self._limits = work.limits
        self._faults = work.faults
        self._specs = tuple(self._step_spec(index) for index in range(len(self._steps)))
        self._resolver = Resolver(frame, work, call, self._specs)

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
        after, requires = dependencies_of(own, template, condition, explicit, None, None)
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
        limits, where, place, faults = self._limits, self._where, self._frame.place + at, self._faults
        timeout_s = compile_timeout_s(data.get("timeout_s"), spec, limits, where, f"{place}/timeout_s", faults)
        retry = compile_retry(data.get("retry"), spec, limits, where, f"{place}/retry", faults)
        on_error = compile_on_error(data.get("on_error"), limits, where, f"{place}/on_error", faults)
        compensate = self._compensate(index, data.get("compensate"), f"{at}/compensate")
        if spec is None:
            return None
        own = self._id(index)
        self._work.schemas[own] = spec.output_schema if foreach is None else _list_of(spec.output_schema)
        after, requires = dependencies_of(own, template, condition, explicit, compensate, foreach)
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
        source = self._resolver.resolve(index, written, f"{self._frame.place}{at}/foreach")
        if source is None:
            return None
        kinds = self._resolver.kinds(source)
        if isinstance(kinds, frozenset) and "array" not in kinds:
            self._fault(f"{at}/foreach", f"expected a list, {text} is {' or '.join(sorted(kinds))}")
        keys = (*source.keys, "length")
        length = replace(source, keys=keys, path=".".join(keys))
        self._resolver.iterate(index, source)
        return Foreach(text, source, length, at_once if type(at_once) is int else 1)

    def _args(
        self, index: int, given: Any, spec: CapabilitySpec | None, place: str, own_output: bool = False
    ) -> Template:
        args = given if isinstance(given, Mapping) else {}
        template = compile_template(
            args,
            lambda written, at: self._resolver.resolve(index, written, at, own_output),
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

    def _condition(self, index: int, text: Any, place: str) -> Condition | None:
        if not isinstance(text, str):
            return None
        return compile_condition(
            text,
            lambda written, at: self._resolver.resolve(index, written, at),
            self._resolver.kinds,
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


def _list_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a list of what another describes."""
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return {"type": "array", "items": {key: value for key, value in schema.items() if key not in shared}, **shared}
