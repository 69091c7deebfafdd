"""All patterns a process knows: the newest of each id, and every version by digest."""

import json
from collections.abc import Iterable

from orchestrator.catalogue import Catalogue
from orchestrator.compiler import compile_pattern
from orchestrator.faults import PatternFaults
from orchestrator.limits import DEFAULT_LIMITS, Limits
from orchestrator.pattern import CompiledPattern
from topics.errors import Fault


class PatternRegistry:
    """Compiled patterns. `add` keeps older versions, which running executions still need."""

    def __init__(self, patterns: Iterable[CompiledPattern] = ()) -> None:
        self._newest: dict[str, CompiledPattern] = {}
        # By digest and capability versions, and for whoever does not care about these, by digest alone.
        self._exact: dict[tuple[str, str], CompiledPattern] = {}
        for pattern in patterns:
            self.add(pattern)

    @classmethod
    def compile(
        cls, sources: Iterable[tuple[str, bytes]], catalogue: Catalogue, limits: Limits = DEFAULT_LIMITS
    ) -> "PatternRegistry":
        """Compile pattern files.

        Args:
            sources: (file name, bytes) of each, in any order.
            catalogue: capabilities that exist.
            limits: bounds.

        Raises:
            PatternFaults: all faults of all files; two files with one id are a fault that names both.
        """
        faults: list[Fault] = []
        found: dict[str, tuple[str, CompiledPattern]] = {}
        files = sorted(sources)
        library = library_of(files)
        for where, source in files:
            try:
                pattern = compile_pattern(source, catalogue, where, limits, library)
            except PatternFaults as error:
                faults.extend(fault for fault in error.faults if fault not in faults)
                continue
            if pattern.id in found:
                faults.append(Fault(where, "/id", f"pattern {pattern.id!r} stands in {found[pattern.id][0]} as well"))
            else:
                found[pattern.id] = (where, pattern)
        if faults:
            raise PatternFaults(faults)
        return cls(pattern for _, pattern in found.values())

    def add(self, pattern: CompiledPattern, newest: bool = True) -> None:
        """Add a version; `newest=False` for one that only running executions need."""
        self._exact[pattern.digest, pattern.versions] = self._exact[pattern.digest, ""] = pattern
        if newest:
            self._newest[pattern.id] = pattern

    def newest(self, pattern_id: str) -> CompiledPattern | None:
        """Return the version new executions get, or None."""
        return self._newest.get(pattern_id)

    def by_digest(self, digest: str, versions: str = "") -> CompiledPattern | None:
        """Return one exact version, or None.

        Args:
            digest: of the pattern.
            versions: of its capabilities, as `CompiledPattern.versions`; empty takes any.
        """
        return self._exact.get((digest, versions))

    def patterns(self) -> tuple[CompiledPattern, ...]:
        """Return the newest version of every pattern, sorted by id."""
        return tuple(pattern for _, pattern in sorted(self._newest.items()))


def library_of(files: Iterable[tuple[str, bytes]]) -> dict[str, tuple[str, bytes]]:
    """Return (file name, bytes) by pattern id, where a compilation finds sub-patterns; the first file of an id counts.

    Args:
        files: (file name, bytes) of each.
    """
    return {name: (where, source) for where, source in sorted(files, reverse=True) if (name := _id_of(source))}


def _id_of(source: bytes) -> str | None:
    """Return the id a pattern file gives itself; None if it cannot be read, which its compilation reports."""
    try:
        document = json.loads(source)
    except (ValueError, RecursionError):
        return None
    name = document.get("id") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None
