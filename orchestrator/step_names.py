"""What the steps of a pattern document and their outputs are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topics.errors import Fault

LAST = "last"
"""Name of the output of a step that gives it none."""


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
