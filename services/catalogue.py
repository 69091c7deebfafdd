"""The capability catalogue: what every known agent can do, without any agent running.

Our own agents and those of `DAWSOS_AGENTS` are described from their classes; agents that run elsewhere, in any
language, bring a JSON file of the same form (`DAWSOS_CATALOGUES`).

To describe our own, all the mathematics must be imported: a second of CPU and 40 MB for processes that never compute
anything. So their description is kept in the cache folder, under the hash of the sources it was made from.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from orchestrator.catalogue import Catalogue
from settings import Settings, cache_folder

if TYPE_CHECKING:
    from agents.base import BaseAgent

_ROOT = Path(__file__).parents[1]
# What a description is made of: classes, annotations, docstrings, and what makes schemas of them.
_SOURCES = ("agents", "analytics", "topics")
_KEPT_MAX = 8


class AgentNotLoadable(ValueError):
    """A configured agent class or catalogue file cannot be used; the text says which and why."""


def agent_classes(names: Sequence[str] = ()) -> tuple[type[BaseAgent], ...]:
    """Return our agent classes and those named `module:Class`.

    Raises:
        AgentNotLoadable: no such module or class, or it is no BaseAgent.
    """
    from agents.bench import BenchAgent
    from agents.data_harvester import DataHarvester
    from agents.financial_analyst import FinancialAnalyst
    from agents.macro_hound import MacroHound
    from agents.pack_builder import PackBuilder

    ours = (FinancialAnalyst, MacroHound, DataHarvester, PackBuilder, BenchAgent)
    return (*ours, *(_agent_class(name) for name in names))


def catalogue_documents(settings: Settings) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Return catalogue documents and their names for error texts, our own first.

    Raises:
        AgentNotLoadable: see `agent_classes`; or a file that is no JSON object.
        DuplicateCapability: two classes offer one capability.
    """
    documents: list[dict[str, Any]] = [_described(settings.agents) if settings.agents else _ours(settings)]
    names = ["agents of this system"]
    for path in settings.catalogues:
        documents.append(_document(path))
        names.append(str(path))
    return tuple(documents), tuple(names)


def catalogue_json(settings: Settings) -> dict[str, Any]:
    """Return the whole catalogue as one document, as `dawsos capabilities --json` prints it.

    Raises:
        AgentNotLoadable, DuplicateCapability, PatternFaults: as `load_catalogue`.
    """
    documents, names = catalogue_documents(settings)
    Catalogue.from_json(*documents, where=names)
    agents: dict[str, Any] = {}
    for document in documents:
        for name, entry in document["agents"].items():
            known = agents.setdefault(name, {**entry, "capabilities": {}})
            known["capabilities"].update(entry["capabilities"])
    return {"agents": dict(sorted(agents.items()))}


def load_catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue for the compiler.

    Raises:
        AgentNotLoadable: a configured class or file cannot be read.
        DuplicateCapability: two classes offer one capability.
        PatternFaults: everything wrong in catalogue files, duplicates naming both owners.
    """
    documents, names = catalogue_documents(settings)
    return Catalogue.from_json(*documents, where=names)


def _described(agents: Sequence[str] = ()) -> dict[str, Any]:
    from agents.runtime import catalogue_of

    return catalogue_of(agent_classes(agents))


def _ours(settings: Settings) -> dict[str, Any]:
    """Return the description of our own agents, made once of the same sources where it can be kept.

    Where nothing can be read or written everything works as well, only slower.
    """
    # Classes imported before may have been made of other sources than there are now.
    fresh = not any(name.partition(".")[0] in ("agents", "analytics") for name in sys.modules)
    sources = _sources_sha256()
    kept: Path | None = None
    # Without a home directory there is no cache folder either: a RuntimeError.
    with suppress(OSError, ValueError, RuntimeError):
        kept = cache_folder(settings.cache_dir) / f"catalogue-{sources}.json"
        document = orjson.loads(kept.read_bytes())
        if isinstance(document, dict) and document.get("agents"):
            return document
    data = orjson.dumps(_described())
    if kept is not None and fresh and sources == _sources_sha256():
        with suppress(OSError):
            _keep(kept, data)
    return orjson.loads(data)


def _keep(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(file)
    newest_first = sorted(file.parent.glob("catalogue-*"), key=lambda each: each.stat().st_mtime, reverse=True)
    for each in newest_first[_KEPT_MAX:]:
        each.unlink(missing_ok=True)


def _sources_sha256() -> str:
    """Return the hash of everything a description depends on. Cost: reading 0.6 MB."""
    found = hashlib.sha256(f"{platform.python_version()} {version('pydantic')}".encode())
    for folder in _SOURCES:
        for file in sorted((_ROOT / folder).rglob("*.py")):
            found.update(b"%s %d\n" % (str(file.relative_to(_ROOT)).encode(), file.stat().st_size))
            found.update(file.read_bytes())
    return found.hexdigest()


def _agent_class(name: str) -> type[BaseAgent]:
    from agents.base import BaseAgent

    module_name, _, class_name = name.partition(":")
    # An installed command does not look into the folder it is run from; people's own agents mostly live there.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise AgentNotLoadable(f"DAWSOS_AGENTS: cannot load {name!r}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, BaseAgent):
        raise AgentNotLoadable(f"DAWSOS_AGENTS: expected {name!r} to be a subclass of agents.base.BaseAgent")
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise AgentNotLoadable(f"DAWSOS_CATALOGUES: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise AgentNotLoadable(f"DAWSOS_CATALOGUES: expected JSON in {path}: {error}") from None
    if not isinstance(document, dict):
        raise AgentNotLoadable(f"DAWSOS_CATALOGUES: expected a JSON object in {path}")
    return document
