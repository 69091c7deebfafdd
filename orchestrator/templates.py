"""Templates: `{{path}}` in the arguments of a step.

Alone in a string it keeps the type of what it names; inside text it is rendered. Lists and objects are searched to
any depth (within the limit). Compiled once into nodes; rendering walks only what is not literal.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.faults import pointer
from orchestrator.references import Absent, Gathered, ItemScope, Picked, Reference, Resolve, Scope, Stored, parse_path
from topics.canonical import canonical_bytes
from topics.errors import Fault
from topics.paths import Missing, lookup

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class TemplateFailed(ValueError):
    """A template names something that does not exist in this execution."""


@dataclass(frozen=True, slots=True)
class _Whole:
    reference: Reference


@dataclass(frozen=True, slots=True)
class _Maybe:
    """An output of a sub-pattern: null if its step was skipped."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class _Gone:
    """A place that what the caller of a sub-pattern passes does not have; only reading it is an error."""

    text: str
    missing: Missing


@dataclass(frozen=True, slots=True)
class _Text:
    parts: tuple[str | Reference, ...]


@dataclass(frozen=True, slots=True)
class _List:
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Object:
    items: tuple[tuple[str, Any], ...]


_SPECIAL = frozenset({Absent, Gathered, Missing, Picked, Stored})
_NODES = (_Whole, _Maybe, _Gone, _Text, _List, _Object)


