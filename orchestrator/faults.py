"""Faults of pattern files: collected, never raised one at a time."""

from collections.abc import Iterable
from difflib import get_close_matches

from topics.errors import Fault

_NEAREST_MAX = 3


class PatternFaults(ValueError):
    """One or more pattern files cannot be used.

    Attributes:
        faults: everything that is wrong, in the order of the files and of the places inside them.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; nearest: a, b` for names like the given one, or what exists at all; empty if nothing does."""
    names = sorted(known)
    close = get_close_matches(name, names, n=_NEAREST_MAX, cutoff=0.5)
    if close:
        return f"; nearest: {', '.join(close)}"
    if names:
        shown = ", ".join(names[:8])
        return f"; there is: {shown}{', …' if len(names) > 8 else ''}"
    return ""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the fault text for a key that has no meaning: the nearest key, else all accepted ones."""
    return f"unknown key {key!r}; {meant(key, known)}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest name was meant, else all accepted ones."""
    names = tuple(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"accepted: {', '.join(names)}"


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer of a place, with `~` and `/` escaped (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
