"""From a pattern file to a compiled pattern, or to everything that is wrong with it, at once."""

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from orchestrator.catalogue import RESOLVE_CAPABILITY, CapabilitySpec, Catalogue
from orchestrator.dependencies import joined
from orchestrator.faults import PatternFaults, nearest, pointer, unknown_key
from orchestrator.frame import Call, Frame, Work
from orchestrator.inputs import compile_inputs
from orchestrator.limits import DEFAULT_LIMITS, Limits
from orchestrator.pattern import BEGIN, CompiledPattern, CompiledStep, OutputCheck
from orchestrator.schema import GATE_KEYS, NAME_PATTERN, PATTERN_KEYS, SCHEMA
from orchestrator.step_names import LAST, StepNames, name_steps
from orchestrator.steps import StepCompiler, TooManySteps
from orchestrator.validation import schema_faults, shown
from orchestrator.versions import versions_digest
from topics.canonical import NotCanonical, canonical_bytes, digest
from topics.errors import Fault
from topics.messages import Gate, GatePolicy

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_NAME = re.compile(NAME_PATTERN[1:-1])


def compile_pattern(
    source: bytes,
    catalogue: Catalogue,
    where: str,
    limits: Limits = DEFAULT_LIMITS,
    library: Mapping[str, tuple[str, bytes]] | None = None,
) -> CompiledPattern:
    """Compile a pattern file.

    Args:
        source: the file's bytes, kept as they are.
        catalogue: capabilities that exist.
        where: file name for error texts.
        limits: bounds on size, steps, attempts and times.
        library: other pattern files by pattern id, name and bytes of each: sub-patterns come from there unless the
            file brings them along. The compiled pattern's `source` does, so it compiles without a library.

    Raises:
        PatternFaults: everything that is wrong, each with its JSON pointer, what was expected and what is near.

    Cost: O(size of the file · nesting of schemas).
    """
    faults: list[Fault] = []
    document = _parse(source, where, limits, faults)
    if not isinstance(document, Mapping):
        raise PatternFaults(faults)
    frame = _frame(document, where, "", limits, faults)
    if frame is None:
        raise PatternFaults(_ordered(faults))
    sub_patterns = _SubPatterns(document, where, limits, faults, library or {})
    work = Work(catalogue, limits, faults, sub_patterns.frame)
    inputs, outputs = frame.inputs, frame.outputs
    try:
        call = Call("", None, False, None, (str(document.get("id")),))
        compiled = joined(StepCompiler(frame, work, call).compile(frozenset(outputs.values())), outputs)
    except TooManySteps:
        faults.append(Fault(where, "/steps", f"expected at most {limits.steps_max} steps with those of sub-patterns"))
        raise PatternFaults(_ordered(faults)) from None
    if sub_patterns.used:
        document = {**document, "patterns": dict(sorted(sub_patterns.used.items()))}
    needs_pins = work.reads_context or any(
        step.needs or (step.compensate and step.compensate.needs) for step in compiled
    )
    resolve = _resolve_spec(catalogue, needs_pins, where, faults)
    gate = _gate(document.get("gate"), where, faults)
    deadline_s = _deadline_s(document.get("deadline_s"), where, limits, faults)
    output_ok = _output_check(document.get("output_schema"), where, faults)
    digested = _digest(document, where, faults)
    if faults:
        raise PatternFaults(_ordered(faults))
    capabilities = _versions(compiled, resolve)
    return CompiledPattern(
        id=document["id"],
        name=document["name"],
        version=document.get("version"),
        digest=digested,
        source=canonical_bytes(document) if sub_patterns.used else source,
        document=document,
        inputs=inputs,
        steps=compiled,
        step_by_id={step.id: step for step in compiled},
        outputs=outputs,
        deadline_s=deadline_s,
        gate=gate,
        needs_pins=needs_pins,
        resolve=resolve,
        capabilities=capabilities,
        versions=versions_digest(capabilities),
        output_ok=output_ok,
        compensates=any(step.compensate for step in compiled),
        portfolio_readers=tuple(
            step.id
            for step in compiled
            if {"portfolio", "ledger"} & set(step.needs) and _is_unconditional(step, compiled)
        ),
    )


def _is_unconditional(step: CompiledStep, steps: tuple[CompiledStep, ...]) -> bool:
    """Whether a step has no condition, nor any sub-pattern it belongs to."""
    begins = {other.id: other for other in steps if other.part is not None and other.part.begins}
    around = step.id.split("/")[:-1]
    ids = ["/".join(around[: depth + 1]) + BEGIN for depth in range(len(around))]
    return step.condition is None and all(begins[name].condition is None for name in ids)