@dataclass(frozen=True, slots=True)
class Template:
    """The compiled arguments of a step.

    Attributes:
        literals: arguments without templates, by name, shared by all executions.
        holes: arguments with templates: name, JSON pointer, node.
        references: everything they read.
    """

    literals: Mapping[str, Any]
    holes: tuple[tuple[str, str, Any], ...]
    references: tuple[Reference, ...]

    def render(self, scope: Scope) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the arguments, and the artifacts in them as JSON pointer → SHA-256 (null stands there).

        Raises:
            TemplateFailed: a path is missing; names argument, path and nearest keys.
        """
        args = dict(self.literals)
        refs: dict[str, str] = {}
        for name, place, node in self.holes:
            args[name] = _render(node, scope, place, refs)
        return args, refs


def compile_template(
    args: Mapping[str, Any], resolve: Resolve, place: str, where: str, depth_max: int, faults: list[Fault]
) -> Template:
    """Compile the `args` object of a step.

    Args:
        args: argument name → JSON value with templates.
        resolve: resolves references and records faults of its own.
        place: JSON pointer of `args` in the pattern.
        where: name of the pattern file.
        depth_max: deepest nesting.
        faults: receives every syntax fault.
    """
    references: list[Reference] = []
    literals: dict[str, Any] = {}
    holes: list[tuple[str, str, Any]] = []
    for name, value in args.items():
        node = _compile(value, resolve, place + pointer(name), where, depth_max, faults, references)
        if isinstance(node, _NODES):
            holes.append((name, pointer(name), node))
        else:
            literals[name] = node
    return Template(literals, tuple(holes), tuple(references))


def _compile(
    value: Any,
    resolve: Resolve,
    place: str,
    where: str,
    depth: int,
    faults: list[Fault],
    references: list[Reference],
) -> Any:
    if isinstance(value, str):
        return _compile_text(value, resolve, place, where, faults, references)
    if not isinstance(value, (dict, list)):
        return value
    if depth <= 0:
        faults.append(Fault(where, place, "expected arguments nested less deeply"))
        return None
    if isinstance(value, dict):
        pairs = tuple(
            (key, _compile(item, resolve, place + pointer(key), where, depth - 1, faults, references))
            for key, item in value.items()
        )
        return _Object(pairs) if any(isinstance(node, _NODES) for _, node in pairs) else value
    nodes = tuple(
        _compile(item, resolve, f"{place}/{index}", where, depth - 1, faults, references)
        for index, item in enumerate(value)
    )
    return _List(nodes) if any(isinstance(node, _NODES) for node in nodes) else value


def _compile_text(
    text: str, resolve: Resolve, place: str, where: str, faults: list[Fault], references: list[Reference]
) -> Any:
    if "{{" not in text and "}}" not in text:
        return text
    parts: list[str | Reference] = []
    end = 0
    for hole in _HOLE.finditer(text):
        if hole.start() > end:
            parts.append(text[end : hole.start()])
        end = hole.end()
        written = parse_path(hole[1].strip())
        if written is None:
            message = f"expected {{{{state.…}}}}, {{{{inputs.…}}}} or {{{{ctx.…}}}}, got {hole[0][:80]}"
            faults.append(Fault(where, place, message))
            continue
        reference = resolve(written, place)
        if reference is not None:
            parts.append(reference)
            references.extend(reference.reads)
    if end < len(text):
        parts.append(text[end:])
    if any("{{" in part or "}}" in part for part in parts if isinstance(part, str)):
        faults.append(Fault(where, place, f"expected every {{{{ to have its }}}}, got {text[:80]!r}"))
        return None
    if len(parts) == 1 and isinstance(parts[0], Reference):
        return parts[0].node if parts[0].root == "bound" else _Whole(parts[0])
    return _Text(tuple(parts))


def _render(node: Any, scope: Scope, place: str, refs: dict[str, str]) -> Any:
    kind = type(node)
    if kind is _Whole:
        value = scope.read(node.reference, by_reference=True)
        return _special(node.reference, value, scope, place, refs) if type(value) in _SPECIAL else value
    if kind is _Text:
        return "".join(part if type(part) is str else _text(part, scope, place) for part in node.parts)
    if kind is _Object:
        return {key: _render(item, scope, place + pointer(key), refs) for key, item in node.items}
    if kind is _Maybe:
        value = scope.read(node.reference, by_reference=True)
        if type(value) is Absent:
            return None
        return _special(node.reference, value, scope, place, refs) if type(value) in _SPECIAL else value
    if kind is _List:
        return [_render(item, scope, f"{place}/{index}", refs) for index, item in enumerate(node.items)]
    if kind is _Gone:
        raise TemplateFailed(f"args{place}: {{{{{node.text}}}}} {explain_missing(node.missing)}")
    return node


def _special(reference: Reference, value: Any, scope: Scope, place: str, refs: dict[str, str]) -> Any:
    """Return what stands for a value that is not at hand, its artifact noted; or say that there is none."""
    if type(value) is Stored:
        refs[place] = value.sha256
        return None
    if type(value) is Gathered:
        refs.update((f"{place}/{index}", sha256) for index, sha256 in value.stored.items())
        return value.values
    if type(value) is Picked and isinstance(scope, ItemScope):
        refs[place] = value.sha256
        scope.picks[place] = value.path
        return None
    if type(value) is Missing or type(value) is Absent:
        raise _failed(reference, value, place)
    raise AssertionError(f"{reference.text} reads an item outside of a foreach step")


def _text(reference: Reference, scope: Scope, place: str) -> str:
    value = scope.read(reference)
    if type(value) is Missing or type(value) is Absent:
        raise _failed(reference, value, place)
    if type(value) in _SPECIAL:
        raise TemplateFailed(f"args{place}: {{{{{reference.text}}}}} is too large to stand inside text")
    return value if type(value) is str else canonical_bytes(value).decode()


def gather(outputs: Mapping[str, Any]) -> Any:
    """Return the template of an object of outputs: name → reference, or a template made here."""
    pairs = ((name, _Maybe(item) if isinstance(item, Reference) else item) for name, item in outputs.items())
    return _Object(tuple(pairs))


def nodes_of(template: Template) -> dict[str, Any]:
    """Return the argument templates by name; literals as they are."""
    return {**template.literals, **{name: node for name, _, node in template.holes}}


def descend(node: Any, keys: tuple[str, ...], text: str) -> Reference:
    """Return the reference to what stands at a path of an argument: resolved now as far as it can be.

    Args:
        node: template or literal that a sub-pattern's input is bound to.
        keys: path inside it.
        text: as the author of the sub-pattern wrote it.
    """
    kind = type(node)
    if kind is _Whole or kind is _Maybe:
        reference = node.reference
        if reference.root == "bound":
            return descend(reference.node, keys, text)
        if kind is _Whole or keys:
            below = (*reference.keys, *keys)
            return Reference(text, reference.root, reference.step, below, ".".join(below))
    elif keys and kind is _Object:
        inner = dict(node.items)
        if keys[0] not in inner:
            return _bound(text, _Gone(text, Missing((), tuple(sorted(inner)))))
        return descend(inner[keys[0]], keys[1:], text)
    elif keys and kind is _List:
        if keys[0].isdigit() and int(keys[0]) < len(node.items):
            return descend(node.items[int(keys[0])], keys[1:], text)
        return _bound(text, len(node.items) if keys == ("length",) else _Gone(text, Missing((), ("length",))))
    elif keys and kind is _Text:
        return _bound(text, _Gone(text, Missing((), ())))
    elif keys:
        found = lookup(node, keys)
        return _bound(text, _Gone(text, found) if isinstance(found, Missing) else found)
    return _bound(text, node)


def _bound(text: str, node: Any) -> Reference:
    def evaluate(scope: Scope) -> Any:
        refs: dict[str, str] = {}
        try:
            value = _render(node, scope, "", refs)
        except TemplateFailed as error:
            return Absent(str(error))
        return Stored(next(iter(refs.values()))) if refs else value

    return Reference(text, "bound", None, (), "", node, evaluate, tuple(_leaves(node)))


def _leaves(node: Any) -> Iterator[Reference]:
    kind = type(node)
    if kind is _Whole:
        yield from node.reference.reads
    elif kind is _Text:
        for part in node.parts:
            if isinstance(part, Reference):
                yield from part.reads
    elif kind is _Object:
        for _, item in node.items:
            yield from _leaves(item)
    elif kind is _List:
        for item in node.items:
            yield from _leaves(item)


def _failed(reference: Reference, value: Missing | Absent, place: str) -> TemplateFailed:
    return TemplateFailed(f"args{place}: {{{{{reference.text}}}}} {explain_missing(value)}")


def explain_missing(value: Missing | Absent) -> str:
    """Return why a path has no value, with the nearest keys that exist."""
    if isinstance(value, Absent):
        return f"has no value: {value.reason}"
    found = ".".join(value.found)
    at = f" below {found!r}" if found else ""
    keys = ", ".join(value.nearest)
    return f"does not exist; keys{at}: {keys}" if keys else f"does not exist; there are no keys{at}"
