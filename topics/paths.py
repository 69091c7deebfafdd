"""Dotted paths into JSON values, as templates, conditions and projections use them.

One definition for both sides of Kafka: the engine looks paths up in inline values, agents look the same paths up
in large values before those go to the artifact store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_NEAREST_MAX = 8


@dataclass(frozen=True, slots=True)
class Missing:
    """A path that does not exist.

    Attributes:
        found: the longest part of the path that exists.
        nearest: keys that exist there, sorted, at most 8; empty for a value without keys.
    """

    found: tuple[str, ...]
    nearest: tuple[str, ...]


def lookup(value: Any, path: Sequence[str]) -> Any | Missing:
    """Return what stands at a path, or `Missing`.

    A key of a dict, an index of a list (`0`, `12`; negative ones do not exist), or `length` of a list, a string,
    or a dict that has no key of that name.

    Args:
        value: a JSON value.
        path: keys from the outside in; an empty path is the value itself.
    """
    here = value
    for depth, key in enumerate(path):
        if isinstance(here, dict) and key in here:
            here = here[key]
        elif isinstance(here, list) and key.isascii() and key.isdigit() and int(key) < len(here):
            here = here[int(key)]
        elif key == "length" and isinstance(here, (list, str, dict)):
            here = len(here)
        else:
            return Missing(tuple(path[:depth]), _keys(here))
    return here


def _keys(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        return tuple(sorted(str(key) for key in value)[:_NEAREST_MAX])
    if isinstance(value, list):
        return tuple(str(index) for index in range(min(len(value), _NEAREST_MAX)))
    return ()
