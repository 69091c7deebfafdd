"""The capability catalogue: what agents can do, as JSON. The compiler needs no agent, only this.

A foreign agent adds its own file; two owners of one capability are a fault that names both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.faults import PatternFaults, pointer
from topics.errors import Fault

RESOLVE_CAPABILITY = "context.resolve"
# In the place of the agent of a capability that no agent offers any more.
NOBODY = ""
_NEEDS = ("pack", "ledger", "portfolio")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again: after `backoff_s · factor^(attempt − 1)`, at most `cap_s` seconds."""

    attempts_max: int = 3
    backoff_s: float = 0.2
    factor: float = 2.0
    cap_s: float = 10.0


@dataclass(frozen=True, slots=True)
class CapabilitySpec:
    """One capability of one agent.

    Attributes:
        needs: data it reads beside its arguments: any of `pack`, `ledger`, `portfolio`.
        input_schema, output_schema: JSON Schema 2020-12; an empty one allows everything.
        pure: same arguments and pins give the same bytes.
        ttl_s: seconds its answers may be cached; None = they do not age.
    """

    agent: str
    name: str
    version: int
    timeout_s: float = 30.0
    retry: RetryPolicy = RetryPolicy()
    needs: tuple[str, ...] = ()
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    pure: bool = True
    ttl_s: float | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All capabilities by name."""

    capabilities: Mapping[str, CapabilitySpec]

    @classmethod
    def from_json(cls, *documents: Mapping[str, Any], where: Iterable[str] = ()) -> "Catalogue":
        """Read catalogue documents and merge them.

        Args:
            documents: `{"agents": {name: {"version", "capabilities": {name: {...}}}}}`.
            where: names of the documents for error texts, in the same order.

        Raises:
            PatternFaults: everything wrong in all documents, duplicates naming both owners.
        """
        names = [*where, *("catalogue" for _ in documents)]
        found: dict[str, CapabilitySpec] = {}
        faults: list[Fault] = []
        for document, name in zip(documents, names, strict=False):
            for spec, place in _capabilities(document, name, faults):
                owner = found.get(spec.name)
                if owner is None:
                    found[spec.name] = spec
                else:
                    message = f"capability {spec.name} is offered by agent {spec.agent} and by agent {owner.agent}"
                    faults.append(Fault(name, place, message))
        if faults:
            raise PatternFaults(faults)
        return cls(found)

    def find(self, capability: str) -> CapabilitySpec | None:
        """Return the capability of this name, or None."""
        return self.capabilities.get(capability)

    def pinned(self, versions: Mapping[str, int]) -> "Catalogue":
        """Return the catalogue with capabilities at the versions a pattern was first compiled against.

        For executions under way: their commands keep naming the version they were admitted with, which an agent that
        no longer has it answers with CODE_VERSION_UNAVAILABLE. Another version's schemas say nothing about them, so
        their arguments are left to the agent to check. A capability that is gone is offered by NOBODY, in whose name
        whoever sends commands answers the same.
        """
        # What it needed is not known any more; it is enough that the pattern goes on to have pins if it had them.
        needs = ("pack",) if RESOLVE_CAPABILITY in versions else ()
        gone = {
            name: CapabilitySpec(NOBODY, name, version, needs=needs, pure=False)
            for name, version in versions.items()
            if name not in self.capabilities
        }
        pinned = gone | {
            name: spec if versions.get(name, spec.version) == spec.version else _of_version(spec, versions[name])
            for name, spec in self.capabilities.items()
        }
        return Catalogue(pinned)

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of all agents, sorted."""
        return tuple(sorted({spec.agent for spec in self.capabilities.values()}))


def _of_version(spec: CapabilitySpec, version: int) -> CapabilitySpec:
    return replace(spec, version=version, input_schema={}, output_schema={})


def _capabilities(document: Mapping[str, Any], where: str, faults: list[Fault]) -> Iterable[tuple[CapabilitySpec, str]]:
    agents = document.get("agents") if isinstance(document, Mapping) else None
    if not isinstance(agents, Mapping):
        faults.append(Fault(where, "/agents", "expected an object of agents by name"))
        return
    for agent, entry in agents.items():
        offered = entry.get("capabilities") if isinstance(entry, Mapping) else None
        if not isinstance(offered, Mapping):
            faults.append(Fault(where, pointer("agents", agent, "capabilities"), "expected an object"))
            continue
        for name, data in offered.items():
            place = pointer("agents", agent, "capabilities", name)
            spec = _capability(str(agent), str(name), data, where, place, faults)
            if spec is not None:
                yield spec, place


def _capability(agent: str, name: str, data: Any, where: str, place: str, faults: list[Fault]) -> CapabilitySpec | None:
    if not isinstance(data, Mapping):
        faults.append(Fault(where, place, f"expected an object, got {type(data).__name__}"))
        return None
    before = len(faults)
    version = data.get("version", 1)
    if type(version) is not int or version < 1:
        faults.append(Fault(where, f"{place}/version", f"expected an integer from 1, got {version!r}"))
    timeout_s = data.get("timeout_s", 30.0)
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, (int, float)) or not 0 < timeout_s <= 86_400:
        faults.append(Fault(where, f"{place}/timeout_s", f"expected seconds in (0, 86400], got {timeout_s!r}"))
    needs = data.get("needs", ())
    if not isinstance(needs, (list, tuple)) or any(need not in _NEEDS for need in needs):
        faults.append(Fault(where, f"{place}/needs", f"expected a list of {', '.join(_NEEDS)}, got {needs!r}"))
    for key in ("input_schema", "output_schema"):
        if not isinstance(data.get(key, {}), (Mapping, bool)):
            faults.append(Fault(where, f"{place}/{key}", "expected a JSON Schema"))
    retry = _retry(data.get("retry") or {}, where, place, faults)
    if len(faults) > before:
        return None
    return CapabilitySpec(
        agent=agent,
        name=name,
        version=version,
        timeout_s=float(timeout_s),
        retry=retry,
        needs=tuple(needs),
        input_schema=_schema(data.get("input_schema", {})),
        output_schema=_schema(data.get("output_schema", {})),
        pure=bool(data.get("pure", True)),
        ttl_s=data.get("ttl_s"),
        summary=str(data.get("summary", "")),
    )


def _retry(data: Any, where: str, place: str, faults: list[Fault]) -> RetryPolicy:
    default = RetryPolicy()
    if not isinstance(data, Mapping):
        faults.append(Fault(where, f"{place}/retry", "expected an object"))
        return default
    attempts_max = data.get("attempts_max", default.attempts_max)
    if type(attempts_max) is not int or attempts_max < 1:
        faults.append(Fault(where, f"{place}/retry/attempts_max", f"expected an integer from 1, got {attempts_max!r}"))
        attempts_max = default.attempts_max
    seconds: dict[str, float] = {}
    for key, least in (("backoff_s", 0.0), ("factor", 1.0), ("cap_s", 0.0)):
        value = data.get(key, getattr(default, key))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
            faults.append(Fault(where, f"{place}/retry/{key}", f"expected a number from {least:g}, got {value!r}"))
            value = getattr(default, key)
        seconds[key] = float(value)
    return RetryPolicy(attempts_max, seconds["backoff_s"], seconds["factor"], seconds["cap_s"])


def _schema(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}
