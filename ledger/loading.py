"""A tree of files → one ordered list of directives, includes resolved inside the tree only."""

from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import dirname, isabs, join, normpath

from ledger.directives import (
    AnyDirective,
    Balance,
    Close,
    Fault,
    Open,
    Split,
    Transaction,
)
from ledger.parsing import parse
from ledger.sources import Tree, glob, is_glob

# Within a day: accounts open, splits take effect, assertions look, transactions move, accounts
# close. Beancount has the same order; splits are ours and belong to the open of the day.
_ORDER: Mapping[type, int] = {Open: 0, Split: 1, Balance: 2, Transaction: 3, Close: 4}


@dataclass(frozen=True, slots=True)
class Loaded:
    """All directives of a ledger in booking order.

    Attributes:
        options: name → values in order of appearance (some options may be repeated).
        faults: of every file, in file and line order.
    """

    directives: tuple[AnyDirective, ...]
    options: Mapping[str, tuple[str, ...]]
    faults: tuple[Fault, ...]


def load(tree: Tree) -> Loaded:
    """Parse the main file and everything it includes.

    An include that is absolute, leaves the tree, is missing or leads back to itself is a fault
    at its own line. A file included twice is a fault too, as its entries would count twice.
    """
    directives: list[AnyDirective] = []
    options: dict[str, list[str]] = {}
    faults: list[Fault] = []
    read: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        read.add(name)
        parsed = parse(tree.files[name], name)
        faults.extend(parsed.faults)
        directives.extend(parsed.directives)
        for option, value, _ in parsed.options:
            # Beancount takes options from the main file; those of included files are local.
            if not above or option == "operating_currency":
                options.setdefault(option, []).append(value)
        for target, line in parsed.includes:
            resolved = normpath(join(dirname(name), target))
            if is_glob(target) and _leaves(target, resolved, tree) is None:
                found = [each for each in glob(resolved, tree.files) if each not in read]
                if not found:
                    faults.append(Fault(name, line, f"include {target!r} matches no file that is not included yet"))
                for each in found:
                    visit(each, (*above, name))
                continue
            problem = _include_problem(target, resolved, (*above, name), read, tree)
            if problem is None:
                visit(resolved, (*above, name))
            else:
                faults.append(Fault(name, line, problem))

    visit(tree.main, ())
    directives.sort(key=lambda entry: (entry.on, _ORDER.get(type(entry), 3), entry.line))
    faults.sort(key=lambda fault: (fault.file, fault.line))
    frozen = {name: tuple(values) for name, values in options.items()}
    return Loaded(tuple(directives), frozen, tuple(faults))


def _include_problem(
    target: str,
    resolved: str,
    above: tuple[str, ...],
    read: set[str],
    tree: Tree,
) -> str | None:
    """Return why an include cannot be followed, None when it can."""
    outside = _leaves(target, resolved, tree)
    if outside is not None:
        return outside
    if resolved in above:
        return f"include {target!r} is a cycle: {' → '.join((*above, resolved))}"
    if resolved in read:
        return f"include {target!r} was already included"
    if resolved not in tree.files:
        return f"include {target!r}: there is no file {resolved!r} in the ledger"
    return None


def _leaves(target: str, resolved: str, tree: Tree) -> str | None:
    """Return why an include does not stay inside the ledger's directory, None when it does."""
    if isabs(target) or "\\" in target or ":" in target.split("/")[0]:
        return f"include {target!r} must be a path relative to this file"
    root = dirname(tree.main)
    if resolved == ".." or resolved.startswith("../") or (root and not resolved.startswith(f"{root}/")):
        return f"include {target!r} leaves the ledger's directory"
    return None
