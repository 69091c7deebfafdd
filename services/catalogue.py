"""The capability catalogue: what every known agent can do, without any agent running.

Our own agents and those of `DAWSOS_AGENTS` are described from their classes; agents that run elsewhere, in any
language, bring a JSON file of the same form (`DAWSOS_CATALOGUES`).
"""

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from agents.base import BaseAgent
from agents.bench import BenchAgent
from agents.data_harvester import DataHarvester
from agents.financial_analyst import FinancialAnalyst
from agents.macro_hound import MacroHound
from agents.pack_builder import PackBuilder
from agents.runtime import catalogue_of
from orchestrator.catalogue import Catalogue
from settings import Settings

AGENTS: tuple[type[BaseAgent], ...] = (FinancialAnalyst, MacroHound, DataHarvester, PackBuilder, BenchAgent)


class AgentNotLoadable(ValueError):
    """A configured agent class or catalogue file cannot be used; the text says which and why."""


def agent_classes(names: Sequence[str] = ()) -> tuple[type[BaseAgent], ...]:
    """Return our agent classes and those named `module:Class`.

    Raises:
        AgentNotLoadable: no such module or class, or it is no BaseAgent.
    """
    return (*AGENTS, *(_agent_class(name) for name in names))


def catalogue_documents(
    agents: Sequence[str] = (), files: Iterable[Path] = ()
) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Return catalogue documents and their names for error texts, our own first.

    Raises:
        AgentNotLoadable: see `agent_classes`; or a file that is no JSON object.
        DuplicateCapability: two classes offer one capability.
    """
    documents: list[dict[str, Any]] = [catalogue_of(agent_classes(agents))]
    names = ["agents of this system"]
    for path in files:
        documents.append(_document(path))
        names.append(str(path))
    return tuple(documents), tuple(names)


def catalogue_json(settings: Settings) -> dict[str, Any]:
    """Return the whole catalogue as one document, as `dawsos capabilities --json` prints it.

    Raises:
        AgentNotLoadable, DuplicateCapability, PatternFaults: as `load_catalogue`.
    """
    documents, names = catalogue_documents(settings.agents, settings.catalogues)
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
    documents, names = catalogue_documents(settings.agents, settings.catalogues)
    return Catalogue.from_json(*documents, where=names)


def _agent_class(name: str) -> type[BaseAgent]:
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
