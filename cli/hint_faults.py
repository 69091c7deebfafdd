"""What is wrong with a pattern's `presentation`: found when it is validated, not by an empty panel in a report.

The engine does not read hints, so nothing here keeps a pattern from running.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.hints import FORMATS, hints_of, is_index
from orchestrator.faults import nearest, pointer, unknown_key
from orchestrator.schemas import NoSuchPath, kinds_at
from topics.errors import Fault

if TYPE_CHECKING:
    from orchestrator.catalogue import Catalogue
    from orchestrator.pattern import CompiledPattern

_ANY = ("output", "title", "kind", "ends")
_KEYS = {"figures": (*_ANY, "fields"), "table": (*_ANY, "rows", "columns"), "none": _ANY}
_FIELD = ("path", "label", "format", "formats", "unit", "words", "reason", "when", "tolerance", "total")


def hint_faults(pattern: CompiledPattern, catalogue: Catalogue, where: str) -> list[Fault]:
    """Return everything that is wrong with a pattern's hints, each with its JSON pointer and what is near."""
    presentation = pattern.document.get("presentation")
    if presentation is None:
        return []
    return [Fault(where, place, message) for place, message in _Check(pattern, catalogue).of(presentation)]


class _Check:
    def __init__(self, pattern: CompiledPattern, catalogue: Catalogue) -> None:
        steps = {output: pattern.step_by_id[step] for output, step in pattern.outputs.items()}
        known = hints_of(pattern, catalogue).schemas
        self._outputs = tuple(pattern.outputs)
        # Lists of answers and what sub-patterns gather have no schema of their own.
        self._schemas = {
            output: known[output]
            for output, step in steps.items()
            if output in known and step.foreach is None and step.part is None
        }

    def of(self, presentation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for key in presentation:
            if key != "panels":
                yield f"/presentation{pointer(key)}", unknown_key(key, ("panels",))
        panels = presentation.get("panels", [])
        if not isinstance(panels, list):
            yield "/presentation/panels", "expected a list of panels"
            return
        for index, panel in enumerate(panels):
            at = f"/presentation/panels/{index}"
            if isinstance(panel, Mapping):
                yield from self._panel(at, panel)
            else:
                yield at, "expected an object with output and kind"

    def _panel(self, at: str, panel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        kind, output = panel.get("kind"), panel.get("output")
        if not isinstance(kind, str) or kind not in _KEYS:
            yield f"{at}/kind", f"expected one of {', '.join(_KEYS)}, got {kind!r}"
            return
        if output not in self._outputs:
            yield f"{at}/output", f"no output is called {output!r}{nearest(str(output), self._outputs)}"
        for key in panel:
            if key not in _KEYS[kind]:
                yield at + pointer(key), unknown_key(key, _KEYS[kind])
        schema = self._schemas.get(str(output))
        if kind == "figures":
            yield from self._fields(f"{at}/fields", panel.get("fields"), schema, ())
        elif kind == "table":
            yield from self._table(at, panel, schema)

    def _table(self, at: str, panel: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
        path = panel.get("rows")
        if not isinstance(path, str):
            yield f"{at}/rows", f"expected the path of a list, got {path!r}"
            return
        rows = tuple(path.split("."))
        kinds = None if schema is None else kinds_at(schema, rows)
        if isinstance(kinds, NoSuchPath):
            yield f"{at}/rows", _missing(path, kinds)
            schema = None
        elif kinds and "array" not in kinds:
            yield f"{at}/rows", f"expected a list, {path} is {' or '.join(sorted(kinds))}"
            schema = None
        yield from self._fields(f"{at}/columns", panel.get("columns"), schema, (*rows, "0"))

    def _fields(
        self,
        at: str,
        fields: Any,
        schema: Mapping[str, Any] | None,
        within: Sequence[str],
    ) -> Iterator[tuple[str, str]]:
        if not isinstance(fields, list) or not fields:
            yield at, "expected a list of objects with path, label and format"
            return
        for index, field in enumerate(fields):
            here = f"{at}/{index}"
            if isinstance(field, Mapping):
                yield from self._field(here, field, schema, within)
            else:
                yield here, "expected an object with path, label and format"

    @staticmethod
    def _field(
        at: str, field: Mapping[str, Any], schema: Mapping[str, Any] | None, within: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        for key in field:
            if key not in _FIELD:
                yield at + pointer(key), unknown_key(key, _FIELD)
        chosen = field.get("formats")
        named = [value for key, value in chosen.items() if key != "by"] if isinstance(chosen, Mapping) else []
        for form in (field.get("format", "text"), *named):
            if form not in FORMATS:
                yield f"{at}/format", f"unknown format {form!r}{nearest(str(form), FORMATS)}"
        if not isinstance(field.get("path"), str):
            yield f"{at}/path", f"expected a path, got {field.get('path')!r}"
        for key, before in (("path", within), ("reason", within), ("when", within), ("total", ())):
            path = field.get(key)
            if isinstance(path, str) and schema is not None:
                found = kinds_at(schema, (*before, *_keys(path)))
                if isinstance(found, NoSuchPath):
                    yield f"{at}/{key}", _missing(path, found)


def _keys(path: str) -> tuple[str, ...]:
    """Return a path as schemas know it: from the end of a list is a place in it as any other."""
    return tuple("0" if is_index(part) else part for part in path.split("."))


def _missing(path: str, found: NoSuchPath) -> str:
    return f"{path}: there is no {found.key!r}{nearest(found.key, found.known)}"
