"""Values too large for a message: an LRU in front of the artifact store, and the way values become messages."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson

from agents.store_ports import ArtifactStore
from topics.canonical import canonical_bytes, sha256_hex
from topics.errors import Code, TerminalError
from topics.messages import ARTIFACT_BYTES_MIN, Projection
from topics.paths import Missing, lookup

# Leases last for many hours: an artifact that is used all the time needs no renewal each time.
_LEASE_RENEWED_MS = 300_000
_LEASES_MAX = 10_000
_LRU_BYTES_MAX = 64 * 1024 * 1024
_PARSED_MAX = 8


class Artifacts:
    """The artifact store with an LRU of the bytes last seen, keyed as the store is: by tenant and content.

    Args:
        store: where the bytes are kept.
        bytes_max: longest value accepted.
        clock: milliseconds since the epoch.
        lru_bytes_max: what the LRU may hold.
    """

    def __init__(
        self,
        store: ArtifactStore,
        bytes_max: int,
        clock: Callable[[], int],
        lru_bytes_max: int = _LRU_BYTES_MAX,
    ) -> None:
        self._store = store
        self._clock = clock
        self._leased_ms: dict[tuple[str, str], int] = {}
        self._bytes_max = bytes_max
        self._lru_bytes_max = lru_bytes_max
        self._lru: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lru_bytes = 0
        self._parsed: OrderedDict[tuple[str, str], Any] = OrderedDict()

    async def put(self, tenant: str, user_id: UUID, data: bytes) -> str:
        """Keep the bytes and return their SHA-256.

        Raises:
            TerminalError: OUTPUT_TOO_LARGE.
        """
        if len(data) > self._bytes_max:
            raise TerminalError(
                Code.OUTPUT_TOO_LARGE, f"expected an answer of at most {self._bytes_max} bytes, got {len(data)}"
            )
        sha = await self._store.put(tenant, user_id, data)
        self._note_lease(tenant, sha)
        self._remember(tenant, sha, data)
        return sha

    async def get(self, tenant: str, user_id: UUID, sha: str) -> bytes:
        """Return the bytes.

        Raises:
            TerminalError: ARTIFACT_NOT_FOUND: never written, expired, or another tenant's.
        """
        data = self._lru.get((tenant, sha))
        if data is not None:
            self._lru.move_to_end((tenant, sha))
            return data
        data = await self._store.get(tenant, user_id, sha)
        if data is None or sha256_hex(data) != sha:
            raise TerminalError(Code.ARTIFACT_NOT_FOUND, f"expected artifact {sha}, it is not there or has expired")
        self._remember(tenant, sha, data)
        return data

    async def parsed(self, tenant: str, user_id: UUID, sha: str) -> Any:
        """Return the value as JSON, for reading only; the last few are kept parsed: a foreach picks item by item.

        Raises:
            TerminalError: ARTIFACT_NOT_FOUND, see `get`.
        """
        key = (tenant, sha)
        if key in self._parsed:
            self._parsed.move_to_end(key)
            return self._parsed[key]
        value = orjson.loads(await self.get(tenant, user_id, sha))
        self._parsed[key] = value
        if len(self._parsed) > _PARSED_MAX:
            self._parsed.popitem(last=False)
        return value

    async def keep(self, tenant: str, user_id: UUID, sha: str, data: bytes) -> None:
        """Renew an artifact's lease, writing it again if it is gone; one renewal in a while is enough."""
        if self._clock() - self._leased_ms.get((tenant, sha), -_LEASE_RENEWED_MS) < _LEASE_RENEWED_MS:
            return
        if await self._store.touch(tenant, user_id, sha):
            self._note_lease(tenant, sha)
        else:
            await self.put(tenant, user_id, data)

    def _note_lease(self, tenant: str, sha: str) -> None:
        if len(self._leased_ms) >= _LEASES_MAX:
            self._leased_ms.clear()
        self._leased_ms[tenant, sha] = self._clock()

    def _remember(self, tenant: str, sha: str, data: bytes) -> None:
        key = (tenant, sha)
        if key in self._lru or len(data) > self._lru_bytes_max:
            return
        self._lru[key] = data
        self._lru_bytes += len(data)
        while self._lru_bytes > self._lru_bytes_max:
            _, dropped = self._lru.popitem(last=False)
            self._lru_bytes -= len(dropped)


