"""Patterns from folders: the bundled ones and those of `DAWSOS_PATTERNS`, compiled together."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.catalogue import Catalogue
from orchestrator.faults import PatternFaults
from orchestrator.registry import PatternRegistry
from settings import Settings
from topics.errors import Fault

BUNDLED = Path(__file__).resolve().parent.parent / "patterns"
# The schema patterns are written against lies beside them.
_NOT_PATTERNS = ("schema.json",)


def pattern_folders(settings: Settings) -> tuple[Path, ...]:
    """Return the folders patterns are read from, the bundled one first."""
    return (BUNDLED, *settings.patterns)


def pattern_sources(folders: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield (path, bytes) of every pattern file below the folders, sorted by path within each.

    Raises:
        PatternFaults: a folder that is not there, or a file that cannot be read.
    """
    for folder in folders:
        if not folder.is_dir():
            raise PatternFaults([Fault(str(folder), "", "expected a folder of patterns (DAWSOS_PATTERNS), found none")])
        for path in sorted(folder.rglob("*.json")):
            if path.name in _NOT_PATTERNS:
                continue
            try:
                yield str(path), path.read_bytes()
            except OSError as error:
                raise PatternFaults([Fault(str(path), "", f"cannot be read: {error.strerror}")]) from None


def load_patterns(settings: Settings, catalogue: Catalogue) -> PatternRegistry:
    """Compile every pattern.

    Raises:
        PatternFaults: everything wrong in all files at once.
    """
    return PatternRegistry.compile(pattern_sources(pattern_folders(settings)), catalogue)
