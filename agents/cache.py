"""Remembered answers of pure capabilities.

The key holds everything an answer may depend on: capability, version and code of the agent, the arguments' digest,
the pins the capability declared to need, and (unless it declared its data shared) tenant and user. An entry holds
the answer's canonical bytes with their digest and provenance; whatever does not check out is a miss.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from agents.capability import Description
from agents.context import Notes
from agents.store_ports import Cache
from topics.canonical import digest, sha256_hex
from topics.messages import CapabilityRequest, Pins

_PREFIX = "dawsos:answer:"
_ENTRY_BYTES_MAX = 4 * 1024 * 1024
# After a failure the cache is left alone for this long: a Redis that is down must cost little time per call.
_REST_MS = 1_000
# On their way to the cache at a time; while it is slow, further answers are not remembered.
_WRITING_BYTES_MAX = 16 * 1024 * 1024

_LOG = logging.getLogger(__name__)


def cache_key(description: Description, request: CapabilityRequest) -> str:
    """Return the key of a request's answer."""
    terms = description.terms
    parts = [
        terms.name,
        terms.version,
        description.agent_version,
        digest({"args": request.args, "refs": request.refs} | ({"picks": request.picks} if request.picks else {})),
        _pins(request.pins, terms.needs),
        None if terms.shared else [request.tenant, str(request.user_id)],
    ]
    return _PREFIX + digest(parts)


def _pins(pins: Pins | None, needs: tuple[str, ...]) -> list[str | None] | None:
    """Return the pinned versions a capability reads; the day and the base currency belong to each of them."""
    if pins is None or not needs:
        return None
    found: list[str | None] = [pins.asof.isoformat(), pins.base_ccy]
    if "pack" in needs:
        found += ["pack", str(pins.pricing_pack_id), pins.pack_sha256]
    if "ledger" in needs:
        found += ["ledger", pins.ledger_commit_hash]
    if "portfolio" in needs:
        found += ["portfolio", str(pins.portfolio_id), pins.benchmark_id]
    return found


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer from the cache: canonical bytes, their value and digest, and the original provenance."""

    data: bytes
    value: Any
    digest: str
    notes: Notes


class AnswerCache:
    """A cache that may fail without harm.

    Args:
        store: where bytes are kept; None for no cache at all.
        clock: milliseconds since the epoch.
    """

    def __init__(self, store: Cache | None, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._rest_until_ms = 0
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._writing_bytes = 0

    @property
    def on(self) -> bool:
        """Whether there is a cache at all."""
        return self._store is not None

    async def get(self, key: str) -> Remembered | None:
        """Return what is remembered; None for a miss, a corrupted entry or an unreachable cache."""
        if self._store is None or self._clock() < self._rest_until_ms:
            return None
        if key in self._writing:
            await asyncio.wait({self._writing[key]})
        try:
            entry = await self._store.get(key)
        except Exception as error:
            self._rest(error)
            return None
        return None if entry is None else _read(entry)

    def remember(self, key: str, data: bytes, notes: Notes, ttl_s: int | None) -> None:
        """Remember an answer for `ttl_s` seconds; 0 means not at all, and too large ones are not either.

        Returns at once: nobody waits for an answer to be written where it is only looked up.
        """
        if self._store is None or self._clock() < self._rest_until_ms or len(data) > _ENTRY_BYTES_MAX:
            return
        if (ttl_s is not None and ttl_s <= 0) or key in self._writing:
            return
        if self._writing_bytes + len(data) > _WRITING_BYTES_MAX:
            return
        head = {
            "sha256": sha256_hex(data),
            "sources": sorted(notes.sources),
            "asof": notes.asof,
            "ttl_s": notes.ttl_s,
            "confidence": notes.confidence,
            "warnings": notes.warnings,
        }
        task = asyncio.create_task(self._write(self._store, key, orjson.dumps(head) + b"\n" + data, ttl_s))
        self._writing[key] = task
        self._writing_bytes += len(data)
        task.add_done_callback(lambda _: self._written(key, len(data)))

    async def drain(self) -> None:
        """Wait until everything to be remembered is, or has failed to be."""
        if self._writing:
            await asyncio.wait(self._writing.values())

    async def _write(self, store: Cache, key: str, entry: bytes, ttl_s: int | None) -> None:
        try:
            await store.set(key, entry, ttl_s)
        except Exception as error:
            self._rest(error)

    def _written(self, key: str, size: int) -> None:
        del self._writing[key]
        self._writing_bytes -= size

    def _rest(self, error: Exception) -> None:
        if self._clock() < self._rest_until_ms:
            return
        self._rest_until_ms = self._clock() + _REST_MS
        _LOG.warning("cache unreachable, answers are computed instead: %s", type(error).__name__)


def _read(entry: bytes) -> Remembered | None:
    head_bytes, _, data = entry.partition(b"\n")
    try:
        head = orjson.loads(head_bytes)
        if sha256_hex(data) != head["sha256"]:
            return None
        notes = Notes(
            sources=set(head["sources"]),
            asof=None if head["asof"] is None else date.fromisoformat(head["asof"]),
            ttl_s=head["ttl_s"],
            confidence=head["confidence"],
            warnings=list(head["warnings"]),
        )
        return Remembered(data, orjson.loads(data), head["sha256"], notes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
