"""The agent runtime: from a `CapabilityRequest` to a `CapabilityResult`, whatever happens in between.

route → join artifacts → check arguments → ask the cache → ask the circuits → call → check the answer → remember →
pack. Every exception on the way is classified in `agents.failures`; nothing but a cancellation leaves `handle`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from agents.artifacts import Artifacts, Packed, join_refs, pack
from agents.base import BaseAgent
from agents.breaker import MemoryBreaker
from agents.cache import AnswerCache, Remembered, cache_key
from agents.capability import Description, describe
from agents.context import CapabilityContext, Notes
from agents.failures import CallTimeout, Failure, InvalidAnswer, InvalidArguments, classify
from agents.limits import CallLimits
from agents.store_ports import ArtifactStore, BreakerStore, Cache
from topics.canonical import NotCanonical, canonical_bytes, sha256_hex
from topics.errors import Code, RetryableError, TerminalError
from topics.messages import CapabilityRequest, CapabilityResult, ResultMetadata

_LOG = logging.getLogger(__name__)
_ARTIFACT_BYTES_MAX = 20 * 1024 * 1024
# Of those in an answer, how many travel with it: one per holding would fill every trace and page.
_WARNINGS_MAX = 20
# So long is a circuit without failures taken to have none: asking costs each step a round trip, and what others find
# out meanwhile this process would find out by its own call.
_CLOSED_MS = 250
# Faults that no declared upstream explains are counted here.
_ANY_SERVICE = "*"


class DuplicateCapability(ValueError):
    """Two agents offer one capability, or two agents have one name; the text names both owners."""


@dataclass(frozen=True, slots=True)
class _Bound:
    description: Description
    agent: BaseAgent


def describe_all(agents: Iterable[type[BaseAgent]]) -> dict[str, Description]:
    """Return the capabilities of agent classes by name.

    Raises:
        DuplicateCapability: every duplicate at once, each naming both owners.
    """
    found: dict[str, Description] = {}
    owners: dict[str, type[BaseAgent]] = {}
    faults: list[str] = []
    for agent in agents:
        other = owners.setdefault(agent.name, agent)
        if other is not agent:
            faults.append(f"agent {agent.name} is both {_owner(other)} and {_owner(agent)}")
            continue
        for name, description in describe(agent).items():
            if name in found:
                faults.append(f"capability {name} is offered by {found[name].owner} and by {description.owner}")
            else:
                found[name] = description
    if faults:
        raise DuplicateCapability("; ".join(faults))
    return found


def catalogue_of(agents: Iterable[type[BaseAgent]]) -> dict[str, Any]:
    """Return the capability catalogue of agent classes as JSON; no agent is constructed.

    Raises:
        DuplicateCapability: see `describe_all`.
    """
    classes = list(agents)
    entries: dict[str, Any] = {
        agent.name: {"version": agent.version, "capabilities": {}} for agent in sorted(classes, key=lambda a: a.name)
    }
    for name, description in sorted(describe_all(classes).items()):
        entries[description.agent]["capabilities"][name] = description.as_json()
    return {"agents": entries}


def _owner(agent: type) -> str:
    return f"{agent.__module__}:{agent.__qualname__}"


class AgentRuntime:
    """Agents with everything around their calls.

    Args:
        agents: constructed agents; their order does not matter.
        artifacts: store for large values.
        cache: answers of pure capabilities; None for none.
        breaker: circuits shared with other workers; None keeps them in this process.
        clock: milliseconds since the epoch.
        artifact_bytes_max: longest answer.
        cache_ttl_s: how long the cache keeps answers that do not age.

    Raises:
        DuplicateCapability: see `describe_all`.
    """

    def __init__(
        self,
        agents: Iterable[BaseAgent],
        artifacts: ArtifactStore,
        cache: Cache | None,
        breaker: BreakerStore | None,
        clock: Callable[[], int],
        *,
        artifact_bytes_max: int = _ARTIFACT_BYTES_MAX,
        cache_ttl_s: int = 86_400,
    ) -> None:
        by_class = {type(agent): agent for agent in agents}
        descriptions = describe_all(by_class)
        self.agents: Mapping[str, BaseAgent] = {agent.name: agent for agent in by_class.values()}
        self._bound = {name: _Bound(found, self.agents[found.agent]) for name, found in descriptions.items()}
        self.limits = CallLimits(descriptions.values())
        self._artifacts = Artifacts(artifacts, artifact_bytes_max, clock)
        self._cache = AnswerCache(cache, clock)
        self._cache_ttl_s = cache_ttl_s
        self._circuits = _Circuits(breaker, clock)
        self._clock = clock

    def circuits(self) -> dict[str, bool]:
        """Return, by `<agent>/<service>`, whether this process was refused calls when it last asked."""
        now_ms = self._clock()
        return {circuit: until_ms > now_ms for circuit, until_ms in dict(self._circuits.refused_until_ms).items()}

    def catalogue(self) -> dict[str, Any]:
        """Return the catalogue of the agents in this runtime."""
        return catalogue_of(type(agent) for agent in self.agents.values())

    def version_of(self, capability: str, wanted: int | None = None) -> int | None:
        """Return the wanted version of a capability if this runtime has it, else the newest; None without any."""
        bound = self._bound.get(capability)
        if bound is None:
            return None
        former = None if wanted is None else bound.description.of_version(wanted)
        return (former or bound.description).terms.version

    async def handle(self, request: CapabilityRequest) -> CapabilityResult:
        """Answer a request; an error is an answer too. Raises nothing but a cancellation."""
        started_at_ms = self._clock()
        bound: _Bound | None = None
        notes = Notes()
        try:
            bound = self._route(request)
            answer = await self._answer(bound, request, notes, started_at_ms)
        except Exception as error:
            return self._failed(request, bound, error, notes, started_at_ms)
        return CapabilityResult(
            execution_id=request.execution_id,
            tenant=request.tenant,
            step_id=request.step_id,
            attempt=request.attempt,
            value=answer.packed.value,
            refs=answer.packed.refs,
            digest=answer.digest,
            projections=answer.packed.projections,
            metadata=self._metadata(bound, answer.notes, answer.cache, started_at_ms),
        )

    async def drain(self) -> None:
        """Wait for what answers left to be done: that they are remembered."""
        await self._cache.drain()

    def _route(self, request: CapabilityRequest) -> _Bound:
        bound = self._bound.get(request.capability)
        if bound is None:
            known = sorted(self._bound)
            raise TerminalError(
                Code.UNKNOWN_CAPABILITY,
                f"no agent here offers {request.capability!r}; offered: {', '.join(known)}",
                offered=known,
            )
        terms = bound.description.terms
        if request.version != terms.version:
            former = bound.description.of_version(request.version)
            if former is None:
                raise TerminalError(
                    Code.CODE_VERSION_UNAVAILABLE,
                    f"{terms.name} was asked for in version {request.version}; "
                    f"this worker runs version {terms.version}",
                    wanted=request.version,
                    available=terms.version,
                )
            bound, terms = _Bound(former, bound.agent), former.terms
        if terms.needs and request.pins is None:
            raise TerminalError(
                Code.INVALID_ARGS, f"{terms.name} needs pins ({', '.join(terms.needs)}), the request has none"
            )
        return bound

    async def _answer(self, bound: _Bound, request: CapabilityRequest, notes: Notes, started_at_ms: int) -> "_Answer":
        description = bound.description
        key = cache_key(description, request) if description.terms.pure and self._cache.on else None
        # Small arguments are checked before the cache is asked: the same fault must be reported whether or not an
        # answer to equal-looking arguments (1 and 1.0) is remembered. Artifacts are canonical, so what was once
        # valid still is, and need not be fetched and parsed for an answer that is remembered.
        arguments = None if key is not None and request.refs else await self._arguments(description, request)
        if key is not None:
            remembered = await self._cache.get(key)
            if remembered is not None:
                return await self._from_cache(request, remembered)
        if arguments is None:
            arguments = await self._arguments(description, request)
        admitted = await self._circuits.admit(description)
        try:
            raw = await self._call_in_turn(bound, request, arguments, notes, started_at_ms)
        except Exception as error:
            await self._circuits.failed(description, classify(error, description.terms.name))
            raise
        await self._circuits.succeeded(admitted)
        value, data = _checked(description, raw)
        notes.warnings[:] = dict.fromkeys((*_own_warnings(value), *notes.warnings))
        if key is None:
            return _Answer(await self._pack(request, data, value), sha256_hex(data), notes, "off")
        declared = notes.ttl_s if notes.ttl_s is not None else description.terms.ttl_s
        ttl_s = self._cache_ttl_s if declared is None else declared
        self._cache.remember(key, data, notes, ttl_s)
        packed = await self._pack(request, data, value)
        return _Answer(packed, sha256_hex(data), notes, "miss")

    async def _arguments(self, description: Description, request: CapabilityRequest) -> BaseModel:
        data = await join_refs(
            self._artifacts, request.tenant, request.user_id, request.args, request.refs, request.picks or {}
        )
        try:
            return description.arguments.model_validate_json(data)
        except ValidationError as error:
            raise InvalidArguments(error) from None

    async def _from_cache(self, request: CapabilityRequest, remembered: Remembered) -> "_Answer":
        packed = await self._pack(request, remembered.data, remembered.value, known=True)
        return _Answer(packed, remembered.digest, remembered.notes, "hit")

    async def _pack(self, request: CapabilityRequest, data: bytes, value: Any, *, known: bool = False) -> Packed:
        return await pack(
            self._artifacts,
            request.tenant,
            request.user_id,
            data,
            value,
            request.inline_bytes_max,
            request.projections,
            artifact_bytes_min=request.artifact_bytes_min,
            known=known,
        )

    async def _call_in_turn(
        self, bound: _Bound, request: CapabilityRequest, arguments: BaseModel, notes: Notes, now_ms: int
    ) -> Any:
        terms = bound.description.terms
        if terms.name not in self.limits.limited:
            return await self._call(bound, request, arguments, notes, now_ms)
        async with self.limits.turn(terms, max(0.0, (request.deadline_at_ms - now_ms) / 1000)):
            return await self._call(bound, request, arguments, notes, self._clock())

    async def _call(
        self, bound: _Bound, request: CapabilityRequest, arguments: BaseModel, notes: Notes, now_ms: int
    ) -> Any:
        terms = bound.description.terms
        seconds = min(terms.timeout_s, (request.deadline_at_ms - now_ms) / 1000)
        if seconds <= 0:
            raise RetryableError(Code.STEP_TIMEOUT, f"{terms.name} was asked for after its deadline had passed")
        context = CapabilityContext(
            execution_id=request.execution_id,
            tenant=request.tenant,
            user_id=request.user_id,
            pins=request.pins,
            deadline_at_ms=request.deadline_at_ms,
            idempotency_key=request.idempotency_key,
            now_ms=None if terms.pure else now_ms,
            notes=notes,
        )
        named = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await getattr(bound.agent, bound.description.method)(context, **named)
        except TimeoutError as error:
            if limit.expired():
                raise CallTimeout(f"{terms.name} did not answer within {seconds:g} s") from error
            raise

    def _failed(
        self, request: CapabilityRequest, bound: _Bound | None, error: Exception, notes: Notes, started_at_ms: int
    ) -> CapabilityResult:
        failure = classify(error, request.capability)
        if failure.bug:
            _LOG.error(
                "%s failed: %s",
                request.capability,
                error,
                exc_info=error,
                extra={"execution_id": request.execution_id, "step_id": request.step_id, "attempt": request.attempt},
            )
        return CapabilityResult(
            execution_id=request.execution_id,
            tenant=request.tenant,
            step_id=request.step_id,
            attempt=request.attempt,
            metadata=None if bound is None else self._metadata(bound, notes, "off", started_at_ms),
            error=failure.body(),
        )

    def _metadata(self, bound: _Bound, notes: Notes, cache: Any, started_at_ms: int) -> ResultMetadata:
        description = bound.description
        return ResultMetadata(
            agent=description.agent,
            agent_version=description.agent_version,
            version=description.terms.version,
            sources=tuple(sorted(notes.sources)),
            asof=notes.asof,
            ttl_s=notes.ttl_s if notes.ttl_s is not None else description.terms.ttl_s,
            confidence=notes.confidence,
            cache=cache,
            warnings=tuple(notes.warnings),
            started_at_ms=started_at_ms,
            finished_at_ms=self._clock(),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    packed: Packed
    digest: str
    notes: Notes
    cache: str


def _checked(description: Description, raw: Any) -> tuple[Any, bytes]:
    """Return an answer as JSON and its canonical bytes.

    Raises:
        InvalidAnswer: it does not fit the return annotation or holds a NaN.
    """
    answer = description.answer
    try:
        value = answer.dump_python(answer.validate_python(raw), mode="json", by_alias=True)
        return value, canonical_bytes(value)
    except (ValidationError, NotCanonical) as error:
        raise InvalidAnswer(error) from None


def _own_warnings(value: Any) -> list[str]:
    """Return what an answer warns of in its field `warnings`: no capability has to report it again."""
    found = value.get("warnings") if isinstance(value, dict) else None
    if not isinstance(found, list):
        return []
    texts = [text for text in found if isinstance(text, str)]
    more = len(texts) - _WARNINGS_MAX
    return texts if more <= 0 else [*texts[:_WARNINGS_MAX], f"{more} more such warnings stand in the answer"]


class _Circuits:
    """The circuits of an agent's upstream services; a lost store costs only the sharing of their state."""

    def __init__(self, store: BreakerStore | None, clock: Callable[[], int]) -> None:
        self._local = MemoryBreaker()
        self._store = store
        self._clock = clock
        self._learned: dict[str, set[str]] = {}
        self._closed_until_ms: dict[str, int] = {}
        self.refused_until_ms: dict[str, int] = {}

    async def admit(self, description: Description) -> list[str]:
        """Return the circuits with failures on record, which a success will close.

        Raises:
            RetryableError: AGENT_UNAVAILABLE, a circuit is open.
        """
        shaky: list[str] = []
        services = set(description.terms.upstreams) | self._learned.get(description.terms.name, set())
        for service in sorted(services):
            circuit = f"{description.agent}/{service}"
            # A clock that was set back must not make this last.
            if 0 < self._closed_until_ms.get(circuit, 0) - self._clock() <= _CLOSED_MS:
                continue
            admission = await self._ask(circuit)
            wait_s = admission.retry_after_s
            self.refused_until_ms[circuit] = 0 if wait_s is None else self._clock() + round(wait_s * 1000)
            if admission.retry_after_s is not None:
                raise RetryableError(
                    Code.AGENT_UNAVAILABLE,
                    f"{description.agent} does not call {_named(service)} for another {admission.retry_after_s:.0f} s:"
                    f" it failed {admission.failures} times in a row",
                    retry_after_s=admission.retry_after_s,
                )
            if admission.failures:
                shaky.append(circuit)
            else:
                self._closed_until_ms[circuit] = self._clock() + _CLOSED_MS
        return shaky

    async def failed(self, description: Description, failure: Failure) -> None:
        """Count a failure if an upstream is to blame."""
        if not failure.upstream:
            return
        declared = description.terms.upstreams
        service = failure.service or (declared[0] if len(declared) == 1 else _ANY_SERVICE)
        self._learned.setdefault(description.terms.name, set()).add(service)
        circuit = f"{description.agent}/{service}"
        self._closed_until_ms.pop(circuit, None)
        await self._local.failed(circuit, self._clock())
        if self._store is not None:
            with suppress(Exception):
                await self._store.failed(circuit, self._clock())

    async def succeeded(self, circuits: list[str]) -> None:
        """Close circuits that had failures."""
        for circuit in circuits:
            await self._local.succeeded(circuit, self._clock())
            if self._store is not None:
                with suppress(Exception):
                    await self._store.succeeded(circuit, self._clock())

    async def _ask(self, circuit: str) -> Any:
        if self._store is not None:
            try:
                return await self._store.admit(circuit, self._clock())
            except Exception as error:
                _LOG.warning("circuit state unreachable, using this process's own: %s", type(error).__name__)
        return await self._local.admit(circuit, self._clock())


def _named(service: str) -> str:
    return "its services" if service == _ANY_SERVICE else service