class _SubPatterns:
    """Finds sub-patterns and reads each once.

    Attributes:
        used: documents by id.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        where: str,
        limits: Limits,
        faults: list[Fault],
        library: Mapping[str, tuple[str, bytes]],
    ) -> None:
        self._own = _mapping(document.get("patterns"))
        self._where = where
        self._limits = limits
        self._faults = faults
        self._library = library
        self._frames: dict[str, Frame | None] = {}
        self.used: dict[str, Any] = {}

    def frame(self, pattern_id: str, path: tuple[str, ...], where: str, place: str) -> Frame | None:
        """Return a sub-pattern; None after recording why it cannot be inlined at this place."""
        fault = None
        if pattern_id in path:
            fault = f"sub-patterns go round in a circle: {' -> '.join((*path, pattern_id))}"
        elif len(path) > self._limits.pattern_depth_max:
            fault = f"expected at most {self._limits.pattern_depth_max} levels of sub-patterns, this is one more"
        elif pattern_id not in self._own and pattern_id not in self._library:
            known = nearest(pattern_id, {*self._own, *self._library} - set(path))
            fault = f"there is no pattern {pattern_id!r}{known}"
        if fault is not None:
            self._faults.append(Fault(where, f"{place}/capability", fault))
            return None
        if pattern_id not in self._frames:
            self._frames[pattern_id] = self._read(pattern_id)
        return self._frames[pattern_id]

    def _read(self, pattern_id: str) -> Frame | None:
        if pattern_id in self._own:
            document, where, place = self._own[pattern_id], self._where, "/patterns" + pointer(pattern_id)
        else:
            where, source = self._library[pattern_id]
            document, place = _parse(source, where, self._limits, self._faults), ""
        if not isinstance(document, Mapping):
            return None
        # What it brings along itself is found by its id like any other, in the file that brings it.
        for name in _mapping(document.get("patterns")):
            if name not in self._own and name not in self._library:
                self._library = {**self._library, name: (where, canonical_bytes(document["patterns"][name]))}
        document = {key: value for key, value in document.items() if key != "patterns"}
        self.used[pattern_id] = document
        return _frame(document, where, place, self._limits, self._faults)


def _frame(document: Mapping[str, Any], where: str, place: str, limits: Limits, faults: list[Fault]) -> Frame | None:
    """Return a document with its inputs and names compiled; None if it is too long to go on with."""
    faults.extend(schema_faults(SCHEMA, document, where, place))
    _check_names(document, where, place, faults)
    inputs = compile_inputs(_mapping(document.get("inputs")), where, f"{place}/inputs", faults)
    steps = document.get("steps")
    steps = steps if isinstance(steps, list) else []
    if len(steps) > limits.steps_max:
        faults.append(Fault(where, f"{place}/steps", f"expected at most {limits.steps_max} steps, got {len(steps)}"))
        return None
    if not steps and isinstance(document.get("steps"), list):
        faults.append(Fault(where, f"{place}/steps", "expected at least one step"))
    names = name_steps(steps, where, faults, place)
    outputs = _outputs(document.get("outputs"), names, where, place, faults)
    return Frame(where, place, steps, names, inputs, outputs)


def _parse(source: bytes, where: str, limits: Limits, faults: list[Fault]) -> Any:
    if len(source) > limits.pattern_bytes_max:
        message = f"expected at most {limits.pattern_bytes_max} bytes, got {len(source)}"
        faults.append(Fault(where, "", message))
        return None

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                faults.append(Fault(where, "", f"the key {key!r} stands twice in one object"))
            found[key] = value
        return found

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not JSON")

    try:
        document = json.loads(source.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except UnicodeDecodeError as error:
        faults.append(Fault(where, "", f"expected UTF-8, got byte 0x{source[error.start]:02x} at {error.start}"))
        return None
    except json.JSONDecodeError as error:
        faults.append(Fault(f"{where}:{error.lineno}:{error.colno}", "", f"expected JSON: {error.msg}"))
        return None
    except (ValueError, RecursionError) as error:
        faults.append(Fault(where, "", f"expected JSON: {error}"))
        return None
    if not isinstance(document, Mapping):
        faults.append(Fault(where, "", f"expected an object, got {shown(document)}"))
    return document


def _check_names(document: Mapping[str, Any], where: str, place: str, faults: list[Fault]) -> None:
    for key in document:
        if key not in PATTERN_KEYS:
            faults.append(Fault(where, place + pointer(key), unknown_key(key, PATTERN_KEYS)))
    own = document.get("id")
    if isinstance(own, str) and not _ID.fullmatch(own):
        message = f"expected a letter, then letters, digits, '_', '.' or '-' (at most 128), got {shown(own)}"
        faults.append(Fault(where, f"{place}/id", message))
    for name in _mapping(document.get("inputs")):
        _check_name(name, f"{place}/inputs" + pointer(name), where, faults)
    steps = document.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        for key in ("as", "id"):
            name = step.get(key) if isinstance(step, Mapping) else None
            if isinstance(name, str):
                _check_name(name, f"{place}/steps/{index}/{key}", where, faults)


def _check_name(name: str, place: str, where: str, faults: list[Fault]) -> None:
    if not _NAME.fullmatch(name):
        message = f"expected a letter, then letters, digits or '_' (at most 64), got {shown(name)}"
        faults.append(Fault(where, place, message))


def _outputs(given: Any, names: StepNames, where: str, place: str, faults: list[Fault]) -> dict[str, str]:
    outputs: dict[str, str] = {}
    for index, name in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(name, str):
            continue
        makers = names.makers.get(name)
        if name in outputs:
            faults.append(Fault(where, f"{place}/outputs/{index}", f"{name!r} stands twice"))
        elif not makers:
            known = nearest(name, set(names.as_))
            faults.append(Fault(where, f"{place}/outputs/{index}", f"no step makes {name!r}{known}"))
        else:
            outputs[name] = names.ids[makers[-1] if name == LAST else makers[0]]
    return outputs


def _resolve_spec(catalogue: Catalogue, needs_pins: bool, where: str, faults: list[Fault]) -> CapabilitySpec | None:
    if not needs_pins:
        return None
    resolve = catalogue.find(RESOLVE_CAPABILITY)
    if resolve is None:
        message = f"the pattern needs pins, but no agent in the catalogue offers {RESOLVE_CAPABILITY}"
        faults.append(Fault(where, "/steps", message))
    return resolve


def _gate(given: Any, where: str, faults: list[Fault]) -> Gate | None:
    if not isinstance(given, Mapping):
        return None
    for key in given:
        if key not in GATE_KEYS:
            faults.append(Fault(where, "/gate" + pointer(key), unknown_key(key, GATE_KEYS)))
    if faults:
        return None
    default = Gate()
    wait_s = given.get("wait_s", default.wait_s)
    return Gate(policy=GatePolicy(given.get("policy", default.policy)), wait_s=float(wait_s))


def _deadline_s(given: Any, where: str, limits: Limits, faults: list[Fault]) -> float | None:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return None
    if given > limits.deadline_s_max:
        faults.append(Fault(where, "/deadline_s", f"expected at most {limits.deadline_s_max:g} s, got {given}"))
    return float(given)


def _output_check(schema: Any, where: str, faults: list[Fault]) -> OutputCheck | None:
    if not isinstance(schema, Mapping):
        return None
    try:
        Draft202012Validator.check_schema(dict(schema))
        return jsonschema_rs.Draft202012Validator(dict(schema)).is_valid
    except SchemaError as error:
        place = "/output_schema" + pointer(*error.absolute_path)
        faults.append(Fault(where, place, f"expected a JSON Schema 2020-12: {error.message[:200]}"))
    except (ValueError, jsonschema_rs.ValidationError) as error:
        message = f"expected a JSON Schema 2020-12 that stands alone: {str(error).splitlines()[0][:200]}"
        faults.append(Fault(where, "/output_schema", message))
    return None


def _digest(document: Mapping[str, Any], where: str, faults: list[Fault]) -> str:
    try:
        return digest(dict(document))
    except NotCanonical as error:
        faults.append(Fault(where, "", str(error)))
        return ""


def _versions(steps: tuple[CompiledStep, ...], resolve: CapabilitySpec | None) -> dict[str, int]:
    versions = {step.capability: step.version for step in steps if step.part is None}
    versions.update((step.compensate.capability, step.compensate.version) for step in steps if step.compensate)
    if resolve is not None:
        versions[resolve.name] = resolve.version
    return dict(sorted(versions.items()))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ordered(faults: list[Fault]) -> list[Fault]:
    """Return each fault once, in the order of the places in the file; equal places keep theirs."""

    def key(fault: Fault) -> list[tuple[int, int, str]]:
        parts = fault.pointer.split("/")[1:]
        return [(0, int(part), "") if part.isdigit() else (1, _rank(part), part) for part in parts]

    return sorted(dict.fromkeys(faults), key=key)


def _rank(part: str) -> int:
    return PATTERN_KEYS.index(part) if part in PATTERN_KEYS else len(PATTERN_KEYS)