@dataclass(frozen=True, slots=True)
class Packed:
    """A value as a `CapabilityResult` carries it."""

    value: Any = None
    refs: dict[str, str] = field(default_factory=dict)
    projections: dict[str, Projection] = field(default_factory=dict)


async def pack(
    artifacts: Artifacts,
    tenant: str,
    user_id: UUID,
    data: bytes,
    value: Any,
    inline_bytes_max: int,
    paths: tuple[str, ...],
    *,
    artifact_bytes_min: int = ARTIFACT_BYTES_MIN,
    known: bool = False,
) -> Packed:
    """Turn an answer into what travels: inline, by reference, or both.

    Args:
        artifacts: where large values go.
        tenant: owner of the value.
        user_id: whose request it answers.
        value: the answer as JSON.
        data: canonical bytes of `value`.
        inline_bytes_max: longer values travel by reference only, with the projections asked for.
        paths: dotted paths into the value.
        artifact_bytes_min: longer values are kept as artifacts, also when they travel inline.
        known: the artifact was written before (a cache hit): renew its lease instead of writing it.
    """
    refs: dict[str, str] = {}
    if len(data) > min(artifact_bytes_min, inline_bytes_max):
        if known:
            sha = sha256_hex(data)
            await artifacts.keep(tenant, user_id, sha, data)
        else:
            sha = await artifacts.put(tenant, user_id, data)
        refs[""] = sha
    if len(data) <= inline_bytes_max:
        return Packed(value, refs)
    projections = {path: await _project(artifacts, tenant, user_id, value, path) for path in paths}
    return Packed(None, refs, projections)


async def _project(artifacts: Artifacts, tenant: str, user_id: UUID, value: Any, path: str) -> Projection:
    found = lookup(value, path.split(".") if path else ())
    if isinstance(found, Missing):
        return Projection(missing=found.nearest)
    data = canonical_bytes(found)
    if len(data) <= ARTIFACT_BYTES_MIN:
        return Projection(value=found)
    return Projection(ref=await artifacts.put(tenant, user_id, data))


async def join_refs(
    artifacts: Artifacts,
    tenant: str,
    user_id: UUID,
    args: dict[str, Any],
    refs: dict[str, str],
    picks: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the arguments as JSON bytes with every referenced artifact, or the part picked of it, in its place.

    A whole artifact's bytes are spliced in as they are: nothing large is parsed twice.

    Args:
        artifacts: where they are.
        tenant: owner of the values.
        user_id: whose request it is.
        args: with null where an artifact belongs.
        refs: JSON pointer into `args` → SHA-256.
        picks: JSON pointer of `refs` → dotted path into that artifact.

    Raises:
        TerminalError: ARTIFACT_NOT_FOUND; INVALID_ARGS when a pointer names no place in the arguments, or a pick no
            ref or nothing inside its artifact.
    """
    strangers = sorted(picks.keys() - refs.keys())
    if strangers:
        raise TerminalError(Code.INVALID_ARGS, f"picks name {', '.join(strangers)}, which refs do not")
    joined: Any = args
    for pointer, sha in sorted(refs.items()):
        if pointer in picks:
            data = lookup(await artifacts.parsed(tenant, user_id, sha), picks[pointer].split("."))
            if isinstance(data, Missing):
                text = f"expected {picks[pointer]!r} in artifact {sha} for {pointer!r}, nothing stands there"
                raise TerminalError(Code.INVALID_ARGS, text)
        else:
            data = orjson.Fragment(await artifacts.get(tenant, user_id, sha))
        joined = _replaced(joined, [_unescaped(part) for part in pointer.split("/")[1:]], data, pointer)
    return orjson.dumps(joined)


def _replaced(value: Any, path: list[str], new: Any, pointer: str) -> Any:
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(value, dict) and head in value:
        return {**value, head: _replaced(value[head], rest, new, pointer)}
    if isinstance(value, list) and head.isdigit() and int(head) < len(value):
        copy = list(value)
        copy[int(head)] = _replaced(value[int(head)], rest, new, pointer)
        return copy
    raise TerminalError(Code.INVALID_ARGS, f"refs name {pointer!r}, which is no place in the arguments")


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
